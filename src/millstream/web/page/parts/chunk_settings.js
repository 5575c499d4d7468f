// How texts are cut: the way, and what that way needs, each with what it means.
import { html } from "../html.js";
import { t } from "../language.js";
import { Input, Select } from "./field.js";

export const CHUNKERS = ["markdown", "sentence", "parents", "window", "semantic", "rows", "page", "tokens"];

// The ranges are those of the service (docs/chunking.md).
const FIELDS = [
  { name: "chunk_tokens", min: 16, max: 4096 },
  { name: "chunk_overlap_tokens", min: 0, max: 1024 },
  { name: "chunk_parent_tokens", min: 16, max: 8192, usual: 1024, of: "parents" },
  { name: "chunk_window_sentences", min: 1, max: 20, usual: 3, of: "window" },
  { name: "chunk_breakpoint_percentile", min: 1, max: 99, usual: 90, of: "semantic" },
];

// What of a knowledge base's or a document's settings cuts texts, without what was never set.
export function chunkingOf(settings) {
  const names = ["chunker", ...FIELDS.map((one) => one.name)];
  return Object.fromEntries(names.filter((one) => settings[one] !== undefined && settings[one] !== null && settings[one] !== "").map((one) => [one, settings[one]]));
}

export function ChunkSettings({ settings, onChange }) {
  const put = (name) => (value) => onChange({ ...settings, [name]: value });
  const whole = (name) => (value) => put(name)(value === "" ? "" : Number(value));
  return html`<${Select} label=${t("setting.chunker")} hint=${t(`chunker.${settings.chunker}_text`)} value=${settings.chunker} options=${CHUNKERS.map((one) => [one, t(`chunker.${one}`)])} onChange=${put("chunker")} />
    <div class="grid">${FIELDS.filter((one) => !one.of || one.of === settings.chunker).map((one) => html`
      <${Input} key=${one.name} label=${t(`setting.${one.name}`)} hint=${t(`setting.${one.name}_text`)} type="number" min=${one.min} max=${one.max} placeholder=${one.usual} value=${settings[one.name] ?? ""} onInput=${whole(one.name)} />`)}</div>`;
}
