// A passage that was found: where it stands, how well it fits, which words fit; never anything but text.
import { characters, decimal, part } from "../format.js";
import { html } from "../html.js";
import { t } from "../language.js";
import { link } from "../router.js";
import { Progress } from "./status.js";

export function Highlighted({ text, highlights }) {
  const chars = characters(text);
  const pieces = [];
  let from = 0;
  for (const [start, end] of [...highlights].sort((a, b) => a[0] - b[0])) {
    if (start < from) continue;
    if (start > from) pieces.push(part(chars, from, start));
    pieces.push(html`<mark>${part(chars, start, end)}</mark>`);
    from = end;
  }
  pieces.push(part(chars, from, chars.length));
  return html`<p class="passage-text" dir="auto">${pieces}</p>`;
}

export function placeOf(passage) {
  return link(["knowledge-bases", passage.knowledge_base_id, "documents", passage.document_id], { chunk: passage.chunk_id });
}

export function Passage({ passage, rank, best, baseName }) {
  const scores = Object.entries(passage.scores).filter(([, value]) => value !== null);
  return html`<li class="card passage" data-chunk=${passage.chunk_id}>
    <header class="row between tight">
      <span class="row tight"><span class="rank">${rank}</span><a class="strong" href=${placeOf(passage)}>${passage.filename}</a>
        ${passage.page !== null && html`<span class="badge" data-tone="calm">${t("passage.page", { n: passage.page })}</span>`}
        ${baseName && html`<small class="muted">${baseName}</small>`}</span>
      <span class="score" title=${t("passage.score")}><${Progress} share=${best > 0 ? passage.score / best : 0} label=${t("passage.score")} /><b>${decimal(passage.score, 3)}</b></span>
    </header>
    ${passage.headings.length > 0 && html`<p class="crumbs">${passage.headings.join(" › ")}</p>`}
    <${Highlighted} text=${passage.text} highlights=${passage.highlights} />
    ${(passage.context || passage.parent_text) && html`<details><summary>${t("passage.around")}</summary><p class="passage-text muted" dir="auto">${passage.context?.text ?? passage.parent_text}</p></details>`}
    <footer class="row between tight"><span class="scores">${scores.map(([name, value]) => html`<span>${t(`scores.${name}`)} <b>${decimal(value, 3)}</b></span>`)}</span>
      <a href=${placeOf(passage)}>${t("passage.show")}</a></footer>
  </li>`;
}
