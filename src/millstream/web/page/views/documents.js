// One knowledge base: its documents, its counters, its settings.
import { get, patch, post, remove } from "../api.js";
import { ago, bytes, moment, number } from "../format.js";
import { useAction, useListing, useLoaded, useStream } from "../hooks.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { named, t } from "../language.js";
import { Badge, Check, Confirm, Copy, Empty, Head, Icon, Input, Live, Loading, Pager, ProblemBox, Segments, Select, Table, TextArea } from "../parts.js";
import { ChunkPreview } from "../parts/chunk_preview.js";
import { ChunkSettings, chunkingOf } from "../parts/chunk_settings.js";
import { go, link, replace } from "../router.js";
import { Figure, held } from "./knowledge_bases.js";

const STATUSES = ["queued", "fetching", "parsing", "chunking", "embedding", "indexing", "completed", "failed", "cancelled", "skipped"];
const RELOAD_MS = 700;

export default function KnowledgeBase({ kb, query }) {
  const base = useLoaded((signal) => get(`/knowledge-bases/${kb}`, {}, signal), [kb]);
  const [news, setNews] = useState(0);
  const live = useStream(`/knowledge-bases/${kb}/stream`, (name, data) => {
    if (name !== "status") return;
    base.set((before) => (before && before.version > data.version ? before : data));
    setNews(data.version);
  });
  const tab = query.tab ?? "documents";
  if (base.problem) return html`<${Head} title=${t("bases.single")} back=${{ href: link(["knowledge-bases"]), title: t("bases.title") }} /><${ProblemBox} problem=${base.problem} onRetry=${base.reload} />`;
  if (!base.data) return html`<${Loading} />`;
  const one = base.data;
  const documents = one.documents;
  return html`<${Head} title=${one.name} lead=${one.description} back=${{ href: link(["knowledge-bases"]), title: t("bases.title") }}
      actions=${html`<a class="button" href=${link(["search"], { kb })}><${Icon} name="search" size=${18} />${t("nav.search")}</a><a class="button primary" href=${link(["upload"], { kb })}><${Icon} name="upload" size=${18} />${t("nav.upload")}</a>`}><${Live} state=${live} /><//>
    <div class="card figures wide">
      <${Figure} value=${number(held(one))} name=${t("bases.documents", { n: held(one) })} /><${Figure} value=${number(documents.searchable)} name=${t("bases.searchable")} />
      <${Figure} value=${number(documents.queued + documents.processing)} name=${t("bases.in_work")} /><${Figure} value=${number(documents.failed)} name=${named("status", "failed")} />
      <${Figure} value=${number(one.chunks)} name=${t("bases.chunks", { n: one.chunks })} /><${Figure} value=${bytes(one.size_bytes)} name=${t("bases.size")} />
      ${documents.skipped > 0 && html`<${Figure} value=${number(documents.skipped)} name=${t("bases.skipped", { n: documents.skipped })} />`}
    </div>
    <${Segments} label=${t("bases.parts")} value=${tab} onChange=${(chosen) => replace(["knowledge-bases", kb], { tab: chosen })} options=${[["documents", t("tasks.documents"), "file"], ["settings", t("settings.title"), "settings"]]} />
    ${tab === "documents" ? html`<${Documents} kb=${kb} query=${query} news=${news} />` : html`<${Settings} base=${one} onChanged=${base.reload} />`}`;
}

