// What is on its way: a card for each choice of files, with how far it is and what came of each file.
import { bytes, duration, number, percent } from "../../format.js";
import { useClock } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { named, t } from "../../language.js";
import { Badge, Icon, ProblemBox, Progress } from "../../parts.js";
import { link } from "../../router.js";
import { discard, forgetDone, goOn, isDone, pause, sentOf, speedOf, useUploads } from "../../uploads.js";

const SHOWN = 100;
const ORDER = ["refused", "failed", "sending", "patient", "paused", "waiting", "duplicate", "accepted"];

export function Queue({ nameOf }) {
  const choices = useUploads();
  if (!choices.length) return null;
  const open = choices.filter((one) => !isDone(one)).length;
  return html`<section class="card" aria-labelledby="queue-title">
    <div class="row between"><h2 id="queue-title">${t("queue.title")} <small class="muted" role="status">${open ? t("queue.open", { n: open }) : t("queue.done")}</small></h2>
      ${open < choices.length && html`<button type="button" class="quiet" onClick=${forgetDone}>${t("queue.forget")}</button>`}</div>
    <ul class="uploads">${choices.map((one) => html`<${Choice} key=${one.id} choice=${one} baseName=${nameOf(one.target.knowledgeBase)} />`)}</ul>
  </section>`;
}

// One word for all parcels of a choice: what somebody has to know first.
function stateOf(choice, told) {
  const states = new Set(choice.parcels.map((one) => one.state));
  const first = ["sending", "failed", "patient", "paused", "waiting"].find((one) => states.has(one));
  if (first) return first;
  return told.accepted || told.duplicate ? (told.accepted ? "accepted" : "duplicate") : "refused";
}

function Choice({ choice, baseName }) {
  const parcelOf = new Map(choice.parcels.flatMap((one) => one.files.map((file) => [file, one])));
  const files = choice.files.map((file) => ({ ...file, at: ["refused", "accepted", "duplicate"].includes(file.state) ? file.state : parcelOf.get(file)?.state ?? file.state }));
  const told = Object.fromEntries(ORDER.map((one) => [one, files.filter((file) => file.at === one).length]));
  const state = stateOf(choice, told);
  const name = choice.folder ?? choice.files[0].name;
  const title = choice.folder ?? (files.length > 1 ? `${name} ${t("queue.more_files", { n: files.length - 1 })}` : name);
  const sent = sentOf(choice);
  const share = choice.bytes ? sent / choice.bytes : 1;
  const isOver = isDone(choice);
  return html`<li class="upload" data-state=${state}>
    <span class="upload-icon"><${Icon} name=${isOver && state !== "refused" ? "check" : choice.folder ? "folder" : state === "refused" || state === "failed" ? "warn" : "file"} /></span>
    <div class="upload-said">
      <div class="row between tight"><strong class="ellipsis" title=${title}>${title}</strong><${Badge} status=${state === "duplicate" ? "skipped" : state} kind=${state === "duplicate" ? "status" : "upload"} /></div>
      ${!isOver && html`<${Progress} share=${share} label=${title} tone=${state === "failed" ? "bad" : state === "paused" || state === "patient" ? "warn" : undefined} />
        <small><${Way} choice=${choice} sent=${sent} share=${share} files=${files.length} /></small>`}
      <${Outcome} choice=${choice} files=${files} told=${told} isOver=${isOver} baseName=${baseName} />
      <${Waits} choice=${choice} />
      <${Refusals} choice=${choice} />
      ${files.length > 1 && html`<${Files} choice=${choice} files=${files} parcelOf=${parcelOf} />`}
    </div>
    <${Actions} choice=${choice} state=${state} title=${title} isOver=${isOver} />
  </li>`;
}

function Way({ choice, sent, share, files }) {
  const speed = speedOf(choice);
  return html`${files > 1 && `${t("queue.files", { n: files })} · `}${bytes(sent)} / ${bytes(choice.bytes)} · ${percent(share)}
    ${choice.parcels.some((one) => one.isResumed) && html` · ${t("upload.resumed")}`}
    ${speed && html` · <span data-testid="speed">${bytes(speed.perS)}/s</span> · <span data-testid="left">${t("upload.left", { time: duration(speed.leftS * 1000) })}</span>`}`;
}

