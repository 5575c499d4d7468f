// Every task, newest first, as it is at this moment.
import { ago, number, percent } from "../format.js";
import { useClock, useKnowledgeBases, useListing, useStream } from "../hooks.js";
import { html, useRef } from "../html.js";
import { named, t } from "../language.js";
import { Badge, Empty, Head, Live, Loading, Pager, ProblemBox, Progress, Select, Table } from "../parts.js";
import { link, replace } from "../router.js";

const STATUSES = ["queued", "processing", "completed", "partial", "failed", "cancelled"];

export default function Tasks({ query }) {
  const listing = useListing("/tasks", { limit: 50, status: query.status, knowledge_base: query.kb });
  const { bases } = useKnowledgeBases();
  const reloading = useRef(null);
  const live = useStream("/stream", (name, data) => {
    if (name !== "task") return;
    let isKnown = false;
    listing.set((page) => page && { ...page, data: page.data.map((one) => {
      if (one.task_id !== data.task_id) return one;
      isKnown = true;
      return one.version <= data.version ? data : one;
    }) });
    const isWanted = (!query.status || query.status === data.status) && (!query.kb || query.kb === data.knowledge_base_id);
    // What is not on view yet has its place in the order of the service.
    if (!isKnown && isWanted && !listing.rows?.some((one) => one.task_id === data.task_id)) {
      clearTimeout(reloading.current);
      reloading.current = setTimeout(listing.reload, 300);
    }
  });
  useClock(5_000);
  const nameOf = (id) => bases?.find((one) => one.knowledge_base_id === id)?.name ?? id.slice(0, 12);
  const filter = (change) => replace(["tasks"], { ...query, ...change });
  return html`<${Head} title=${t("tasks.title")} lead=${t("tasks.lead")}><${Live} state=${live} /><//>
    <div class="filters">
      <${Select} label=${t("tasks.status")} isNarrow value=${query.status ?? ""} options=${[["", t("filter.all")], ...STATUSES.map((one) => [one, named("status", one)])]} onChange=${(status) => filter({ status })} />
      <${Select} label=${t("bases.single")} isNarrow value=${query.kb ?? ""} options=${[["", t("filter.all")], ...(bases ?? []).map((one) => [one.knowledge_base_id, one.name])]} onChange=${(kb) => filter({ kb })} />
    </div>
    <${ProblemBox} problem=${listing.problem} onRetry=${listing.reload} />
    ${!listing.rows && !listing.problem && html`<${Loading} />`}
    ${listing.rows?.length === 0 && html`<${Empty} icon="tasks" title=${t("tasks.none")} action=${html`<a class="button primary" href=${link(["upload"])}>${t("tasks.none_action")}</a>`}>${t("tasks.none_text")}<//>`}
    ${listing.rows?.length > 0 && html`<${Table} caption=${t("tasks.title")} rows=${listing.rows} keyOf=${(one) => one.task_id} columns=${[
      { name: "task", title: t("tasks.task"), isMain: true, show: (one) => html`<a class="strong" href=${link(["tasks", one.task_id])}>${t(`source.${one.source}`, { n: one.documents.total })}</a> <small class="muted">${ago(one.submitted_at)}</small>` },
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
