// What the service stands on: whether each answers, how fast, and what to do where it does not.
import { clock, duration } from "../../format.js";
import { usePolled } from "../../hooks.js";
import { html } from "../../html.js";
import { t } from "../../language.js";
import { Badge, Icon, Loading, ProblemBox } from "../../parts.js";
import { Halted, looked } from "../../parts/readiness.js";

const LOOK_MS = 5_000;

// A process of an older version, behind the same balancer, says it in words alone.
const doorOf = (found) => found.door_code ?? (found.door.startsWith("open") ? "open_until_first_key" : "keys");

// What an older version says in sentences alone. Where no replica follows is shown by itself.
const warnedOf = ({ warned, warnings, halted }) => warned
  ? warned.filter(({ code }) => code !== "halted")
  : warnings.filter((text) => !halted.some(({ server }) => text.includes(` ${server},`))).map((text) => ({ text, values: {} }));

function Warned({ of: { code, text, values } }) {
  const name = `health.warned_${code}`, said = t(name, values);
  return html`<p class="problem mild"><${Icon} name="warn" /><span class="problem-said">${said === name ? text : said}${values.detail && said !== name && html` <small class="muted">${values.detail}</small>`}</span></p>`;
}

export function Health() {
  const { data: found, problem } = usePolled(looked, LOOK_MS);
  return html`<${ProblemBox} problem=${problem} />
    ${!found && !problem && html`<${Loading} />`}
    ${found && html`<section class="card"><div class="row between"><h2>${found.is_ready ? t("health.ready") : t("health.not_ready")}</h2><small class="muted" role="status">${t("health.as_of", { time: clock(found.at) })}</small></div>
      <ul class="plain health">${found.dependencies.map((one) => html`<li key=${one.name} class="row between tight"><span><strong>${t(`health.${one.name}`) === `health.${one.name}` ? one.name : t(`health.${one.name}`)}</strong>
          ${!one.is_ready && html`<small class="block error-text">${one.code ? t(`health.${one.code}`) : ""} <span class="muted">${one.detail}</span></small><small class="block">${t(`health.${one.name}_todo`) === `health.${one.name}_todo` ? t("health.todo") : t(`health.${one.name}_todo`)}</small>`}</span>
        <span class="row tight"><small class="muted">${duration(one.took_ms)}</small><${Badge} status=${one.is_ready ? "ready" : "not_ready"} /></span></li>`)}</ul>
      ${found.halted.map((one) => html`<${Halted} key=${one.server} of=${one} />`)}
      ${warnedOf(found).map((one) => html`<${Warned} key=${one.text} of=${one} />`)}</section>
    <section class="card"><h2>${t("health.door")}</h2><p>${t(`health.door_${doorOf(found)}`)}</p><p class="muted"><small>${found.door}</small></p></section>
    <section class="card"><h2>${t("health.more")}</h2><p class="muted">${t("health.more_text")}</p><p><code>millstream doctor</code></p></section>`}`;
}
