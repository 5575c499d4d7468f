// What flows: events a minute, and of each step what it did, how long it took, what lies before it.
import { get } from "../../api.js";
import { clock, decimal, duration, number } from "../../format.js";
import { usePolled } from "../../hooks.js";
import { html, useEffect, useState } from "../../html.js";
import { named, t } from "../../language.js";
import { Loading, ProblemBox, Segments, Table } from "../../parts.js";
import { Bars, Line } from "../../parts/chart.js";
import { link } from "../../router.js";
import { Figure } from "../knowledge_bases.js";

const LOOK_MS = 2_000;
const SAMPLES = 60;

export function Flow() {
  const [minutes, setMinutes] = useState("15");
  const [samples, setSamples] = useState([]);
  const { data: flow, problem } = usePolled((signal) => get("/system", { minutes }, signal), LOOK_MS, [minutes]);
  useEffect(() => { if (flow) setSamples((before) => [...before, sampled(flow)].slice(-SAMPLES)); }, [flow]);
  if (!flow) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<${Loading} />`;
  const waiting = flow.steps.reduce((sum, one) => sum + one.waiting, 0);
  const pending = flow.steps.reduce((sum, one) => sum + one.pending, 0);
  const bars = flow.minutes.map((one) => ({ label: clock(one.at).slice(0, 5), value: one.events }));
  return html`<${ProblemBox} problem=${problem} />
    <div class="tiles">
      <${Tile} value=${decimal(flow.events_per_s, 1)} name=${t("flow.events_per_s")} values=${samples.map((one) => one.perS)} />
      <${Tile} value=${number(waiting)} name=${t("flow.waiting")} values=${samples.map((one) => one.waiting)} />
      <${Tile} value=${number(pending)} name=${t("flow.pending")} values=${samples.map((one) => one.pending)} />
      <${Tile} value=${number(flow.lag_events)} name=${t("flow.lag")} values=${samples.map((one) => one.lag)} tone=${flow.lag_events > 1_000 ? "warn" : undefined} />
    </div>
    <section class="card"><div class="row between"><h2>${t("flow.events_per_minute")}</h2>
      <${Segments} label=${t("flow.window")} value=${minutes} options=${["5", "15", "55"].map((one) => [one, t("flow.minutes", { n: Number(one) })])} onChange=${setMinutes} /></div>
      <${Bars} title=${t("flow.events_per_minute")} bars=${bars} /></section>
    <${Table} caption=${t("flow.steps")} rows=${flow.steps} keyOf=${(one) => one.step} columns=${[
      { name: "step", title: t("flow.step"), show: (one) => html`<span class="step-name"><i data-step=${one.step}></i>${named("step", one.step)}</span>` },
      { name: "lies", title: t("flow.lies"), isNumber: true, show: (one) => html`<span title=${t("flow.lies_text")}>${number(one.waiting)} + ${number(one.pending)}</span>` },
      { name: "spark", title: t("flow.lately"), show: (one) => html`<${Line} title=${named("step", one.step)} values=${samples.map((each) => each.steps[one.step] ?? 0)} count=${SAMPLES} />` },
      { name: "rate", title: t("flow.per_s"), isNumber: true, show: (one) => decimal(one.ended_per_s, 2) },
      { name: "p50", title: "p50", isNumber: true, show: (one) => (one.duration_p50_ms === null ? "–" : duration(one.duration_p50_ms)) },
      { name: "p95", title: "p95", isNumber: true, show: (one) => (one.duration_p95_ms === null ? "–" : duration(one.duration_p95_ms)) },
      { name: "done", title: t("flow.done"), isNumber: true, show: (one) => number(one.succeeded) },
      { name: "retried", title: t("flow.retried"), isNumber: true, show: (one) => number(one.retried) },
      { name: "failed", title: t("flow.failed"), isNumber: true, show: (one) => (one.failed ? html`<a href=${link(["operations"], { tab: "dead-letters", step: one.step })}>${number(one.failed)}</a>` : "0") },
    ]} />
    <section class="card"><h2>${t("flow.partitions")}</h2><div class="figures">
      ${flow.partitions.map((one) => html`<${Figure} value=${number(one.events)} name=${t("flow.partition", { n: one.partition, lag: one.lag_events })} />`)}
      ${flow.webhooks && html`<${Figure} value=${number(flow.webhooks.pending)} name=${t("flow.webhooks_pending")} /><${Figure} value=${number(flow.webhooks.failed)} name=${t("flow.webhooks_failed")} />`}</div></section>`;
}

function sampled(flow) {
  return {
    perS: flow.events_per_s, lag: flow.lag_events,
    waiting: flow.steps.reduce((sum, one) => sum + one.waiting, 0),
    pending: flow.steps.reduce((sum, one) => sum + one.pending, 0),
    steps: Object.fromEntries(flow.steps.map((one) => [one.step, one.waiting + one.pending])),
  };
}

function Tile({ value, name, values, tone }) {
  return html`<div class="card tile"><strong>${value}</strong><small>${name}</small><${Line} title=${name} values=${values} count=${SAMPLES} tone=${tone} /></div>`;
}
