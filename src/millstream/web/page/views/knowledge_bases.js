// All knowledge bases, and the making of one.
import { ago, bytes, number } from "../format.js";
import { useKnowledgeBases, useListing, useStream } from "../hooks.js";
import { html, useRef, useState } from "../html.js";
import { t } from "../language.js";
import { Badge, Empty, Head, Icon, Input, Live, Loading, Pager, ProblemBox, Progress } from "../parts.js";
import { CreateKnowledgeBase } from "../parts/create_knowledge_base.js";
import { go, link } from "../router.js";

const FINDER_MIN = 12; // fewer are seen at a glance

export default function KnowledgeBases() {
  const listing = useListing("/knowledge-bases", { limit: 60 });
  const [isCreating, setCreating] = useState(false);
  const [name, setName] = useState("");
  const reloading = useRef(null);
  const live = useStream("/stream", (name, data) => {
    if (name !== "knowledge_base" && name !== "gone") return;
    if (name === "knowledge_base" && listing.rows?.some((one) => one.knowledge_base_id === data.knowledge_base_id)) {
      listing.set((page) => ({ ...page, data: page.data.map((one) => (one.knowledge_base_id === data.knowledge_base_id && one.version <= data.version ? data : one)) }));
    } else if (listing.rows) {
      clearTimeout(reloading.current);
      reloading.current = setTimeout(listing.reload, 300);
    }
  });
  const create = html`<button type="button" class="primary" onClick=${() => setCreating(true)}><${Icon} name="plus" size=${18} />${t("bases.create")}</button>`;
  return html`<${Head} title=${t("bases.title")} lead=${t("bases.lead")} actions=${listing.rows?.length > 0 && create}><${Live} state=${live} /><//>
    <${ProblemBox} problem=${listing.problem} onRetry=${listing.reload} />
    ${!listing.rows && !listing.problem && html`<${Loading} />`}
    ${listing.rows?.length === 0 && html`<${Empty} icon="books" title=${t("bases.none")} action=${create}>${t("bases.none_text")}<//>`}
    ${(listing.total ?? listing.rows?.length ?? 0) >= FINDER_MIN && html`<div class="filters" role="search"><${Input} isNarrow label=${t("bases.find")} type="search" maxlength="200" value=${name} onInput=${setName} /></div>`}
    ${name.trim() ? html`<${Found} name=${name.trim()} onClear=${() => setName("")} />` : html`<${Cards} bases=${listing.rows ?? []} /><${Pager} listing=${listing} />`}
    ${isCreating && html`<${CreateKnowledgeBase} onClose=${() => setCreating(false)} onCreated=${(made) => go(["knowledge-bases", made.knowledge_base_id])} />`}`;
}

// Among all of them, those whose names have these words in them.
function Found({ name, onClear }) {
  const { bases, problem, reload } = useKnowledgeBases();
  const folded = (text) => text.normalize("NFKC").toLocaleLowerCase();
  const found = bases?.filter((one) => folded(one.name).includes(folded(name)));
  return html`<${ProblemBox} problem=${problem} onRetry=${reload} />
    ${!bases && !problem && html`<${Loading} />`}
    ${found?.length === 0 && html`<${Empty} icon="search" title=${t("bases.not_found")} action=${html`<button type="button" onClick=${onClear}>${t("filter.clear")}</button>`}>${t("bases.not_found_text", { name })}<//>`}
    ${found && html`<p class="hidden" role="status">${t("pager.some", { n: found.length })}</p><${Cards} bases=${found} />`}`;
}

function Cards({ bases }) {
  return html`<ul class="bases">${bases.map((one) => html`<li key=${one.knowledge_base_id} class="card base">
      <a class="base-name" href=${link(["knowledge-bases", one.knowledge_base_id])}>${one.name}</a>
      ${one.description && html`<p class="muted clamp">${one.description}</p>`}
      <div class="figures"><${Figure} value=${number(held(one))} name=${t("bases.documents", { n: held(one) })} /><${Figure} value=${number(one.chunks)} name=${t("bases.chunks", { n: one.chunks })} /><${Figure} value=${bytes(one.size_bytes)} name=${t("bases.size")} /></div>
      ${one.documents.queued + one.documents.processing > 0 && html`<${Progress} share=${one.documents.searchable / held(one)} label=${t("bases.searchable")} />`}
      <div class="row tight base-foot">
        ${one.documents.queued + one.documents.processing > 0 && html`<span class="badge" data-tone="busy">${t("bases.working", { n: one.documents.queued + one.documents.processing })}</span>`}
        ${one.documents.failed > 0 && html`<a class="badge" data-tone="bad" href=${link(["knowledge-bases", one.knowledge_base_id], { status: "failed" })}>${t("bases.failed", { n: one.documents.failed })}</a>`}
        ${one.index_generation_building !== null && html`<${Badge} status="reindexing" />`}
        <small class="muted">${t("bases.changed", { time: ago(one.updated_at) })}</small>
      </div></li>`)}</ul>`;
}

// Duplicates that were skipped are known, and not held.
export const held = (base) => base.documents.total - base.documents.skipped;

export function Figure({ value, name }) {
  return html`<span class="figure"><strong>${value}</strong><small>${name}</small></span>`;
}
