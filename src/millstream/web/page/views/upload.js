// Documents in: files and folders, web addresses, a text.
import { post } from "../api.js";
import { bytes, duration, percent } from "../format.js";
import { useAction, useKnowledgeBases } from "../hooks.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { t } from "../language.js";
import { Badge, Empty, Head, Icon, Input, Loading, ProblemBox, Progress, Segments, Select, TextArea } from "../parts.js";
import { CreateKnowledgeBase } from "../parts/create_knowledge_base.js";
import { link } from "../router.js";
import { addUploads, discard, filesOf, forgetEnded, forgetInterrupted, interrupted, pause, resume, speedOf, useUploads } from "../uploads.js";

const CHOSEN = "millstream.knowledge-base";
const chosenBefore = () => { try { return sessionStorage.getItem(CHOSEN); } catch { return null; } };

export default function Upload({ query }) {
  const { bases, problem, reload } = useKnowledgeBases();
  const [chosen, setChosen] = useState(query.kb ?? chosenBefore());
  const [way, setWay] = useState("files");
  const [onDuplicate, setOnDuplicate] = useState("skip");
  const [isCreating, setCreating] = useState(false);
  const knowledgeBase = bases?.find((one) => one.knowledge_base_id === chosen) ?? bases?.[0];
  const choose = (id) => { setChosen(id); try { sessionStorage.setItem(CHOSEN, id); } catch { /* only convenience */ } };
  const target = knowledgeBase && { knowledgeBase: knowledgeBase.knowledge_base_id, onDuplicate };
  return html`<${Head} title=${t("upload.title")} lead=${t("upload.lead")} />
    <${ProblemBox} problem=${problem} onRetry=${reload} />
    ${!bases && !problem && html`<${Loading} />`}
    ${bases?.length === 0 && html`<${Empty} icon="books" title=${t("bases.none")} action=${html`<button type="button" class="primary" onClick=${() => setCreating(true)}><${Icon} name="plus" />${t("bases.create")}</button>`}>${t("bases.none_text")}<//>
      <${Steps} />`}
    ${knowledgeBase && html`<section class="card intake">
      <div class="row">
        <${Select} label=${t("upload.into")} value=${knowledgeBase.knowledge_base_id} options=${bases.map((one) => [one.knowledge_base_id, one.name])} onChange=${choose} />
        <button type="button" class="beside" onClick=${() => setCreating(true)}><${Icon} name="plus" size=${18} />${t("bases.new")}</button>
        <${Select} label=${t("upload.duplicates")} value=${onDuplicate} options=${["skip", "replace", "keep"].map((one) => [one, t(`duplicates.${one}`)])} onChange=${setOnDuplicate} />
      </div>
      <${Segments} label=${t("upload.way")} value=${way} onChange=${setWay} options=${[["files", t("upload.files"), "file"], ["urls", t("upload.urls"), "link"], ["text", t("upload.text"), "text"]]} />
      ${way === "files" && html`<${DropZone} target=${target} />`}
      ${way === "urls" && html`<${Addresses} target=${target} />`}
      ${way === "text" && html`<${Text} target=${target} />`}
    </section>
    <${Interrupted} bases=${bases} />
    <${Queue} />`}
    ${isCreating && html`<${CreateKnowledgeBase} onClose=${() => setCreating(false)} onCreated=${(made) => { choose(made.knowledge_base_id); setCreating(false); reload(); }} />`}`;
}

function Steps() {
  return html`<ol class="steps">${["bases", "upload", "search"].map((one) => html`<li><strong>${t(`steps.${one}`)}</strong><span>${t(`steps.${one}_text`)}</span></li>`)}</ol>`;
}

