// Every task, newest first, as it is at this moment.
import { ago, number, percent } from "../format.js";
import { useClock, useKnowledgeBases, useListing, useStream } from "../hooks.js";
import { html, useRef } from "../html.js";
import { named, t } from "../language.js";
import { Badge, Empty, Head, Live, Loading, Pager, ProblemBox, Progress, Select, Table } from "../parts.js";
import { ChooseKnowledgeBase } from "../parts/choose_knowledge_base.js";
import { link, replace } from "../router.js";

const STATUSES = ["queued", "processing", "completed", "partial", "failed", "cancelled"];

export default function Tasks({ query }) {
  const listing = useListing("/tasks", { limit: 50, status: query.status, knowledge_base: query.kb });
  const { bases } = useKnowledgeBases();
  const reloading = useRef(null);
  const live = useStream("/stream", (name, data) => {
    if (name !== "task") return;
    const isWanted = (!query.status || query.status === data.status) && (!query.kb || query.kb === data.knowledge_base_id);
    const isKnown = listing.rows?.some((one) => one.task_id === data.task_id);
    const newer = (one) => (one.task_id === data.task_id && one.version <= data.version ? data : one);
    // What the filters do not mean any more leaves.
    const kept = (one) => one.task_id !== data.task_id || isWanted;
    if (isKnown) listing.set((page) => page && { ...page, data: page.data.map(newer).filter(kept) });
    // What is not on view yet has its place in the order of the service.
    if (!isKnown && isWanted) {
      clearTimeout(reloading.current);
      reloading.current = setTimeout(listing.reload, 300);
    }
  });
  useClock(5_000);
  const nameOf = (id) => bases?.find((one) => one.knowledge_base_id === id)?.name ?? id.slice(0, 12);
  const isFiltered = Boolean(query.status || query.kb);
  const filter = (change) => replace(["tasks"], { ...query, ...change });
  return html`<${Head} title=${t("tasks.title")} lead=${t("tasks.lead")}><${Live} state=${live} /><//>
    <div class="filters">
      <${Select} label=${t("tasks.status")} isNarrow value=${query.status ?? ""} options=${[["", t("filter.all")], ...STATUSES.map((one) => [one, named("status", one)])]} onChange=${(status) => filter({ status })} />
      <${ChooseKnowledgeBase} label=${t("bases.single")} isNarrow bases=${bases} all=${t("filter.all")} value=${query.kb ?? ""} onChange=${(kb) => filter({ kb })} />
    </div>
    <${ProblemBox} problem=${listing.problem} onRetry=${listing.reload} />
    ${!listing.rows && !listing.problem && html`<${Loading} />`}
    ${listing.rows?.length === 0 && isFiltered && html`<${Empty} icon="search" title=${t("tasks.no_match")} action=${html`<button type="button" onClick=${() => filter({ status: "", kb: "" })}>${t("filter.clear")}</button>`}>${t("tasks.no_match_text")}<//>`}
    ${listing.rows?.length === 0 && !isFiltered && html`<${Empty} icon="tasks" title=${t("tasks.none")} action=${html`<a class="button primary" href=${link(["upload"])}>${t("tasks.none_action")}</a>`}>${t("tasks.none_text")}<//>`}
    ${listing.rows?.length > 0 && html`<${Table} caption=${t("tasks.title")} rows=${listing.rows} keyOf=${(one) => one.task_id} columns=${[
      { name: "task", title: t("tasks.task"), isMain: true, show: (one) => html`<a class="strong" href=${link(["tasks", one.task_id])}>${one.filename || t(`source.${one.source}`, { n: one.documents.total })}</a>${one.filename && one.documents.total > 1 && html` <span class="badge" title=${t("tasks.more_files", { n: one.documents.total - 1 })}>+${number(one.documents.total - 1)}</span>`}
        <small class="muted block">${one.filename && `${t(`source.${one.source}`, { n: one.documents.total })} · `}${ago(one.submitted_at)}</small>` },
      { name: "kb", title: t("bases.single"), show: (one) => html`<a href=${link(["knowledge-bases", one.knowledge_base_id])}>${nameOf(one.knowledge_base_id)}</a>` },
      { name: "status", title: t("tasks.status"), show: (one) => html`<${Badge} status=${one.status} />` },
      { name: "progress", title: t("tasks.progress"), show: (one) => html`<div class="with-bar"><${Progress} share=${one.progress} label=${t("tasks.progress")} tone=${one.documents.failed ? "bad" : undefined} /><span>${percent(one.progress)}</span></div>` },
      { name: "documents", title: t("tasks.documents"), show: (one) => html`<${Counts} documents=${one.documents} />` },
    ]} />
    <${Pager} listing=${listing} />`}`;
}

export function Counts({ documents }) {
  const told = ["queued", "processing", "completed", "failed", "cancelled", "skipped"].filter((one) => documents[one] > 0);
  return html`<span class="counts">${told.map((one) => html`<span data-of=${one}>${number(documents[one])} ${named("status", one)}</span>`)}</span>`;
}
