// What an earlier page, or this one before a reload, did not bring to its end.
import { bytes } from "../../format.js";
import { html, useState } from "../../html.js";
import { t } from "../../language.js";
import { interrupted, useUploads } from "../../uploads.js";
import { forget } from "../../uploads/ledger.js";

export function Interrupted({ nameOf }) {
  useUploads();
  const [, turn] = useState(0);
  const left = interrupted();
  if (!left.length) return null;
  return html`<section class="card notice-card" data-testid="interrupted"><h2>${t("interrupted.title")}</h2><p>${t("interrupted.text")}</p>
    <ul class="plain">${left.map((one) => html`<li key=${one.place} class="row between"><span><strong>${one.name}</strong>${one.files > 1 && ` ${t("queue.more_files", { n: one.files - 1 })}`} · ${bytes(one.bytes)} · ${nameOf(one.knowledgeBase)}</span>
      <button type="button" class="quiet" onClick=${() => { forget(one.place); turn((n) => n + 1); }}>${t("interrupted.forget")}</button></li>`)}</ul></section>`;
}
