// Documents of a knowledge base processed again by a query: what would change is shown before it is done.
import { post } from "../../api.js";
import { number } from "../../format.js";
import { useAction, useKnowledgeBases } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { named, t } from "../../language.js";
import { Empty, Icon, Input, Loading, ProblemBox, Select } from "../../parts.js";
import { ChooseKnowledgeBase } from "../../parts/choose_knowledge_base.js";
import { ChunkSettings, chunkingOf } from "../../parts/chunk_settings.js";
import { link } from "../../router.js";

const STATUSES = ["completed", "failed", "cancelled"];
const STEPS = ["parse", "chunk", "embed", "index"];
const NOTHING = { kb: "", status: "", q: "", from_step: "parse", cutting: "" };
const OWN = { chunker: "markdown", chunk_tokens: 256, chunk_overlap_tokens: 32 };

export function Reprocess({ query }) {
  const { bases, problem: basesProblem, reload } = useKnowledgeBases();
  const [asked, setAsked] = useState({ ...NOTHING, own: OWN, kb: query.kb ?? "", status: query.status ?? "", q: query.q ?? "" });
  const [tried, setTried] = useState(null); // what the dry run told, and of which request
  const [done, setDone] = useState(null);
  const put = (key) => (value) => { setAsked((before) => ({ ...before, [key]: value })); setTried(null); setDone(null); };
  const kb = asked.kb || bases?.[0]?.knowledge_base_id;
  const path = `/knowledge-bases/${kb}/reprocess`;
  const [dryRun, isTrying, problem] = useAction(async () => { setDone(null); setTried(await post(path, { ...request(asked), dry_run: true })); });
  const [run, isRunning, refusal] = useAction(async () => { setDone(await post(path, request(asked))); setTried(null); });
  if (!bases) return basesProblem ? html`<${ProblemBox} problem=${basesProblem} onRetry=${reload} />` : html`<${Loading} />`;
  if (!bases.length) return html`<${Empty} icon="books" title=${t("bases.none")} action=${html`<a class="button primary" href=${link(["upload"])}>${t("nav.upload")}</a>`}>${t("bases.none_text")}<//>`;
  const isCut = asked.from_step === "parse" || asked.from_step === "chunk";
  return html`<form class="card" onSubmit=${(event) => { event.preventDefault(); dryRun(); }}>
      <div class="grid">
        <${ChooseKnowledgeBase} label=${t("bases.single")} bases=${bases} value=${kb} onChange=${put("kb")} />
        <${Select} label=${t("tasks.status")} value=${asked.status} options=${[["", t("filter.all")], ...STATUSES.map((one) => [one, named("status", one)])]} onChange=${put("status")} />
        <${Input} label=${t("documents.name")} maxlength="200" value=${asked.q} onInput=${put("q")} />
        <${Select} label=${t("document.from_step")} value=${asked.from_step} options=${STEPS.map((one) => [one, named("step", one)])} onChange=${put("from_step")} />
        ${isCut && html`<${Select} label=${t("bases.how_cut")} value=${asked.cutting} options=${["", "base", "own"].map((one) => [one, t(`reprocess.as_${one || "before"}`)])} onChange=${put("cutting")} />`}
      </div>
      ${isCut && asked.cutting === "own" && html`<${ChunkSettings} settings=${asked.own} onChange=${put("own")} />`}
      <div class="row"><button type="submit" class=${tried ? "" : "primary"} disabled=${isTrying}>${t("reprocess.try")}</button></div>
    </form>
    <${ProblemBox} problem=${problem ?? refusal} />
    ${tried && html`<${Tried} tried=${tried} isRunning=${isRunning} onRun=${run} />`}
    ${done && html`<section class="card" role="status"><p class="said"><${Icon} name="check" />${t("reprocess.done", { n: done.documents })}</p>
      <ul class="plain">${done.tasks.map((one) => html`<li><a href=${link(["tasks", one.task_id])}>${t("upload.watch")}</a></li>`)}</ul></section>`}`;
}

function request(asked) {
  const where = { ...(asked.status ? { status: asked.status } : {}), ...(asked.q.trim() ? { q: asked.q.trim() } : {}) };
  const isCut = asked.from_step === "parse" || asked.from_step === "chunk";
  const settings = { base: {}, own: chunkingOf(asked.own) }[asked.cutting];
  return { where, from_step: asked.from_step, ...(isCut && settings ? { settings } : {}) };
}

// Nothing has been done yet: how many documents, and of their passages what stays, comes, goes, and is paid for.
function Tried({ tried, isRunning, onRun }) {
  const { compared } = tried;
  const counts = (title, found, kind) => Object.keys(found).length > 0 && html`<div><dt>${title}</dt><dd>${Object.entries(found).map(([key, value]) => html`<span class="tag"><b>${number(value)}</b> ${named(kind, key)}</span> `)}</dd></div>`;
  const figure = (name, value, isBad) => html`<div><dt>${t(`reprocess.${name}`)}</dt><dd class=${isBad && value > 0 ? "error-text" : ""}><strong>${number(value)}</strong></dd></div>`;
  return html`<section class="card" data-testid="tried" aria-labelledby="tried-title">
    <h2 id="tried-title" role="status">${t("reprocess.would", { n: tried.documents })}</h2><p class="muted">${t("reprocess.nothing_done")}</p>
    <dl class="facts">${counts(t("tasks.status"), tried.by_status, "status")}${counts(t("document.from_step"), tried.by_step, "step")}
      ${tried.left_out > 0 && figure("left_out", tried.left_out)}</dl>
    ${compared && html`<h3>${t("reprocess.compared", { n: compared.documents })}</h3>
      <dl class="facts">${figure("chunks_before", compared.chunks_before)}${figure("chunks_after", compared.chunks_after)}${figure("chunks_kept", compared.chunks_kept)}${figure("chunks_added", compared.chunks_added)}${figure("chunks_removed", compared.chunks_removed)}
        ${figure("vectors_reused", compared.vectors_reused)}${figure("chunks_embedded", compared.chunks_embedded)}${figure("tokens_embedded", compared.tokens_embedded)}${figure("edits_lost", compared.edits_lost, true)}</dl>
      ${!compared.is_complete && html`<p class="muted">${t("reprocess.sample")}</p>`}`}
    ${!compared && tried.tokens_embedded_max !== null && html`<dl class="facts">${figure("chunks_embedded_max", tried.chunks_embedded_max)}${figure("tokens_embedded_max", tried.tokens_embedded_max)}${figure("vectors_reused", tried.chunks_reused)}</dl>`}
    ${tried.has_more && html`<p class="muted">${t("reprocess.has_more")}</p>`}
    <div class="row"><button type="button" class="primary" disabled=${isRunning || tried.documents === 0} onClick=${onRun}>${t("reprocess.do", { n: tried.documents })}</button></div>
  </section>`;
}
