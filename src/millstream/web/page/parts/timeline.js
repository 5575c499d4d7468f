// A task's facts in the order of the log: when, how long after, caused by what; and the status as of any of them.
import { get } from "../api.js";
import { clock, duration, moment, percent } from "../format.js";
import { useLoaded } from "../hooks.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { named, reason, t } from "../language.js";
import { Counts } from "../views/tasks.js";
import { Icon } from "./icon.js";
import { Loading, ProblemBox } from "./notice.js";
import { Badge, Progress } from "./status.js";

const FACTS_MAX = 1_000;
const LANES_MAX = 12;
const SHOWN = 60;
const ENDS = { DocumentFetched: "fetch", DocumentParsed: "parse", DocumentChunked: "chunk", DocumentEmbedded: "embed", DocumentIndexed: "index" };

async function every(path, signal) {
  const facts = [];
  let cursor;
  do {
    const page = await get(path, { limit: 200, cursor }, signal);
    facts.push(...page.data);
    cursor = page.next_cursor;
    if (!cursor || facts.length >= FACTS_MAX) return { facts, total: page.total };
  } while (cursor);
  return { facts, total: facts.length };
}

export function Timeline({ task, documents }) {
  const isEnded = Boolean(task.finished_at);
  const [version, setVersion] = useState(task.version);
  // A running task's history is read anew at most once a second; an ended one's once more.
  useEffect(() => {
    const timer = setTimeout(() => setVersion(task.version), isEnded ? 200 : 1_000);
    return () => clearTimeout(timer);
  }, [isEnded, isEnded ? task.version : Math.floor(Date.now() / 1_000)]);
  const { data, problem, reload } = useLoaded((signal) => every(`/tasks/${task.task_id}/events`, signal), [task.task_id, version]);
  const [chosen, setChosen] = useState(null); // null: the last one, whatever comes
  const [shown, setShown] = useState(SHOWN);
  const facts = data?.facts ?? [];
  const at = chosen === null ? facts.length - 1 : Math.min(chosen, facts.length - 1);
  const told = useMemo(() => explained(facts, documents), [data, documents.size]);
  const story = useRef(null);
  // The list follows the slider, and the page stays where it is.
  useEffect(() => {
    const here = story.current?.querySelector(".here");
    if (chosen !== null && here) story.current.scrollTop = here.offsetTop - story.current.clientHeight / 2;
  }, [at]);
  return html`<section class="card timeline" aria-labelledby="timeline-title">
    <div class="row between"><h2 id="timeline-title">${t("timeline.title")} ${data && html`<small class="muted">${t("timeline.facts", { n: data.total ?? facts.length })}</small>`}</h2></div>
    <p class="muted">${t("timeline.text")}</p>
    <${ProblemBox} problem=${problem} onRetry=${reload} />
    ${!data && !problem && html`<${Loading} />`}
    ${facts.length > 0 && html`
      <${Lanes} facts=${facts} documents=${documents} at=${at} />
      <label class="slider"><span>${t("timeline.slider")}</span>
        <input type="range" min="0" max=${facts.length - 1} value=${at} aria-valuetext=${`${at + 1} / ${facts.length}: ${named("fact", facts[at].type)}, ${clock(facts[at].recorded_at)}`}
          onInput=${(event) => { const place = Number(event.target.value); setChosen(place === facts.length - 1 ? null : place); }} /></label>
      <${AsOf} task=${task} fact=${facts[at]} place=${at} isLast=${chosen === null} count=${facts.length} />
      <ol class="story" ref=${story}>${told.slice(0, Math.max(shown, at + 5)).map((one, place) => html`<li key=${one.fact.event_id} data-kind=${one.kind} class=${place > at ? "later" : place === at ? "here" : ""}>
        <button type="button" class="fact" aria-current=${place === at ? "step" : undefined} onClick=${() => setChosen(place)}>
          <time datetime=${one.fact.recorded_at} title=${moment(one.fact.recorded_at)}>${clock(one.fact.recorded_at)}</time>
          <span class="fact-name">${named("fact", one.fact.type)}${one.about && html` <em>${one.about}</em>`}</span>
          <span class="fact-said">${one.said.join(" · ")}</span>
        </button></li>`)}</ol>
      ${told.length > Math.max(shown, at + 5) && html`<button type="button" onClick=${() => setShown(shown + 200)}>${t("pager.more")}</button>`}`}
  </section>`;
}

function AsOf({ task, fact, place, isLast, count }) {
  const past = useLoaded((signal) => (isLast ? Promise.resolve(null) : get(`/tasks/${task.task_id}/events`, { at: fact.position }, signal)), [task.task_id, isLast ? "" : fact.event_id]);
  const status = isLast ? task : past.data?.task;
  return html`<div class="as-of" data-testid="as-of" aria-live="polite">
    <span class="as-of-when"><${Icon} name="clock" size=${18} />${isLast ? t("timeline.now") : t("timeline.as_of", { n: place + 1, total: count, time: clock(fact.recorded_at) })}</span>
    <${ProblemBox} problem=${past.problem} />
    ${status && html`<${Badge} status=${status.status} /><div class="with-bar"><${Progress} share=${status.progress} label=${t("tasks.progress")} /><span>${percent(status.progress)}</span></div><${Counts} documents=${status.documents} />`}
  </div>`;
}

