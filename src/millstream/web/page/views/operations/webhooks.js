// Programs elsewhere that are told, and what became of each telling.
import { patch, post, remove } from "../../api.js";
import { ago, duration, moment, number } from "../../format.js";
import { useAction, useListing } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { named, reason, t } from "../../language.js";
import { Badge, Check, Confirm, Copy, Dialog, Empty, Icon, Input, Loading, Pager, ProblemBox, Select, Table } from "../../parts.js";
import { replace } from "../../router.js";

const EVENTS = ["task.submitted", "task.finished", "task.cancelled", "document.accepted", "document.completed", "document.failed", "document.cancelled", "document.skipped", "document.removed", "knowledge_base.created", "knowledge_base.changed", "knowledge_base.deleted"];

export function Webhooks({ query }) {
  const listing = useListing("/webhooks", { limit: 50 });
  const [asked, setAsked] = useState(null);
  const chosen = listing.rows?.find((one) => one.webhook_id === query.webhook);
  const [act, isRunning, problem, clear] = useAction(async (call) => { await call(); listing.reload(); });
  const create = html`<button type="button" class="primary" onClick=${() => setAsked("create")}><${Icon} name="plus" size=${18} />${t("webhooks.create")}</button>`;
  return html`<${ProblemBox} problem=${problem ?? listing.problem} onClose=${problem ? clear : undefined} onRetry=${problem ? undefined : listing.reload} />
    ${!listing.rows && !listing.problem && html`<${Loading} />`}
    ${listing.rows?.length === 0 && html`<${Empty} icon="link" title=${t("webhooks.none")} action=${create}>${t("webhooks.none_text")}<//>`}
    ${listing.rows?.length > 0 && html`<div class="row">${create}</div>
    <${Table} caption=${t("operations.webhooks")} rows=${listing.rows} keyOf=${(one) => one.webhook_id} columns=${[
      { name: "url", title: t("webhooks.url"), isMain: true, show: (one) => html`<strong>${one.url}</strong>${one.description && html`<small class="muted block">${one.description}</small>`}` },
      { name: "events", title: t("webhooks.events"), show: (one) => html`<small>${one.events === null ? t("filter.all") : one.events.join(", ")}</small>` },
      { name: "status", title: t("tasks.status"), show: (one) => html`<${Badge} status=${one.status} title=${one.disabled ? moment(one.disabled.at) : undefined} />${one.disabled && html` <small class="muted">${named("disabled", one.disabled.reason)}</small>`}` },
      { name: "do", title: "", show: (one) => html`<span class="row tight">
        <button type="button" class="quiet" onClick=${() => replace(["operations"], { tab: "webhooks", webhook: one.webhook_id })}>${t("webhooks.deliveries")}</button>
        <button type="button" class="quiet" disabled=${isRunning || one.status !== "enabled"} onClick=${() => act(async () => { await post(`/webhooks/${one.webhook_id}/test`); replace(["operations"], { tab: "webhooks", webhook: one.webhook_id }); })}>${t("webhooks.test")}</button>
        <button type="button" class="quiet" disabled=${isRunning} onClick=${() => act(() => patch(`/webhooks/${one.webhook_id}`, { enabled: one.status !== "enabled" }))}>${t(one.status === "enabled" ? "document.disable" : "document.enable")}</button>
        <button type="button" class="quiet icon-only" aria-label=${`${t("do.delete")}: ${one.url}`} onClick=${() => setAsked(one)}><${Icon} name="trash" /></button></span>` },
    ]} /><${Pager} listing=${listing} />`}
    ${chosen && html`<${Deliveries} key=${chosen.webhook_id} webhook=${chosen} />`}
    ${asked === "create" && html`<${Create} onClose=${() => setAsked(null)} onDone=${listing.reload} />`}
    ${asked?.webhook_id && html`<${Confirm} title=${t("bases.delete_title", { name: asked.url })} action=${t("do.delete")} isDangerous isRunning=${isRunning} problem=${problem} onClose=${() => setAsked(null)}
      onConfirm=${() => act(async () => { await remove(`/webhooks/${asked.webhook_id}`); setAsked(null); })}><p>${t("webhooks.delete_text")}</p><//>`}`;
}

function Deliveries({ webhook }) {
  const [status, setStatus] = useState("");
  const path = `/webhooks/${webhook.webhook_id}/deliveries`;
  const listing = useListing(path, { limit: 25, status });
  const [again, isRunning, problem, clear] = useAction(async (one) => { await post(`${path}/${one.delivery_id}/redeliver`); listing.reload(); });
  return html`<section class="stack" aria-labelledby="deliveries-title"><div class="row between"><h2 id="deliveries-title">${t("webhooks.deliveries_of", { url: webhook.url })}</h2>
      <button type="button" class="quiet" onClick=${listing.reload}><${Icon} name="retry" size=${16} />${t("do.look_again")}</button></div>
    <div class="filters"><${Select} isNarrow label=${t("tasks.status")} value=${status} options=${[["", t("filter.all")], ...["pending", "delivered", "failed"].map((one) => [one, named("status", one)])]} onChange=${setStatus} /></div>
    <${ProblemBox} problem=${problem ?? listing.problem} onClose=${problem ? clear : undefined} />
    ${listing.rows?.length === 0 && html`<${Empty} icon="link" title=${t("webhooks.nothing_sent")}>${t("webhooks.nothing_sent_text")}<//>`}
    ${listing.rows?.length > 0 && html`<${Table} caption=${t("webhooks.deliveries")} rows=${listing.rows} keyOf=${(one) => one.delivery_id} columns=${[
      { name: "type", title: t("webhooks.event"), isMain: true, show: (one) => html`<code>${one.type}</code>${one.error && html`<small class="block error-text">${reason(one.error)}</small>`}` },
      { name: "status", title: t("tasks.status"), show: (one) => html`<${Badge} status=${one.status} />` },
      { name: "answer", title: t("webhooks.answer"), show: (one) => (one.last_attempt ? html`${one.last_attempt.status_code ?? reason(one.last_attempt.error)} <small class="muted nowrap">${duration(one.last_attempt.took_ms)}</small>` : "–") },
      { name: "attempts", title: t("dead.attempts"), isNumber: true, show: (one) => number(one.attempts) },
      { name: "when", title: t("dead.when"), show: (one) => html`<span class="nowrap" title=${moment(one.created_at)}>${ago(one.created_at)}</span>${one.next_attempt_at && html`<small class="block muted">${t("webhooks.next", { time: ago(one.next_attempt_at) })}</small>`}` },
      { name: "again", title: "", show: (one) => html`<button type="button" class="quiet" disabled=${isRunning || one.status === "pending"} onClick=${() => again(one)}>${t("webhooks.redeliver")}</button>` },
    ]} /><${Pager} listing=${listing} />`}</section>`;
}

function Create({ onClose, onDone }) {
  const [url, setUrl] = useState("");
  const [description, setDescription] = useState("");
  const [events, setEvents] = useState([]);
  const [made, setMade] = useState(null);
  const [create, isRunning, problem] = useAction(async () => {
    setMade(await post("/webhooks", { url: url.trim(), description, events: events.length ? events : null }));
    onDone();
  });
  const turn = (name) => (isChecked) => setEvents(isChecked ? [...events, name] : events.filter((one) => one !== name));
  if (made) return html`<${Dialog} title=${t("webhooks.made")} onClose=${onClose}><div class="dialog-body"><p>${t("webhooks.secret_once")}</p><${Copy} text=${made.secret} /></div><footer><button type="button" class="primary" onClick=${onClose}>${t("do.close")}</button></footer><//>`;
  return html`<${Dialog} title=${t("webhooks.create")} onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); create(); }}>
    <div class="dialog-body"><${Input} label=${t("webhooks.url")} hint=${t("webhooks.url_hint")} type="url" maxlength="2048" required placeholder="https://example.com/hook" value=${url} onInput=${setUrl} />
      <${Input} label=${t("bases.description")} maxlength="500" value=${description} onInput=${setDescription} />
      <fieldset class="choices"><legend>${t("webhooks.events_hint")}</legend>${EVENTS.map((one) => html`<${Check} label=${one} isChecked=${events.includes(one)} onChange=${turn(one)} />`)}</fieldset>
      <${ProblemBox} problem=${problem} /></div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button><button type="submit" class="primary" disabled=${isRunning || !url.trim()}>${t("webhooks.create")}</button></footer></form><//>`;
}
