// One task, step by step, while it happens; and its history, to any fact of which one can go back.
import { get, post } from "../api.js";
import { ago, bytes, duration, moment, number, percent } from "../format.js";
import { useAction, useClock, useLoaded, useStream } from "../hooks.js";
import { html, useState } from "../html.js";
import { named, reason, t } from "../language.js";
import { Badge, Confirm, Copy, Head, Icon, Live, Loading, ProblemBox, Progress } from "../parts.js";
import { HaltedHere } from "../parts/readiness.js";
import { Timeline } from "../parts/timeline.js";
import { go, link } from "../router.js";
import { Counts } from "./tasks.js";

const STEPS = ["fetch", "parse", "chunk", "embed", "index"];
const OPEN = ["queued", "processing"];
const SHOWN = 50;
const STILL_MS = 5_000; // without a change: it is asked whether anything can be recorded

export default function Task({ task: id }) {
  const [task, setTask] = useState(null);
  const [documents, setDocuments] = useState(new Map());
  const [shown, setShown] = useState(SHOWN);
  const [asked, setAsked] = useState(null);
  const live = useStream(`/tasks/${id}/stream`, (name, data) => {
    if (name === "status") setTask((before) => (!before || before.version <= data.version ? data : before));
    else if (name === "document") setDocuments((before) => {
      const known = before.get(data.document_id);
      return known && known.version > data.version ? before : new Map(before).set(data.document_id, data);
    });
  });
  const base = useLoaded((signal) => (task ? get(`/knowledge-bases/${task.knowledge_base_id}`, {}, signal) : Promise.resolve(null)), [task?.knowledge_base_id]);
  const now = useClock(1_000, Boolean(task && OPEN.includes(task.status)));
  if (live.problem) return html`<${Head} title=${t("tasks.task")} back=${{ href: link(["tasks"]), title: t("tasks.title") }} /><${ProblemBox} problem=${live.problem} />`;
  if (!task) return html`<${Loading} />`;
  const isOpen = OPEN.includes(task.status);
  const rows = [...documents.values()].sort(byUrgency);
  const took = new Date(task.finished_at ?? now) - new Date(task.submitted_at);
  return html`<${Head} title=${t(`source.${task.source}`, { n: task.documents.total })} back=${{ href: link(["tasks"]), title: t("tasks.title") }}
      actions=${html`
        ${isOpen && html`<button type="button" onClick=${() => setAsked("cancel")}><${Icon} name="close" size=${18} />${t("task.cancel")}</button>`}
        ${task.documents.failed + task.documents.cancelled > 0 && !isOpen && html`<button type="button" class="primary" onClick=${() => setAsked("retry")}><${Icon} name="retry" size=${18} />${t("task.retry")}</button>`}`}>
      <${Badge} status=${task.status} /><${Live} state=${live} />
    <//>
    <section class="card task-state">
      <div class="with-bar big"><${Progress} share=${task.progress} label=${t("tasks.progress")} tone=${task.documents.failed ? "bad" : undefined} /><strong>${percent(task.progress)}</strong></div>
      <div class="row between"><${Counts} documents=${task.documents} /><span class="muted">${isOpen ? t("task.runs", { time: duration(took) }) : t("task.took", { time: duration(took) })}</span></div>
      <dl class="facts">
        <div><dt>${t("bases.single")}</dt><dd><a href=${link(["knowledge-bases", task.knowledge_base_id])}>${base.data?.name ?? "…"}</a></dd></div>
        <div><dt>${t("task.submitted")}</dt><dd><time datetime=${task.submitted_at} title=${moment(task.submitted_at)}>${ago(task.submitted_at, now)}</time></dd></div>
        <div><dt>${t("task.lane")}</dt><dd>${named("lane", task.lane)}</dd></div>
        <div><dt>${t("task.id")}</dt><dd><${Copy} text=${task.task_id} label=${`${task.task_id.slice(0, 14)}…${task.task_id.slice(-4)}`} /></dd></div>
      </dl>
    </section>
    ${isOpen && now - new Date(task.updated_at) > STILL_MS && html`<${HaltedHere} id=${task.task_id} />`}
    <section aria-labelledby="documents-title"><h2 id="documents-title">${t("tasks.documents")}</h2>
      <ul class="documents">${rows.slice(0, shown).map((one) => html`<${Document} key=${one.document_id} document=${one} now=${now} />`)}</ul>
      ${rows.length > shown && html`<div class="pager"><span>${t("pager.of", { n: shown, total: rows.length })}</span><button type="button" onClick=${() => setShown(shown + SHOWN)}>${t("pager.more")}</button></div>`}
    </section>
    <${Timeline} task=${task} documents=${documents} />
    ${asked === "cancel" && html`<${Cancel} id=${id} onClose=${() => setAsked(null)} />`}
    ${asked === "retry" && html`<${Retry} task=${task} onClose=${() => setAsked(null)} />`}`;
}

