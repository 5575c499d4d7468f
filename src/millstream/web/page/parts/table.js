// Rows of something. On a telephone each row becomes a card whose lines bear the names of the columns.
import { html } from "../html.js";
import { t } from "../language.js";

// `columns`: [{name, title, show(row), isNumber, isMain}].
export function Table({ caption, columns, rows, keyOf, isDimmed }) {
  return html`<div class="table-frame"><table class="table">
    <caption class="hidden">${caption}</caption>
    <thead><tr>${columns.map((one) => html`<th scope="col" class=${one.isNumber ? "number" : ""}>${one.title || html`<span class="hidden">${t("column.actions")}</span>`}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${keyOf(row)} data-row=${keyOf(row)} class=${isDimmed?.(row) ? "dimmed" : ""}>
      ${columns.map((one) => html`<td data-title=${one.title} class=${[one.isNumber && "number", one.isMain && "main"].filter(Boolean).join(" ")}>${one.show(row)}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

export function Pager({ listing }) {
  if (!listing.rows?.length) return null;
  const said = listing.total === null ? t("pager.some", { n: listing.rows.length }) : t("pager.of", { n: listing.rows.length, total: listing.total });
  return html`<div class="pager"><span>${said}</span>
    ${listing.more && html`<button type="button" disabled=${listing.isLoading} onClick=${listing.more}>${t("pager.more")}</button>`}</div>`;
}