function DropZone({ target }) {
  const [isOver, setOver] = useState(false);
  const files = useRef(null);
  const folder = useRef(null);
  const drop = async (event) => {
    event.preventDefault();
    setOver(false);
    addUploads(await filesOf(event.dataTransfer), target);
  };
  const pick = (event) => {
    addUploads([...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || null })), target);
    event.target.value = "";
  };
  return html`<div class=${isOver ? "drop over" : "drop"}
      onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <span class="drop-icon"><${Icon} name="upload" size=${34} /></span>
    <p class="drop-said">${t("upload.drop")}</p>
    <div class="row center">
      <button type="button" class="primary" onClick=${() => files.current.click()}><${Icon} name="file" size=${18} />${t("upload.choose_files")}</button>
      <button type="button" onClick=${() => folder.current.click()}><${Icon} name="folder" size=${18} />${t("upload.choose_folder")}</button>
    </div>
    <small>${t("upload.formats")}</small>
    <input class="hidden" ref=${files} type="file" multiple tabindex="-1" aria-label=${t("upload.choose_files")} data-testid="files" onChange=${pick} />
    <input class="hidden" ref=${folder} type="file" multiple webkitdirectory tabindex="-1" aria-label=${t("upload.choose_folder")} onChange=${pick} />
  </div>`;
}

function Addresses({ target }) {
  const [text, setText] = useState("");
  const urls = text.split(/\s+/).filter(Boolean);
  const [send, isRunning, problem, clear] = useAction(async () => {
    const task = await post(`/knowledge-bases/${target.knowledgeBase}/documents/import`, { urls, options: { on_duplicate: target.onDuplicate } });
    setText("");
    return task;
  });
  const [task, setTask] = useState(null);
  return html`<form class="stack" onSubmit=${async (event) => { event.preventDefault(); setTask(await send()); }}>
    <${TextArea} label=${t("upload.urls_label")} hint=${t("upload.urls_hint")} rows="5" spellcheck=${false} placeholder=${"https://www.rfc-editor.org/rfc/rfc9110.txt"} value=${text} onInput=${setText} />
    <${ProblemBox} problem=${problem} onClose=${clear} />
    <div class="row"><button type="submit" class="primary" disabled=${isRunning || !urls.length}>${urls.length ? t("upload.urls_send", { n: urls.length }) : t("upload.urls_none")}</button><${Sent} task=${task} /></div>
  </form>`;
}

function Text({ target }) {
  const [filename, setFilename] = useState("");
  const [text, setText] = useState("");
  const [send, isRunning, problem, clear] = useAction(async () => {
    const body = { text, filename: filename.trim() || "note.md", options: { on_duplicate: target.onDuplicate } };
    const task = await post(`/knowledge-bases/${target.knowledgeBase}/documents/import`, body);
    setText("");
    return task;
  });
  const [task, setTask] = useState(null);
  return html`<form class="stack" onSubmit=${async (event) => { event.preventDefault(); setTask(await send()); }}>
    <${Input} label=${t("upload.text_name")} placeholder="note.md" value=${filename} onInput=${setFilename} />
    <${TextArea} label=${t("upload.text_label")} hint=${t("upload.text_hint")} rows="8" value=${text} onInput=${setText} />
    <${ProblemBox} problem=${problem} onClose=${clear} />
    <div class="row"><button type="submit" class="primary" disabled=${isRunning || !text.trim()}>${t("upload.text_send")}</button><${Sent} task=${task} /></div>
  </form>`;
}

function Sent({ task }) {
  if (!task) return null;
  const [document] = task.documents;
  return html`<span class="said" role="status"><${Icon} name="check" size=${18} />
    ${task.documents.length === 1 && document.status === "skipped" ? t("upload.was_there") : t("upload.sent")}
    <a href=${link(["tasks", task.task_id])}>${t("upload.watch")}</a></span>`;
}

