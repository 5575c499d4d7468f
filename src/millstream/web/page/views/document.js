// One document: its original, its text, and beside it the passages that were cut of it, which can be changed.
import { download, get, patch, post, remove } from "../api.js";
import { ago, bytes, characters, moment, number, part } from "../format.js";
import { useAction, useListing, useLoaded } from "../hooks.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { named, t } from "../language.js";
import { Badge, Check, Confirm, Copy, Dialog, Empty, Head, Icon, Loading, Pager, ProblemBox, Segments, Select, TextArea } from "../parts.js";
import { ChunkPreview } from "../parts/chunk_preview.js";
import { ChunkSettings, chunkingOf } from "../parts/chunk_settings.js";
import { go, link, replace } from "../router.js";

const ENDED = ["completed", "failed", "cancelled", "skipped", "deleted"];
const LOOK_MS = 1_500;
const PART_CHARACTERS = 20_000;

export default function Document({ kb, document: id, query }) {
  const path = `/knowledge-bases/${kb}/documents/${id}`;
  const document_ = useLoaded((signal) => get(path, {}, signal), [path]);
  const one = document_.data;
  const isEnded = !one || ENDED.includes(one.status);
  useEffect(() => {
    // Behind each answer: a look begun before it would break it off, each time where answers take longer than that.
    if (isEnded || document_.isLoading) return undefined;
    const timer = setTimeout(document_.reload, LOOK_MS);
    return () => clearTimeout(timer);
  }, [isEnded, document_.isLoading]);
  const [asked, setAsked] = useState(null);
  const close = () => setAsked(null);
  const [original, isLoading, originalProblem, clearOriginal] = useAction(() => download(`${path}/content`, one.filename || id));
  const [turn, isTurning, turnProblem] = useAction(async () => document_.set(await patch(path, { enabled: !one.enabled })));
  const back = { href: link(["knowledge-bases", kb]), title: t("bases.single") };
  if (document_.problem && !one) return html`<${Head} title=${t("documents.document")} back=${back} /><${ProblemBox} problem=${document_.problem} onRetry=${document_.reload} />`;
  if (!one) return html`<${Loading} />`;
  const isGone = one.status === "deleted" || one.status === "skipped";
  return html`<${Head} title=${one.filename || t("document.unnamed")} lead=${one.title !== one.filename ? one.title : null} back=${back} actions=${!isGone && html`
      <button type="button" disabled=${isLoading} onClick=${original}><${Icon} name="down" size=${18} />${t("document.original")}</button>
      <button type="button" disabled=${isTurning} onClick=${turn}><${Icon} name=${one.enabled ? "hide" : "eye"} size=${18} />${t(one.enabled ? "document.disable" : "document.enable")}</button>
      <button type="button" onClick=${() => setAsked("again")}><${Icon} name="retry" size=${18} />${t("document.again")}</button>
      <button type="button" class="danger" onClick=${() => setAsked("delete")}><${Icon} name="trash" size=${18} />${t("do.delete")}</button>`}>
      <${Badge} status=${one.status} />${!one.enabled && html`<${Badge} status="off" />`}
    <//>
    <${ProblemBox} problem=${originalProblem ?? turnProblem} onClose=${clearOriginal} />
    ${one.error && html`<div class="problem" role="alert"><${Icon} name="warn" /><div class="problem-said"><strong>${named("step", one.error.step)}: ${named("problem", one.error.code)}</strong><p>${one.error.message}</p><small><code>${one.error.code}</code></small></div></div>`}
    ${one.duplicate_of && html`<div class="problem mild"><${Icon} name="copy" /><div class="problem-said"><p>${t("upload.was_there")} <a href=${link(["knowledge-bases", kb, "documents", one.duplicate_of])}>${t("upload.show_that")}</a></p></div></div>`}
    <section class="card"><dl class="facts">
      <div><dt>${t("document.type")}</dt><dd>${one.media_type || "–"}</dd></div><div><dt>${t("bases.size")}</dt><dd>${bytes(one.size_bytes)}</dd></div>
      ${one.language && html`<div><dt>${t("document.language")}</dt><dd>${one.language}</dd></div>`}
      <div><dt>${t("documents.pages")}</dt><dd>${number(one.counts.pages)}</dd></div><div><dt>${t("documents.chunks")}</dt><dd>${number(one.counts.chunks)}</dd></div>
      <div><dt>${t("documents.added")}</dt><dd><a href=${link(["tasks", one.task_id])} title=${moment(one.accepted_at)}>${ago(one.accepted_at)}</a></dd></div>
      ${one.chunking && html`<div><dt>${t("setting.chunker")}</dt><dd>${t(`chunker.${one.chunking.chunker}`)} <small class="muted">${t("again.own")}</small></dd></div>`}
      ${one.origin?.url && html`<div><dt>${t("document.from")}</dt><dd>${one.origin.url}</dd></div>`}
      <div><dt>${t("task.id")}</dt><dd><${Copy} text=${one.document_id} label=${`${one.document_id.slice(0, 13)}…${one.document_id.slice(-4)}`} /></dd></div></dl>
      <div class="row between tight wrap"><span class="tags">${Object.entries(one.metadata).map(([key, value]) => html`<span class="tag"><b>${key}</b> ${String(value)}</span>`)}${Object.keys(one.metadata).length === 0 && html`<small class="muted">${t("document.no_metadata")}</small>`}</span>
        ${!isGone && html`<button type="button" class="quiet" onClick=${() => setAsked("metadata")}><${Icon} name="edit" size=${16} />${t("document.edit_metadata")}</button>`}</div>
      ${one.warnings.map((warning) => html`<p class="said-small warning"><${Icon} name="warn" size=${16} />${named("warning", warning)}</p>`)}
      ${one.edits_lost.length > 0 && html`<p class="said-small warning"><${Icon} name="warn" size=${16} />${t("document.edits_lost", { n: one.edits_lost.length })}</p>`}
    </section>
    ${one.counts.characters > 0 && !isGone && html`<${Reader} path=${path} place=${["knowledge-bases", kb, "documents", id]} version=${isEnded ? one.index_generation : null} chosen=${query.chunk} onEdited=${document_.reload} />`}
    ${asked === "metadata" && html`<${MetadataDialog} path=${path} metadata=${one.metadata} onClose=${close} onChanged=${(changed) => { document_.set(changed); close(); }} />`}
    ${asked === "again" && html`<${Again} path=${path} kb=${kb} one=${one} onClose=${close} />`}
    ${asked === "delete" && html`<${Delete} path=${path} name=${one.filename} kb=${kb} onClose=${close} />`}`;
}

