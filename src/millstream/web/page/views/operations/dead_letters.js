// Documents that failed for good, until somebody tries again: by a query, which can be tried first.
import { post, remove } from "../../api.js";
import { ago, moment, number } from "../../format.js";
import { useAction, useKnowledgeBases, useListing } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { named, reason, t } from "../../language.js";
import { Confirm, Empty, Icon, Input, Loading, Pager, ProblemBox, Select, Table } from "../../parts.js";
import { ChooseKnowledgeBase } from "../../parts/choose_knowledge_base.js";
import { link, replace } from "../../router.js";

const STEPS = ["fetch", "parse", "chunk", "embed", "index"];

// As the service takes it, of what the field says in the user's own time; undefined: no such filter.
function instant(local) {
  const at = local ? new Date(local) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

export function DeadLetters({ query }) {
  const wanted = { code: query.code || undefined, step: query.step || undefined, knowledge_base: query.kb || undefined, since: instant(query.since) };
  const listing = useListing("/dead-letters", { limit: 50, ...wanted });
  const { bases } = useKnowledgeBases();
  const [code, setCode] = useState(query.code ?? "");
  const [tried, setTried] = useState(null);
  const [deleting, setDeleting] = useState(null);
  const filter = (change) => replace(["operations"], { ...query, tab: "dead-letters", ...change });
  const body = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
  const [dryRun, isTrying, problem, clear] = useAction(async () => setTried(await post("/dead-letters/retry", { ...body, dry_run: true })));
  return html`<form class="filters" onSubmit=${(event) => { event.preventDefault(); filter({ code: code.trim() }); }}>
      <${Input} isNarrow label=${t("dead.code")} placeholder="parse_failed" spellcheck=${false} value=${code} onInput=${setCode} />
      <${Select} isNarrow label=${t("flow.step")} value=${query.step ?? ""} options=${[["", t("filter.all")], ...STEPS.map((one) => [one, named("step", one)])]} onChange=${(step) => filter({ step })} />
      <${ChooseKnowledgeBase} isNarrow label=${t("bases.single")} bases=${bases} all=${t("filter.all")} value=${query.kb ?? ""} onChange=${(kb) => filter({ kb })} />
      <${Input} isNarrow label=${t("dead.since")} type="datetime-local" value=${query.since ?? ""} onInput=${(since) => filter({ since })} />
      <button type="submit" class="beside">${t("filter.apply")}</button>
      ${listing.rows?.length > 0 && html`<button type="button" class="primary beside" disabled=${isTrying} onClick=${dryRun}><${Icon} name="retry" size=${18} />${t("dead.retry")}</button>`}
    </form>
    <${ProblemBox} problem=${problem ?? listing.problem} onClose=${problem ? clear : undefined} onRetry=${problem ? undefined : listing.reload} />
    ${!listing.rows && !listing.problem && html`<${Loading} />`}
    ${listing.rows?.length === 0 && html`<${Empty} icon="check" title=${t("dead.none")}>${t("dead.none_text")}<//>`}
    ${listing.rows?.length > 0 && html`<${Table} caption=${t("operations.dead-letters")} rows=${listing.rows} keyOf=${(one) => one.document_id} columns=${[
      { name: "document", title: t("documents.document"), isMain: true, show: (one) => html`<a class="strong" href=${link(["knowledge-bases", one.knowledge_base_id, "documents", one.document_id])}>${one.filename || t("document.unnamed")}</a><small class="block error-text"><strong>${reason(one.code)}</strong> ${one.message}</small>` },
      { name: "code", title: t("dead.code"), show: (one) => html`<button type="button" class="quiet" onClick=${() => { setCode(one.code); filter({ code: one.code }); }}><code>${one.code}</code></button>` },
      { name: "step", title: t("flow.step"), show: (one) => named("step", one.step) },
      { name: "attempts", title: t("dead.attempts"), isNumber: true, show: (one) => number(one.attempts) },
      { name: "when", title: t("dead.when"), show: (one) => html`<a class="nowrap" href=${link(["tasks", one.task_id])} title=${moment(one.failed_at)}>${ago(one.failed_at)}</a>` },
      { name: "delete", title: "", show: (one) => html`<button type="button" class="quiet icon-only" aria-label=${`${t("do.delete")}: ${one.filename}`} onClick=${() => setDeleting(one)}><${Icon} name="trash" /></button>` },
    ]} /><${Pager} listing=${listing} />`}
    ${tried && html`<${Retry} body=${body} tried=${tried} onClose=${() => setTried(null)} onDone=${listing.reload} />`}
    ${deleting && html`<${Delete} letter=${deleting} onClose=${() => setDeleting(null)} onDone=${listing.reload} />`}`;
}

// What a retry would do was asked first (`tried`); it begins when the user says so.
function Retry({ body, tried, onClose, onDone }) {
  const [done, setDone] = useState(null);
  const [retry, isRunning, problem] = useAction(async () => { setDone(await post("/dead-letters/retry", body)); onDone(); });
  const counts = (title, found, kind) => Object.keys(found).length > 0 && html`<div><dt>${title}</dt><dd>${Object.entries(found).map(([key, value]) => html`<span class="tag"><b>${number(value)}</b> ${kind ? named(kind, key) : key}</span> `)}</dd></div>`;
  return html`<${Confirm} title=${t("dead.retry_title")} action=${t("dead.retry_do", { n: tried.documents })} isRunning=${isRunning || done !== null || tried.documents === 0} problem=${problem} onConfirm=${retry} onClose=${onClose}>
    ${done
      ? html`<p class="said" role="status"><${Icon} name="check" />${t("dead.retried", { n: done.documents })}</p><ul class="plain">${done.tasks.map((one) => html`<li><a href=${link(["tasks", one.task_id])} onClick=${onClose}>${t("upload.watch")}</a></li>`)}</ul>`
      : html`<p>${t("dead.retry_text", { n: tried.documents })}</p><dl class="stack">${counts(t("dead.by_code"), tried.by_code)}${counts(t("dead.by_step"), tried.by_step, "step")}</dl>${tried.has_more && html`<p class="muted">${t("dead.has_more")}</p>`}`}<//>`;
}

function Delete({ letter, onClose, onDone }) {
  const [erase, isRunning, problem] = useAction(async () => { await remove(`/dead-letters/${letter.document_id}`); onDone(); onClose(); });
  return html`<${Confirm} title=${t("bases.delete_title", { name: letter.filename })} action=${t("do.delete")} isDangerous isRunning=${isRunning} problem=${problem} onConfirm=${erase} onClose=${onClose}><p>${t("document.delete_text")}</p><//>`;
}
