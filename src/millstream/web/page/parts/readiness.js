// What /readyz says, and where nothing new is recorded because no replica follows.
import { Problem } from "../api.js";
import { usePolled } from "../hooks.js";
import { html } from "../html.js";
import { t } from "../language.js";
import { Icon } from "./icon.js";

const LOOK_MS = 5_000;

// 503 is an answer too: it says what is not ready.
export async function looked(signal) {
  try {
    const answer = await fetch("/readyz", { signal, cache: "no-store", credentials: "omit" });
    return { ...(await answer.json()), at: new Date().toISOString() };
  } catch {
    throw new Problem({ code: "unreachable" });
  }
}

export function Halted({ of: { server, partitions } }) {
  return html`<p class="problem mild" role="status"><${Icon} name="warn" /><span class="problem-said">${t("health.halted", { server, partitions: partitions.join(", ") })}</span></p>`;
}

// Of what an open task lies in; looks only while it is on view.
export function HaltedHere({ id }) {
  const { data: found } = usePolled(looked, LOOK_MS);
  const partition = parseInt(id.split("_")[1].slice(0, 2), 16);
  const one = found?.halted.find(({ partitions }) => partitions.includes(partition));
  return one ? html`<${Halted} of=${one} />` : null;
}