function Interrupted({ bases }) {
  const entries = useUploads();
  const [left, setLeft] = useState([]);
  useEffect(() => { interrupted().then(setLeft); }, [entries.map((one) => one.id + one.state).join()]);
  if (!left.length) return null;
  const nameOf = (id) => bases.find((one) => one.knowledge_base_id === id)?.name ?? id;
  return html`<section class="card notice-card" data-testid="interrupted"><h2>${t("interrupted.title")}</h2><p>${t("interrupted.text")}</p>
    <ul class="plain">${left.map((one) => html`<li key=${one.key} class="row between"><span><strong>${one.name}</strong> · ${bytes(one.bytes)} · ${nameOf(one.knowledgeBase)}</span>
      <button type="button" class="quiet" onClick=${() => { forgetInterrupted(one.key); interrupted().then(setLeft); }}>${t("interrupted.forget")}</button></li>`)}</ul></section>`;
}

function Queue() {
  const entries = useUploads();
  if (!entries.length) return null;
  const open = entries.filter((one) => one.state !== "accepted").length;
  return html`<section class="card" aria-labelledby="queue-title">
    <div class="row between"><h2 id="queue-title">${t("queue.title")} <small class="muted">${open ? t("queue.open", { n: open }) : t("queue.done")}</small></h2>
      ${open < entries.length && html`<button type="button" class="quiet" onClick=${forgetEnded}>${t("queue.forget")}</button>`}</div>
    <ul class="uploads">${entries.map((one) => html`<${Line} key=${one.id} entry=${one} />`)}</ul>
  </section>`;
}

function Line({ entry }) {
  const speed = speedOf(entry);
  const isDuplicate = entry.document?.status === "skipped";
  const share = entry.bytes ? entry.sent / entry.bytes : 0;
  return html`<li class="upload" data-state=${entry.state}>
    <span class="upload-icon"><${Icon} name=${entry.state === "accepted" ? "check" : "file"} /></span>
    <div class="upload-said">
      <div class="row between tight"><strong class="ellipsis" title=${entry.path ?? entry.name}>${entry.path ?? entry.name}</strong>
        ${isDuplicate ? html`<${Badge} status="skipped" />` : html`<${Badge} status=${entry.state} kind="upload" />`}</div>
      ${entry.state !== "accepted" && html`<${Progress} share=${share} label=${entry.name} tone=${entry.state === "failed" ? "bad" : entry.state === "paused" ? "warn" : undefined} />`}
      <small>${entry.state === "accepted"
        ? html`${bytes(entry.bytes)} · ${isDuplicate
            ? html`${t("upload.was_there")} <a href=${link(["knowledge-bases", entry.knowledgeBase, "documents", entry.document.duplicate_of])}>${t("upload.show_that")}</a>`
            : html`<a href=${link(["tasks", entry.taskId])}>${t("upload.watch")}</a>`}`
        : html`${bytes(entry.sent)} / ${bytes(entry.bytes)} · ${percent(share)}
          ${entry.isResumed && html` · ${t("upload.resumed")}`}
          ${speed && html` · ${bytes(speed.perS)}/s · ${t("upload.left", { time: duration(speed.leftS * 1000) })}`}`}</small>
      <${ProblemBox} problem=${entry.problem} />
    </div>
    <div class="upload-actions">
      ${(entry.state === "uploading" || entry.state === "waiting") && html`<button type="button" class="quiet icon-only" aria-label=${`${t("upload.pause")}: ${entry.name}`} onClick=${() => pause(entry)}><${Icon} name="pause" /></button>`}
      ${entry.state === "paused" && html`<button type="button" class="quiet icon-only" aria-label=${`${t("upload.resume")}: ${entry.name}`} onClick=${() => resume(entry)}><${Icon} name="play" /></button>`}
      ${entry.state === "failed" && html`<button type="button" class="quiet icon-only" aria-label=${`${t("do.again")}: ${entry.name}`} onClick=${() => resume(entry)}><${Icon} name="retry" /></button>`}
      <button type="button" class="quiet icon-only" aria-label=${`${entry.state === "accepted" ? t("upload.hide") : t("upload.discard")}: ${entry.name}`} onClick=${() => discard(entry)}><${Icon} name="close" /></button>
    </div>
  </li>`;
}