// Each document a lane, each step a bar from its start to its result, on the task's own time.
function Lanes({ facts, documents, at }) {
  const start = new Date(facts[0].recorded_at).getTime();
  const whole = Math.max(1, new Date(facts.at(-1).recorded_at).getTime() - start);
  const place = (iso) => ((new Date(iso).getTime() - start) / whole) * 100;
  const lanes = new Map();
  for (const fact of facts) {
    if (!fact.stream_id.startsWith("doc_")) continue;
    const lane = lanes.get(fact.stream_id) ?? { bars: [], open: null };
    lanes.set(fact.stream_id, lane);
    if (fact.type === "StepStarted") lane.open = { step: fact.data.step, from: fact.recorded_at };
    const isEnd = ENDS[fact.type] === lane.open?.step || ["StepFailed", "DocumentFailed", "DocumentCancelled"].includes(fact.type);
    if (lane.open && isEnd) {
      lane.bars.push({ ...lane.open, to: fact.recorded_at, isFailed: fact.type === "StepFailed" || fact.type === "DocumentFailed" });
      lane.open = null;
    }
  }
  for (const lane of lanes.values()) if (lane.open) lane.bars.push({ ...lane.open, to: facts.at(-1).recorded_at, isOpen: true });
  const shown = [...lanes].filter(([, lane]) => lane.bars.length).slice(0, LANES_MAX);
  if (!shown.length) return null;
  const steps = [...new Set(shown.flatMap(([, lane]) => lane.bars.map((one) => one.step)))];
  return html`<div class="lanes" aria-hidden="true">
    ${shown.map(([id, lane]) => html`<div class="lane"><span class="ellipsis">${documents.get(id)?.filename ?? id.slice(0, 10)}</span>
      <div class="lane-bars">${lane.bars.map((bar) => html`<i data-step=${bar.step} data-failed=${bar.isFailed ? "yes" : undefined} title=${`${named("step", bar.step)} · ${duration(new Date(bar.to) - new Date(bar.from))}`}
        style=${{ insetInlineStart: `${place(bar.from)}%`, inlineSize: `${Math.max(0.4, place(bar.to) - place(bar.from))}%` }}></i>`)}
        <b style=${{ insetInlineStart: `${place(facts[at].recorded_at)}%` }}></b></div></div>`)}
    <div class="lane"><span></span><div class="lane-scale"><span>0</span><span>${duration(whole / 2)}</span><span>${duration(whole)}</span></div></div>
    <div class="legend">${steps.map((step) => html`<span><i data-step=${step}></i>${named("step", step)}</span>`)}</div>
  </div>`;
}

// What is said of each fact beside its name: how long its step took, at which attempt, why it failed, what led to it.
function explained(facts, documents) {
  const byId = new Map(facts.map((one) => [one.event_id, one]));
  const started = new Map();
  return facts.map((fact) => {
    const { data } = fact;
    const said = [];
    let about = null;
    if (fact.stream_id.startsWith("doc_")) about = documents.get(fact.stream_id)?.filename ?? data.filename ?? fact.stream_id.slice(0, 12);
    if (fact.type === "StepStarted") {
      started.set(fact.stream_id, fact);
      said.push(named("step", data.step));
      if (data.attempt > 1) said.push(t("stage.attempts", { n: data.attempt }));
      said.push(data.worker.split("@")[0]);
    } else {
      const before = started.get(fact.stream_id);
      if (before && fact.type !== "ChunksEmbedded") {
        said.push(t("timeline.after", { time: duration(new Date(fact.recorded_at) - new Date(before.recorded_at)), step: named("step", before.data.step) }));
        started.delete(fact.stream_id);
      }
    }
    if (data.pages) said.push(t("count.pages", { n: data.pages }));
    if (data.chunks) said.push(t("count.chunks", { n: data.chunks }));
    if (data.code) said.push(reason(data.code));
    if (data.message) said.push(data.message);
    if (data.retry_at_us) said.push(t("timeline.retry_at", { time: clock(data.retry_at_us / 1000) }));
    if (data.reason) said.push(data.reason);
    const cause = byId.get(fact.cause);
    if (cause) said.push(t("timeline.because", { fact: named("fact", cause.type) }));
    else if (fact.actor) said.push(t("timeline.by", { actor: fact.actor }));
    const kind = /Failed$/.test(fact.type) ? "bad" : /Finished|Indexed|Completed/.test(fact.type) ? "good" : fact.type === "StepStarted" ? "quiet" : "calm";
    return { fact, about, said, kind };
  });
}