// Text and passages side by side. Whoever comes from a search is led to the passage that was found.
function Reader({ path, place, version, chosen, onEdited }) {
  const text = useLoaded((signal) => get(`${path}/text`, {}, signal), [path, version]);
  const chunks = useListing(`${path}/chunks`, { limit: 100 });
  const named_ = useLoaded((signal) => (chosen ? get(`${path}/chunks/${chosen}`, {}, signal) : Promise.resolve(null)), [path, chosen]);
  useEffect(() => { chunks.reload(); }, [version]);
  const listed = chunks.rows?.find((one) => one.chunk_id === chosen);
  const chunk = listed ?? (named_.data?.chunk_id === chosen ? named_.data : null);
  const choose = (id) => replace(place, { chunk: id });
  const change = (changed) => {
    chunks.set((page) => page && { ...page, data: page.data.map((one) => (one.chunk_id === changed.chunk_id ? changed : one)) });
    named_.set(changed);
    onEdited();
  };
  const rows = chunk && !listed && chunks.rows ? [chunk, ...chunks.rows] : chunks.rows;
  const list = useRef(null);
  // The list is brought to the passage, and the page stays where it is.
  useEffect(() => {
    const found = list.current?.querySelector("[data-chosen]");
    if (found) list.current.scrollTop = found.offsetTop - 8;
  }, [chosen, Boolean(chunk), Boolean(rows?.length)]);
  return html`<div class="reader">
    <section class="card text-pane" aria-labelledby="text-title"><h2 id="text-title">${t("document.text")}</h2>
      <${ProblemBox} problem=${text.problem} onRetry=${text.reload} />
      ${!text.data && !text.problem && html`<${Loading} />`}
      ${text.data && html`<${Text} text=${text.data} chunk=${chunk} />`}</section>
    <section class="card chunk-pane" aria-labelledby="chunks-title"><h2 id="chunks-title">${t("documents.chunks")} <small class="muted">${t("document.chunks_hint")}</small></h2>
      <${ProblemBox} problem=${chunks.problem ?? named_.problem} onRetry=${chunks.reload} />
      ${!rows && !chunks.problem && html`<${Loading} />`}
      ${rows?.length === 0 && html`<${Empty} icon="text" title=${t("document.no_chunks")}>${t("document.no_chunks_text")}<//>`}
      <ol class="chunks" ref=${list} tabindex="0" aria-label=${t("documents.chunks")}>${rows?.map((one) => html`<${Chunk} key=${one.chunk_id} path=${path} chunk=${one} isChosen=${one.chunk_id === chosen} onChoose=${() => choose(one.chunk_id)} onChanged=${change} />`)}</ol>
      <${Pager} listing=${chunks} /></section>
  </div>`;
}

// A page of the text, or a part of it where it has none, with the place of the chosen passage marked.
function Text({ text, chunk }) {
  const chars = useMemo(() => characters(text.text), [text]);
  const parts = useMemo(() => (text.pages.length ? text.pages : parted(chars.length)), [text]);
  const [at, setAt] = useState(0);
  const marked = useRef(null);
  const pane = useRef(null);
  useEffect(() => {
    if (!chunk) return;
    const found = parts.findIndex((one) => chunk.span[0] < one.end);
    setAt(found < 0 ? parts.length - 1 : found);
  }, [chunk?.chunk_id, parts]);
  useEffect(() => {
    if (marked.current && pane.current) pane.current.scrollTop = marked.current.offsetTop - 24;
  }, [at, chunk?.chunk_id]);
  const one = parts[Math.min(at, parts.length - 1)];
  if (!one) return null;
  const [start, end] = chunk ? [Math.max(one.start, chunk.span[0]), Math.min(one.end, chunk.span[1])] : [one.end, one.end];
  const isMarked = start < end;
  return html`${parts.length > 1 && html`<div class="row between tight"><button type="button" class="quiet" disabled=${at === 0} onClick=${() => setAt(at - 1)}><${Icon} name="back" size=${16} />${t("document.before")}</button>
      <span class="muted">${text.pages.length ? t("document.page", { n: one.number, total: parts.length }) : t("document.part", { n: at + 1, total: parts.length })}</span>
      <button type="button" class="quiet" disabled=${at >= parts.length - 1} onClick=${() => setAt(at + 1)}>${t("document.after")}<${Icon} name="next" size=${16} /></button></div>`}
    <div class="text" ref=${pane} tabindex="0" role="region" aria-label=${t("document.text")} dir="auto">${isMarked
      ? html`${part(chars, one.start, start)}<mark ref=${marked}>${part(chars, start, end)}</mark>${part(chars, end, one.end)}`
      : part(chars, one.start, one.end)}</div>`;
}

function parted(length) {
  const count = Math.max(1, Math.ceil(length / PART_CHARACTERS));
  return Array.from({ length: count }, (_, place) => ({ number: place + 1, start: place * PART_CHARACTERS, end: Math.min(length, (place + 1) * PART_CHARACTERS) }));
}

function Chunk({ path, chunk, isChosen, onChoose, onChanged }) {
  const [isEditing, setEditing] = useState(false);
  const [turn, isRunning, problem, clear] = useAction(async () => onChanged(await patch(`${path}/chunks/${chunk.chunk_id}`, { enabled: !chunk.enabled })));
  return html`<li class=${chunk.enabled ? "chunk" : "chunk off"} data-chosen=${isChosen ? "yes" : undefined} data-chunk=${chunk.chunk_id}>
    <header class="row between tight"><button type="button" class="quiet chunk-name" aria-pressed=${isChosen} onClick=${onChoose}>#${chunk.ordinal + 1}${chunk.page !== null && html` · ${t("passage.page", { n: chunk.page })}`} · ${t("document.tokens", { n: chunk.tokens })}</button>
      <span class="row tight">${chunk.edited && html`<${Badge} status="edited" />`}${!chunk.enabled && html`<${Badge} status="off" />`}
        <button type="button" class="quiet icon-only" aria-label=${`${t("chunk.edit")} #${chunk.ordinal + 1}`} title=${t("chunk.edit")} onClick=${() => setEditing(true)}><${Icon} name="edit" size=${17} /></button>
        <button type="button" class="quiet icon-only" aria-label=${`${t(chunk.enabled ? "document.disable" : "document.enable")} #${chunk.ordinal + 1}`} title=${t(chunk.enabled ? "document.disable" : "document.enable")} disabled=${isRunning} onClick=${turn}><${Icon} name=${chunk.enabled ? "hide" : "eye"} size=${17} /></button></span></header>
    ${chunk.headings.length > 0 && html`<p class="crumbs">${chunk.headings.join(" › ")}</p>`}
    <p class="passage-text" dir="auto">${chunk.text}</p>
    <${ProblemBox} problem=${problem} onClose=${clear} />
    ${isEditing && html`<${EditChunk} path=${path} chunk=${chunk} onClose=${() => setEditing(false)} onChanged=${(changed) => { setEditing(false); onChanged(changed); }} />`}
  </li>`;
}

function EditChunk({ path, chunk, onClose, onChanged }) {
  const [text, setText] = useState(chunk.text);
  const [save, isRunning, problem] = useAction(async (wanted) => onChanged(await patch(`${path}/chunks/${chunk.chunk_id}`, { text: wanted })));
  return html`<${Dialog} title=${`${t("chunk.edit")} #${chunk.ordinal + 1}`} isWide onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); save(text); }}>
    <div class="dialog-body"><${TextArea} label=${t("chunk.text")} hint=${t("chunk.hint")} rows="12" maxlength="16000" value=${text} onInput=${setText} /><${ProblemBox} problem=${problem} /></div>
    <footer>${chunk.edited && html`<button type="button" disabled=${isRunning} onClick=${() => save(null)}>${t("chunk.as_cut")}</button>`}
      <button type="button" onClick=${onClose}>${t("do.cancel")}</button><button type="submit" class="primary" disabled=${isRunning || !text.trim() || text === chunk.text}>${t("do.save")}</button></footer></form><//>`;
}