// What came of the files so far, and where it is watched.
function Outcome({ choice, files, told, isOver, baseName }) {
  const tasks = choice.parcels.filter((one) => one.taskId);
  const only = files.length === 1 ? files[0] : null;
  if (only?.at === "duplicate") {
    return html`<small>${t("upload.was_there")} <a href=${link(["knowledge-bases", choice.target.knowledgeBase, "documents", only.document.duplicate_of])}>${t("upload.show_that")}</a></small>`;
  }
  const counts = ["accepted", "duplicate", "refused"].filter((one) => told[one] > 0);
  if (!tasks.length && !counts.length) return null;
  return html`<small class="upload-outcome">${isOver && html`<span>${bytes(choice.bytes)} · ${baseName}</span>`}
    ${!only && html`<span class="counts">${counts.map((one) => html`<span data-of=${one}>${t(`queue.${one}`, { n: told[one] })}</span>`)}</span>`}
    ${tasks.map((one) => html`<a key=${one.id} href=${link(["tasks", one.taskId])}>${tasks.length === 1 ? t("upload.watch") : t("queue.watch", { name: one.files[0].name, n: one.files.length })}</a>`)}</small>`;
}

// The service is busy or away: why, and when it goes on by itself.
function Waits({ choice }) {
  const waiting = choice.parcels.filter((one) => one.state === "patient");
  const now = useClock(1_000, waiting.length > 0);
  if (!waiting.length) return null;
  const next = waiting.reduce((a, b) => (a.until < b.until ? a : b));
  const why = named("problem", next.problem.code) === next.problem.code.replaceAll("_", " ") ? next.problem.title || t("upload.busy") : named("problem", next.problem.code);
  return html`<p class="said-small waiting" role="status" data-testid="waits"><${Icon} name="clock" size=${16} /><span>${why}. ${next.problem.status ? next.problem.detail : ""} ${t("upload.by_itself", { time: duration(Math.max(0, Math.ceil((next.until - now) / 1000)) * 1000) })}</span>
    <button type="button" class="quiet" onClick=${() => goOn(choice)}>${t("upload.now")}</button></p>`;
}

// What needs somebody: each reason once, with what to do.
function Refusals({ choice }) {
  const failed = choice.parcels.filter((one) => one.state === "failed");
  const reasons = new Map(failed.map((one) => [one.problem.code, one.problem]));
  const only = choice.files.length === 1 && choice.files[0].state === "refused" ? choice.files[0].problem : null;
  const advice = (code) => { const said = t(`advice.${code}`); return said === `advice.${code}` ? null : said; };
  return [...reasons.values(), ...(only ? [only] : [])].map((problem) => html`<div key=${problem.code} class="stack"><${ProblemBox} problem=${{ detail: "", errors: [], ...problem }} />
    ${advice(problem.code) && html`<small>${advice(problem.code)}</small>`}</div>`);
}

function Files({ choice, files, parcelOf }) {
  const [isOpen, setOpen] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const ordered = isOpen ? [...files].sort((a, b) => ORDER.indexOf(a.at) - ORDER.indexOf(b.at)) : [];
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>${t("queue.each", { n: files.length })}</summary>
    <ul class="plain upload-files" tabindex="0" aria-label=${t("queue.each", { n: files.length })}>${ordered.slice(0, shown).map((one) => html`<li key=${one.path} data-state=${one.at} class="row between tight">
      <span class="ellipsis" title=${one.path}>${one.document && one.at === "accepted" ? html`<a href=${link(["knowledge-bases", choice.target.knowledgeBase, "documents", one.document.document_id])}>${one.path}</a>` : one.path} <small class="muted">${bytes(one.bytes)}</small></span>
      <${FileOutcome} file=${one} knowledgeBase=${choice.target.knowledgeBase} parcel=${parcelOf.get(one)} /></li>`)}</ul>
    ${ordered.length > shown && html`<button type="button" onClick=${() => setShown(shown + 500)}>${t("pager.more")} <small>${number(ordered.length - shown)}</small></button>`}
  </details>`;
}

function FileOutcome({ file, knowledgeBase }) {
  if (file.at === "duplicate") return html`<a class="badge" href=${link(["knowledge-bases", knowledgeBase, "documents", file.document.duplicate_of])} title=${t("upload.was_there")}>${named("status", "skipped")}</a>`;
  if (file.at === "refused") return html`<span class="error-text" title=${file.problem.detail}>${named("problem", file.problem.code)}</span>`;
  return html`<${Badge} status=${file.at} kind="upload" />`;
}

function Actions({ choice, state, title, isOver }) {
  const button = (name, icon, run) => html`<button type="button" class="quiet icon-only" aria-label=${`${name}: ${title}`} title=${name} onClick=${() => run(choice)}><${Icon} name=${icon} /></button>`;
  return html`<div class="upload-actions">
    ${["sending", "waiting", "patient"].includes(state) && button(t("upload.pause"), "pause", pause)}
    ${state === "paused" && button(t("upload.resume"), "play", goOn)}
    ${state === "failed" && button(t("do.again"), "retry", goOn)}
    ${button(isOver ? t("upload.hide") : t("upload.discard"), "close", discard)}
  </div>`;
}