// What needs somebody's eye comes first, then what moves, then the rest.
function byUrgency(a, b) {
  const rank = (one) => (one.status === "failed" ? 0 : one.error ? 1 : ["completed", "skipped", "cancelled", "deleted"].includes(one.status) ? 3 : 2);
  return rank(a) - rank(b) || (a.accepted_at < b.accepted_at ? -1 : 1);
}

function Document({ document: one, now }) {
  const { counts } = one;
  const told = [
    counts.pages > 0 && t("count.pages", { n: counts.pages }),
    counts.characters > 0 && t("count.characters", { n: counts.characters }),
    counts.chunks > 0 && (counts.chunks_embedded < counts.chunks ? t("count.embedded", { n: counts.chunks_embedded, total: counts.chunks }) : t("count.chunks", { n: counts.chunks })),
    counts.chunks_reused > 0 && t("count.reused", { n: counts.chunks_reused }),
    counts.tokens_sent > 0 && t("count.tokens_sent", { n: counts.tokens_sent }),
  ].filter(Boolean);
  return html`<li class="document" data-status=${one.status}>
    <div class="row between tight"><a class="strong ellipsis" title=${one.filename} href=${link(["knowledge-bases", one.knowledge_base_id, "documents", one.document_id])}>${one.filename || t("document.unnamed")}</a>
      <span class="row tight">${one.size_bytes > 0 && html`<small class="muted">${bytes(one.size_bytes)}</small>`}<${Badge} status=${one.status} /></span></div>
    ${one.status === "skipped"
      ? html`<p class="said-small">${t("upload.was_there")} <a href=${link(["knowledge-bases", one.knowledge_base_id, "documents", one.duplicate_of])}>${t("upload.show_that")}</a></p>`
      : html`<${Stages} document=${one} now=${now} />`}
    ${told.length > 0 && html`<p class="said-small muted">${told.join(" · ")}</p>`}
    ${one.waiting && html`<p class="said-small waiting"><${Icon} name="clock" size=${16} />${waited(one.waiting, now)}</p>`}
    ${one.error && html`<p class="said-small error"><${Icon} name="warn" size=${16} /><span><strong>${named("step", one.error.step)}: ${reason(one.error.code)}</strong> ${one.error.message} <code>${one.error.code}</code></span></p>`}
    ${one.warnings.map((warning) => html`<p class="said-small warning">${named("warning", warning)}</p>`)}
  </li>`;
}

function waited({ reason, since, until }, now) {
  const for_ = since ? t("wait.since", { time: duration(now - new Date(since)) }) : "";
  const until_ = until ? (new Date(until) > now ? t("wait.until", { time: duration(new Date(until) - now) }) : t("wait.due")) : "";
  return [named("wait", reason), for_, until_].filter(Boolean).join(" · ");
}

// The steps side by side: done, running, failed, still to come; with how long and at which attempt.
function Stages({ document: one, now }) {
  const steps = STEPS.filter((step) => step !== "fetch" || one.origin);
  return html`<ol class="stages">${steps.map((step) => {
    const stage = one.stages.find((found) => found.step === step);
    const isFailed = one.error?.step === step;
    const state = stage?.finished_at ? "done" : isFailed ? (one.error.retry_at ? "waiting" : "failed") : stage ? (["failed", "cancelled"].includes(one.status) ? "stopped" : "running") : "todo";
    const ms = stage && (stage.finished_at ? new Date(stage.finished_at) - new Date(stage.started_at) : state === "running" ? Math.max(0, now - new Date(stage.started_at)) : null);
    return html`<li data-state=${state}><span class="stage-name">${named("step", step)}</span>
      <span class="stage-said">${ms === null || ms === undefined ? named("stage", state) : duration(ms)}${stage?.attempts > 1 && html` <b title=${t("stage.attempts", { n: stage.attempts })}>×${number(stage.attempts)}</b>`}</span></li>`;
  })}</ol>`;
}

function Cancel({ id, onClose }) {
  const [cancel, isRunning, problem] = useAction(async () => { await post(`/tasks/${id}/cancel`, { reason: "" }); onClose(); });
  return html`<${Confirm} title=${t("task.cancel_title")} action=${t("task.cancel")} isDangerous isRunning=${isRunning} problem=${problem} onConfirm=${cancel} onClose=${onClose}><p>${t("task.cancel_text")}</p><//>`;
}

function Retry({ task, onClose }) {
  const [retry, isRunning, problem] = useAction(async () => {
    const query = task.documents.cancelled ? { cancelled: "true" } : {};
    const made = await post(`/tasks/${task.task_id}/retry`, undefined, query);
    onClose();
    go(["tasks", made.task_id]);
  });
  const count = task.documents.failed + task.documents.cancelled;
  return html`<${Confirm} title=${t("task.retry_title")} action=${t("task.retry")} isRunning=${isRunning} problem=${problem} onConfirm=${retry} onClose=${onClose}><p>${t("task.retry_text", { n: count })}</p><//>`;
}
