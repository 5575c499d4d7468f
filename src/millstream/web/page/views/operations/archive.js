// What of the log lies in segments of the blob store: of each partition how much, how far behind, when it was verified.
import { get, post, problemIn, send } from "../../api.js";
import { ago, bytes, duration, moment, number } from "../../format.js";
import { useAction, usePolled } from "../../hooks.js";
import { html, useEffect, useRef, useState } from "../../html.js";
import { named, t } from "../../language.js";
import { Badge, Empty, Icon, Loading, ProblemBox, Progress, Table } from "../../parts.js";
import { readEvents } from "../../stream.js";
import { Figure } from "../knowledge_bases.js";

const LOOK_MS = 3_000;
const DAMAGES_SHOWN = 100;

export function Archive() {
  const { data: archive, problem, look } = usePolled((signal) => get("/archive", {}, signal), LOOK_MS);
  const verification = useVerification(look);
  const [archiveNow, isAsking, refusal, clear] = useAction(async () => { await post("/archive/now"); look(); });
  if (!archive) return problem ? html`<${ProblemBox} problem=${problem} onRetry=${look} />` : html`<${Loading} />`;
  const isVerifying = verification.state?.isRunning;
  const isAsked = archive.partitions.some((one) => one.is_asked);
  return html`<${ProblemBox} problem=${refusal ?? problem} onClose=${refusal ? clear : undefined} onRetry=${refusal ? undefined : look} />
    ${!archive.is_kept && html`<${Empty} icon="books" title=${t("archive.off")}>${t("archive.off_text")}<//>`}
    <section class="card"><div class="figures">
      <${Figure} value=${number(archive.events)} name=${t("archive.events")} /><${Figure} value=${number(archive.segments)} name=${t("archive.segments", { n: archive.segments })} />
      <${Figure} value=${bytes(archive.size_bytes)} name=${t("bases.size")} /><${Figure} value=${number(archive.waiting_events)} name=${t("archive.waiting")} /></div>
      <p class="muted">${t("archive.rule", { n: archive.segment_events_max, age: duration(archive.after_s * 1_000), kept: duration(archive.retention_s * 1_000) })}</p>
      <div class="row"><button type="button" class="primary" disabled=${isAsking || isAsked || !archive.is_kept || archive.waiting_events === 0} onClick=${archiveNow}>${t(isAsked ? "archive.asked" : "archive.now")}</button>
        <button type="button" disabled=${isVerifying} onClick=${() => verification.run()}><${Icon} name="check" size=${18} />${t("archive.verify_all")}</button></div></section>
    ${verification.state && html`<${Verification} ...${verification} />`}
    <${Table} caption=${t("operations.archive")} rows=${archive.partitions} keyOf=${(one) => one.partition} columns=${[
      { name: "partition", title: t("archive.partition"), show: (one) => html`<strong>${number(one.partition)}</strong>` },
      { name: "events", title: t("archive.archived"), isNumber: true, show: (one) => html`${number(one.events)}${one.segments > 0 && html`<small class="block muted nowrap">${number(one.segments)} ${t("archive.segments", { n: one.segments })} · ${bytes(one.size_bytes)}</small>`}` },
      { name: "reach", title: t("archive.reach"), show: (one) => (one.last ? html`<span class="nowrap" title=${`${moment(one.first.at)} – ${moment(one.last.at)}`}>${ago(one.last.at)}</span><small class="block muted nowrap" title=${t("archive.from", { position: one.first.position, time: moment(one.first.at) })}><code>${one.last.position}</code></small>` : "–") },
      { name: "waiting", title: t("archive.waiting"), isNumber: true, show: (one) => html`${number(one.waiting_events)}${one.waiting_s !== null && html`<small class="block muted">${t("archive.oldest", { time: duration(one.waiting_s * 1_000) })}</small>`}` },
      { name: "memory", title: t("archive.in_memory"), isNumber: true, show: (one) => html`${number(one.log_events)}${one.log_events > one.waiting_events && html`<small class="block muted">${held(one.held_by)}</small>`}` },
      { name: "verified", title: t("archive.verified"), show: (one) => (one.verified ? html`<${Badge} status=${one.verified.damages ? "damaged" : "sound"} /> <small class="muted" title=${moment(one.verified.at)}>${ago(one.verified.at)}</small>` : html`<small class="muted">${t("keys.never")}</small>`) },
      { name: "verify", title: "", show: (one) => html`<button type="button" class="quiet" aria-label=${t("archive.verify_one", { n: one.partition })} disabled=${isVerifying || one.segments === 0} onClick=${() => verification.run(one.partition)}>${t("archive.verify")}</button>` },
    ]} />`;
}

// What keeps archived events in memory; the steps' inboxes are told as `inbox embed:bulk`.
function held(by) {
  const step = /^inbox (\w+):/.exec(by)?.[1];
  return step ? t("archive.held_inbox", { step: named("step", step) }) : t(`archive.held_${by}`);
}

// `{state, run(partition), stop}`; leaving the view stops it, as the service works only while somebody listens.
function useVerification(onDone) {
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async (partition) => {
    const own = new AbortController();
    running.current = own;
    const put = (change) => { if (running.current === own && !own.signal.aborted) setState((before) => ({ ...before, ...change(before) })); };
    setState({ isRunning: true, progress: new Map(), damages: [], end: null, problem: null });
    try {
      const answer = await send("POST", "/archive/verify", { query: { partition }, signal: own.signal });
      await readEvents(answer, ({ name, data }) => {
        const told = JSON.parse(data);
        if (name === "progress") put((before) => ({ progress: new Map(before.progress).set(told.partition, told) }));
        else if (name === "damage") put((before) => ({ damages: [...before.damages, told] }));
        else if (name === "end") put(() => ({ end: told }));
        else if (name === "error") put(() => ({ problem: problemIn(data, 503) }));
      });
      put((before) => ({ isRunning: false, problem: before.problem ?? (before.end ? null : problemIn(JSON.stringify({ code: "unreachable" }), 0)) }));
    } catch (problem) {
      put(() => ({ isRunning: false, problem }));
    }
    onDone();
  };
  const stop = () => { running.current?.abort(); setState(null); };
  return { state, run, stop };
}

function Verification({ state, stop }) {
  const parts = [...state.progress.values()];
  const last = parts.at(-1);
  const read = parts.reduce((sum, one) => sum + one.events, 0);
  return html`<section class="card" data-testid="verification" aria-labelledby="verification-title">
    <div class="row between"><h2 id="verification-title">${t("archive.verify_title")}</h2>
      ${state.isRunning ? html`<button type="button" onClick=${stop}>${t("ask.stop")}</button>` : html`<button type="button" class="quiet icon-only" aria-label=${t("do.close")} onClick=${stop}><${Icon} name="close" /></button>`}</div>
    <${ProblemBox} problem=${state.problem} />
    ${state.isRunning && html`<div class="with-bar"><${Progress} share=${last ? last.events / Math.max(1, last.total) : 0} label=${t("archive.verify_title")} /><span>${last ? t("archive.verifying", { n: last.partition, read: number(read) }) : t("loading")}</span></div>`}
    ${state.end && html`<p role="status" class=${state.damages.length ? "error-text" : ""}><${Icon} name=${state.damages.length ? "warn" : "check"} size=${18} /> ${state.damages.length ? t("archive.damaged", { n: state.damages.length }) : t("archive.sound", { n: state.end.events })}</p>`}
    ${state.damages.length > 0 && html`<ul class="plain">${state.damages.slice(0, DAMAGES_SHOWN).map((one) => html`<li class="said-small error"><code>${one.segment}${one.offset === null ? "" : `@${one.offset}`}</code> ${one.number !== null && t("archive.event", { n: one.number })} ${one.what}</li>`)}</ul><p>${t("archive.damaged_text")}</p>`}
  </section>`;
}