function MetadataDialog({ path, metadata, onClose, onChanged }) {
  const [text, setText] = useState(Object.entries(metadata).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join("\n"));
  const [save, isRunning, problem] = useAction(async () => onChanged(await patch(path, { metadata: read(text) })));
  return html`<${Dialog} title=${t("document.edit_metadata")} onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); save(); }}>
    <div class="dialog-body"><${TextArea} label=${t("documents.metadata")} hint=${t("document.metadata_hint")} rows="7" spellcheck=${false} value=${text} onInput=${setText} /><${ProblemBox} problem=${problem} /></div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button><button type="submit" class="primary" disabled=${isRunning}>${t("do.save")}</button></footer></form><//>`;
}

// A line for each: `key = value`; numbers, true, false and "quoted texts" as JSON writes them, else the words as they are.
function read(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const [key, ...rest] = line.split("=");
    const value = rest.join("=").trim();
    try { return [key.trim(), JSON.parse(value)]; } catch { return [key.trim(), value]; }
  }));
}

const CUTTING = ["parse", "chunk"]; // steps from which a document is cut anew

// From which step, and cut in which way: as the knowledge base says, or in a way of its own, which can be tried here.
function Again({ path, kb, one, onClose }) {
  const base = useLoaded((signal) => get(`/knowledge-bases/${kb}`, {}, signal), [kb]);
  const [step, setStep] = useState("parse");
  const [way, setWay] = useState(one.chunking ? "own" : "base");
  const [settings, setSettings] = useState(null);
  const inForce = settings ?? one.chunking ?? (base.data ? chunkingOf(base.data.settings) : null);
  const isCut = CUTTING.includes(step);
  const [begin, isRunning, problem] = useAction(async () => {
    const given = !isCut ? {} : way === "own" ? { settings: chunkingOf(inForce) } : one.chunking ? { settings: {} } : {};
    const task = await post(`${path}/reprocess`, { from_step: step, ...given });
    onClose();
    go(["tasks", task.task_id]);
  });
  return html`<${Dialog} title=${t("document.again_title")} isWide onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); begin(); }}>
    <div class="dialog-body"><p>${t("document.again_text")}</p>
      <${Select} label=${t("document.from_step")} hint=${t(`again.${step}`)} value=${step} options=${["parse", "chunk", "embed", "index"].map((name) => [name, named("step", name)])} onChange=${setStep} />
      ${isCut && html`<${Segments} label=${t("bases.how_cut")} value=${way} onChange=${setWay} options=${[["base", t("again.as_base")], ["own", t("again.own")]]} />
        <${ProblemBox} problem=${base.problem} onRetry=${base.reload} />
        ${way === "own" && inForce && html`<${ChunkSettings} settings=${inForce} onChange=${setSettings} />`}
        ${inForce && base.data && one.counts.characters > 0 && html`<${ChunkPreview} kb=${kb} document=${one.document_id} settings=${chunkingOf(way === "own" ? inForce : base.data.settings)} />`}`}
      <${ProblemBox} problem=${problem} /></div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button><button type="submit" class="primary" disabled=${isRunning || (way === "own" && !inForce)}>${t("document.again")}</button></footer></form><//>`;
}

function Delete({ path, name, kb, onClose }) {
  const [isSure, setSure] = useState(false);
  const [erase, isRunning, problem] = useAction(async () => { await remove(path); onClose(); go(["knowledge-bases", kb]); });
  return html`<${Confirm} title=${t("bases.delete_title", { name })} action=${t("do.delete")} isDangerous isRunning=${isRunning || !isSure} problem=${problem} onConfirm=${erase} onClose=${onClose}>
    <p>${t("document.delete_text")}</p><${Check} label=${t("bases.delete_sure")} isChecked=${isSure} onChange=${setSure} /><//>`;
}