function Documents({ kb, query, news }) {
  const [name, setName] = useState(query.q ?? "");
  const [metadata, setMetadata] = useState(query.metadata ?? "");
  const [key, value] = (query.metadata ?? "").split("=", 2);
  const listing = useListing(`/knowledge-bases/${kb}/documents`, { limit: 50, status: query.status, q: query.q, ...(key && value ? { [`metadata.${key.trim()}`]: value.trim() } : {}) });
  // While documents move, the list is read anew at most so often.
  const last = useRef(0);
  useEffect(() => {
    if (!news) return undefined;
    const timer = setTimeout(() => { last.current = Date.now(); listing.reload(); }, Math.max(0, RELOAD_MS - (Date.now() - last.current)));
    return () => clearTimeout(timer);
  }, [news]);
  // Where few are like that, the service answers how far it has looked, and is asked to look on.
  const looksOn = listing.rows?.length === 0 && Boolean(listing.more) && !listing.problem;
  useEffect(() => { if (looksOn && !listing.isLoading) listing.more(); }, [looksOn, listing.isLoading]);
  const filter = (change) => replace(["knowledge-bases", kb], { ...query, ...change });
  const isFiltered = Boolean(query.status || query.q || query.metadata);
  return html`<form class="filters" role="search" onSubmit=${(event) => { event.preventDefault(); filter({ q: name, metadata }); }}>
      <${Input} isNarrow label=${t("documents.name")} type="search" maxlength="200" value=${name} onInput=${setName} />
      <${Input} isNarrow label=${t("documents.metadata")} placeholder="year=2026" value=${metadata} onInput=${setMetadata} />
      <${Select} isNarrow label=${t("tasks.status")} value=${query.status ?? ""} options=${[["", t("filter.all")], ...STATUSES.map((one) => [one, named("status", one)])]} onChange=${(status) => filter({ status })} />
      <button type="submit" class="beside">${t("filter.apply")}</button>
    </form>
    <${ProblemBox} problem=${listing.problem} onRetry=${listing.reload} />
    ${(looksOn || (!listing.rows && !listing.problem)) && html`<${Loading} />`}
    ${listing.rows?.length === 0 && !looksOn && (isFiltered
      ? html`<${Empty} icon="search" title=${t("documents.no_match")} action=${html`<button type="button" onClick=${() => { setName(""); setMetadata(""); filter({ q: "", status: "", metadata: "" }); }}>${t("filter.clear")}</button>`}>${t("documents.no_match_text")}<//>`
      : html`<${Empty} icon="file" title=${t("documents.none")} action=${html`<a class="button primary" href=${link(["upload"], { kb })}>${t("nav.upload")}</a>`}>${t("documents.none_text")}<//>`)}
    ${listing.rows?.length > 0 && html`<${Table} caption=${t("tasks.documents")} rows=${listing.rows} keyOf=${(one) => one.document_id} isDimmed=${(one) => !one.enabled} columns=${[
      { name: "name", title: t("documents.document"), isMain: true, show: (one) => html`<a class="strong" href=${link(["knowledge-bases", kb, "documents", one.document_id])}>${one.filename || t("document.unnamed")}</a>${about(one) && html`<small class="muted block">${about(one)}</small>`}` },
      { name: "status", title: t("tasks.status"), show: (one) => html`<${Badge} status=${one.status} />${!one.enabled && html` <${Badge} status="off" />`}${one.error && html`<small class="block error-text"><strong>${named("problem", one.error.code)}</strong> ${one.error.message}</small>`}` },
      { name: "pages", title: t("documents.pages"), isNumber: true, show: (one) => (one.counts.pages ? number(one.counts.pages) : "–") },
      { name: "chunks", title: t("documents.chunks"), isNumber: true, show: (one) => (one.counts.chunks ? number(one.counts.chunks) : "–") },
      { name: "size", title: t("bases.size"), isNumber: true, show: (one) => bytes(one.size_bytes) },
      { name: "added", title: t("documents.added"), show: (one) => html`<a class="nowrap" href=${link(["tasks", one.task_id])} title=${moment(one.accepted_at)}>${ago(one.accepted_at)}</a>` },
    ]} /><${Pager} listing=${listing} />`}`;
}

// The folder that it came in with, and what it calls itself.
function about(one) {
  const folder = String(one.metadata.path ?? "").split("/").slice(0, -1).join("/");
  return [folder && `${folder}/`, one.title !== one.filename && one.title].filter(Boolean).join(" · ");
}

function Settings({ base, onChanged }) {
  const before = base.settings;
  const [name, setName] = useState(base.name);
  const [description, setDescription] = useState(base.description);
  const [settings, setSettings] = useState(before);
  const [isDeleting, setDeleting] = useState(false);
  const [isConfirming, setConfirming] = useState(false);
  const [isSaved, setSaved] = useState(false);
  const put = (key) => (value) => { setSaved(false); setSettings({ ...settings, [key]: value }); };
  const whole = (key) => (value) => put(key)(value === "" ? "" : Number(value));
  const changed = Object.fromEntries(Object.entries(settings).filter(([key, value]) => value !== before[key] && value !== ""));
  const path = `/knowledge-bases/${base.knowledge_base_id}`;
  const [save, isRunning, problem, clear] = useAction(async (reindex) => {
    const body = { name: name.trim(), description, ...(Object.keys(changed).length ? { settings: { ...wanted(before), ...changed }, reindex } : {}) };
    await patch(path, body);
    setConfirming(false);
    setSaved(true);
    onChanged();
  });
  const needsIndex = problem?.code === "reindex_required" && !isConfirming;
  const one = (key) => settings[key] ?? "";
  return html`<form class="card stack settings" onSubmit=${(event) => { event.preventDefault(); save(false); }}>
      <div class="row"><${Input} label=${t("bases.name")} maxlength="200" required value=${name} onInput=${setName} /><${Copy} text=${base.knowledge_base_id} label=${`${base.knowledge_base_id.slice(0, 12)}…${base.knowledge_base_id.slice(-4)}`} /></div>
      <${TextArea} label=${t("bases.description")} rows="2" maxlength="2000" value=${description} onInput=${setDescription} />
      <h2>${t("settings.cutting")}</h2><p class="muted">${t("settings.cutting_text")}</p>
      <${ChunkSettings} settings=${settings} onChange=${(changed_) => { setSaved(false); setSettings(changed_); }} />
      <${ChunkPreview} kb=${base.knowledge_base_id} settings=${chunkingOf(settings)} news=${base.documents.completed} />
      <h2>${t("settings.finding")}</h2><p class="muted">${t("settings.finding_text")}</p>
      <div class="grid">
        <${Input} label=${t("setting.vector_weight")} hint=${t("setting.vector_weight_text")} type="number" min="0" max="1" step="0.05" placeholder=${t("setting.by_model")} value=${one("vector_weight")} onInput=${whole("vector_weight")} />
        <${Input} label=${t("setting.embedding_model")} hint=${t("setting.embedding_model_text")} maxlength="200" value=${one("embedding_model")} onInput=${put("embedding_model")} />
      </div>
      ${!needsIndex && html`<${ProblemBox} problem=${problem} onClose=${clear} />`}
      ${needsIndex && html`<div class="problem mild" role="alert"><${Icon} name="warn" /><div class="problem-said"><strong>${t("settings.reindex")}</strong><p>${t("settings.reindex_text")}</p></div><button type="button" class="primary" onClick=${() => setConfirming(true)}>${t("settings.reindex_do")}</button></div>`}
      <div class="row"><button type="submit" class="primary" disabled=${isRunning || !name.trim()}>${t("do.save")}</button>${isSaved && html`<span class="said" role="status"><${Icon} name="check" size=${18} />${t("do.saved")}</span>`}</div>
    </form>
    <${Reindex} base=${base} onChanged=${onChanged} />
    <section class="card danger-zone row between"><div><h2>${t("bases.delete")}</h2><p class="muted">${t("bases.delete_text")}</p></div><button type="button" class="danger" onClick=${() => setDeleting(true)}><${Icon} name="trash" size=${18} />${t("bases.delete")}</button></section>
    ${isConfirming && html`<${Confirm} title=${t("settings.reindex")} action=${t("settings.reindex_do")} isRunning=${isRunning} problem=${problem?.code === "reindex_required" ? null : problem} onConfirm=${() => save(true)} onClose=${() => { setConfirming(false); clear(); }}><p>${t("settings.reindex_how", { n: base.documents.searchable })}</p><//>`}
    ${isDeleting && html`<${Delete} base=${base} onClose=${() => setDeleting(false)} />`}`;
}

// The settings that hold, without those that were never set.
function wanted(settings) {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}

function Reindex({ base, onChanged }) {
  const isBuilding = base.index_generation_building !== null;
  const found = useLoaded((signal) => (isBuilding ? get(`/knowledge-bases/${base.knowledge_base_id}/reindex`, {}, signal) : Promise.resolve(null)), [isBuilding, base.version]);
  const [giveUp, isRunning, problem] = useAction(async () => { await remove(`/knowledge-bases/${base.knowledge_base_id}/reindex`); onChanged(); });
  const [build, isBuildRunning, buildProblem] = useAction(async () => { await post(`/knowledge-bases/${base.knowledge_base_id}/reindex`, {}); onChanged(); });
  return html`<section class="card row between"><div><h2>${t("reindex.title")}</h2>
      <p class="muted">${isBuilding ? t("reindex.running", { n: found.data?.done ?? 0, total: found.data?.documents ?? base.documents.total }) : t("reindex.text", { n: base.index_generation })}</p>
      <${ProblemBox} problem=${problem ?? buildProblem ?? found.problem} /></div>
    ${isBuilding
      ? html`<button type="button" disabled=${isRunning} onClick=${giveUp}>${t("reindex.give_up")}</button>`
      : html`<button type="button" disabled=${isBuildRunning || base.documents.total === 0} onClick=${build}>${t("reindex.do")}</button>`}</section>`;
}

function Delete({ base, onClose }) {
  const [isSure, setSure] = useState(false);
  const [erase, isRunning, problem] = useAction(async () => { await remove(`/knowledge-bases/${base.knowledge_base_id}`); onClose(); go(["knowledge-bases"]); });
  return html`<${Confirm} title=${t("bases.delete_title", { name: base.name })} action=${t("bases.delete")} isDangerous isRunning=${isRunning || !isSure} problem=${problem} onConfirm=${erase} onClose=${onClose}>
    <p>${t("bases.delete_how", { n: base.documents.total })}</p><${Check} label=${t("bases.delete_sure")} isChecked=${isSure} onChange=${setSure} /><//>`;
}
