// For whoever runs the mill: how it flows, what failed, who is told, who gets in, whether it is well.
import { html } from "../html.js";
import { t } from "../language.js";
import { Head, Segments } from "../parts.js";
import { replace } from "../router.js";
import { Archive } from "./operations/archive.js";
import { DeadLetters } from "./operations/dead_letters.js";
import { Flow } from "./operations/flow.js";
import { Health } from "./operations/health.js";
import { Keys } from "./operations/keys.js";
import { Reprocess } from "./operations/reprocess.js";
import { Webhooks } from "./operations/webhooks.js";

const TABS = [["flow", "gauge", Flow], ["dead-letters", "warn", DeadLetters], ["reprocess", "retry", Reprocess], ["archive", "books", Archive], ["webhooks", "link", Webhooks], ["keys", "key", Keys], ["health", "check", Health]];

export default function Operations({ query }) {
  const [name, , Shown] = TABS.find(([one]) => one === query.tab) ?? TABS[0];
  return html`<${Head} title=${t("operations.title")} lead=${t(`operations.${name}_text`)} />
    <${Segments} label=${t("operations.title")} value=${name} options=${TABS.map(([one, icon]) => [one, t(`operations.${one}`), icon])} onChange=${(tab) => replace(["operations"], { tab })} />
    <${Shown} key=${name} query=${query} />`;
}
