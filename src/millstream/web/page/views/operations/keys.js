// Who gets in: keys, what they may do, when they end. A key is shown once, when it is made.
import { adoptKey, apiKey, get, post, remove } from "../../api.js";
import { ago, moment } from "../../format.js";
import { useAction, useKnowledgeBases, useLoaded } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { t } from "../../language.js";
import { Badge, Check, Confirm, Copy, Dialog, Empty, Icon, Input, Loading, ProblemBox, Select, Table } from "../../parts.js";

const SCOPES = ["read", "write", "admin"];
const DAY_MS = 86_400_000;

export function Keys() {
  const found = useLoaded((signal) => get("/keys", {}, signal), []);
  const [asked, setAsked] = useState(null);
  const rows = found.data?.data;
  const create = html`<button type="button" class="primary" onClick=${() => setAsked("create")}><${Icon} name="plus" size=${18} />${t("keys.create")}</button>`;
  const stands = (one) => (one.revoked_at ? "revoked" : one.expires_at && new Date(one.expires_at) < Date.now() ? "expired" : "valid");
  return html`<${ProblemBox} problem=${found.problem} onRetry=${found.reload} />
    ${!rows && !found.problem && html`<${Loading} />`}
    ${rows?.length === 0 && html`<${Empty} icon="key" title=${t("keys.none")} action=${create}>${t("keys.none_text")}<//>`}
    ${rows?.length > 0 && html`<div class="row">${create}</div>
    <${Table} caption=${t("operations.keys")} rows=${rows} keyOf=${(one) => one.key_id} isDimmed=${(one) => stands(one) !== "valid"} columns=${[
      { name: "name", title: t("bases.name"), isMain: true, show: (one) => html`<strong>${one.name}</strong> <small class="muted block"><code>${one.key_id}</code></small>` },
      { name: "scopes", title: t("keys.may"), show: (one) => one.scopes.map((scope) => t(`scope.${scope}`)).join(", ") },
      { name: "bases", title: t("bases.title"), show: (one) => (one.knowledge_bases === null ? t("filter.all") : one.knowledge_bases.length) },
      { name: "status", title: t("tasks.status"), show: (one) => html`<${Badge} status=${stands(one)} />` },
      { name: "used", title: t("keys.used"), show: (one) => (one.last_used_at ? html`<span class="nowrap" title=${moment(one.last_used_at)}>${ago(one.last_used_at)}</span>` : "–") },
      { name: "ends", title: t("keys.ends"), show: (one) => (one.expires_at ? html`<span class="nowrap" title=${moment(one.expires_at)}>${ago(one.expires_at)}</span>` : t("keys.never")) },
      { name: "revoke", title: "", show: (one) => stands(one) === "valid" && html`<button type="button" class="quiet" onClick=${() => setAsked(one)}>${t("keys.revoke")}</button>` },
    ]} />`}
    ${asked === "create" && html`<${Create} isFirst=${rows?.length === 0} onClose=${() => setAsked(null)} onDone=${found.reload} />`}
    ${asked?.key_id && html`<${Revoke} one=${asked} onClose=${() => setAsked(null)} onDone=${found.reload} />`}`;
}

function Revoke({ one, onClose, onDone }) {
  const [revoke, isRunning, problem] = useAction(async () => { await remove(`/keys/${one.key_id}`); onDone(); onClose(); });
  return html`<${Confirm} title=${t("keys.revoke_title", { name: one.name })} action=${t("keys.revoke")} isDangerous isRunning=${isRunning} problem=${problem} onConfirm=${revoke} onClose=${onClose}><p>${t("keys.revoke_text")}</p><//>`;
}

function Create({ isFirst, onClose, onDone }) {
  const { bases } = useKnowledgeBases();
  const [name, setName] = useState("");
  const [scope, setScope] = useState(isFirst ? "admin" : "read");
  const [days, setDays] = useState("");
  const [bound, setBound] = useState([]);
  const [made, setMade] = useState(null);
  const [create, isRunning, problem] = useAction(async () => {
    const expires = days === "" ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
    const key = await post("/keys", { name: name.trim(), scopes: [scope], knowledge_bases: bound.length ? bound : null, expires_at: expires });
    if (!apiKey()) adoptKey(key.api_key);
    setMade(key);
  });
  const close = () => { onDone(); onClose(); };
  if (made) return html`<${Dialog} title=${t("keys.made")} onClose=${close}><div class="dialog-body"><p>${t("keys.once")}</p><${Copy} text=${made.api_key} />${apiKey() === made.api_key && html`<p class="said-small"><${Icon} name="check" size=${16} />${t("keys.adopted")}</p>`}</div>
    <footer><button type="button" class="primary" onClick=${close}>${t("do.close")}</button></footer><//>`;
  return html`<${Dialog} title=${t("keys.create")} onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); create(); }}>
    <div class="dialog-body">${isFirst && html`<p class="problem mild"><${Icon} name="warn" />${t("keys.first")}</p>`}
      <${Input} label=${t("bases.name")} hint=${t("keys.name_hint")} maxlength="100" required value=${name} onInput=${setName} />
      <div class="row"><${Select} label=${t("keys.may")} hint=${t(`scope.${scope}_text`)} value=${scope} options=${SCOPES.map((one) => [one, t(`scope.${one}`)])} onChange=${(chosen) => { setScope(chosen); if (chosen === "admin") setBound([]); }} />
        <${Input} label=${t("keys.days")} hint=${t("keys.days_hint")} type="number" min="1" max="3650" value=${days} onInput=${setDays} /></div>
      ${scope !== "admin" && bases?.length > 0 && html`<fieldset class="choices"><legend>${t("keys.bound")}</legend>${bases.map((one) => html`<${Check} label=${one.name} isChecked=${bound.includes(one.knowledge_base_id)} onChange=${(isChecked) => setBound(isChecked ? [...bound, one.knowledge_base_id] : bound.filter((id) => id !== one.knowledge_base_id))} />`)}</fieldset>`}
      <${ProblemBox} problem=${problem} /></div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button><button type="submit" class="primary" disabled=${isRunning || !name.trim()}>${t("keys.create")}</button></footer></form><//>`;
}
