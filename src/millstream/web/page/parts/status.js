// How something stands: in words, in colour, and as a bar.
import { html } from "../html.js";
import { percent } from "../format.js";
import { named, t } from "../language.js";

const TONES = {
  completed: "good", accepted: "good", enabled: "good", delivered: "good", ready: "good", sound: "good", cited: "good", live: "good", searchable: "good", valid: "good",
  failed: "bad", damaged: "bad", disabled: "bad", refused: "bad", revoked: "bad",
  partial: "warn", reconnecting: "warn", waiting: "warn", paused: "warn", patient: "warn", expired: "warn",
  processing: "busy", fetching: "busy", parsing: "busy", chunking: "busy", embedding: "busy", indexing: "busy",
  sending: "busy", connecting: "busy", pending: "busy",
};

export function Badge({ status, kind = "status", title }) {
  return html`<span class="badge" data-tone=${TONES[status] ?? "calm"} title=${title}>${named(kind, status)}</span>`;
}

export function Progress({ share, label, tone }) {
  const whole = Math.max(0, Math.min(1, share));
  return html`<div class="progress" data-tone=${tone} role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(whole * 100)} aria-valuetext=${percent(whole)}>
    <div style=${{ inlineSize: `${whole * 100}%` }}></div>
  </div>`;
}

// Whether what is shown follows the service at this moment.
export function Live({ state }) {
  return html`<span class="live" data-state=${state.name} role="status"><i aria-hidden="true"></i>${t(`live.${state.name}`)}</span>`;
}
