// How a text would be cut by settings that nobody has saved yet; nothing is stored.
import { get, post } from "../api.js";
import { decimal, number } from "../format.js";
import { useLoaded } from "../hooks.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../language.js";
import { Input, Segments, Select, TextArea } from "./field.js";
import { Icon } from "./icon.js";
import { Loading, ProblemBox } from "./notice.js";

const SHOWN = 20;
const SHOWN_MAX = 200;
const SETTLE_MS = 400; // after the last key
const CHARACTERS_MAX = 200_000; // of a text that is tried

// Of the document that is named, or of one that is chosen, or of a text.
// `news` changes where the knowledge base has more documents to choose from.
export function ChunkPreview({ kb, settings, document = null, news = 0 }) {
  const [isOpen, setOpen] = useState(false);
  if (!isOpen) return html`<div class="row"><button type="button" onClick=${() => setOpen(true)}><${Icon} name="eye" size=${18} />${t("preview.do")}</button><small class="muted">${t("preview.text")}</small></div>`;
  return html`<section class="preview stack" aria-label=${t("preview.title")} data-testid="preview">
    <div class="row between"><h3>${t("preview.title")}</h3><button type="button" class="quiet" onClick=${() => setOpen(false)}>${t("do.close")}</button></div>
    ${document ? html`<${Shown} kb=${kb} settings=${settings} source=${{ document_id: document }} />` : html`<${OfSomething} kb=${kb} settings=${settings} news=${news} />`}
  </section>`;
}

// A document of the knowledge base, found by a part of its name, or a text of one's own.
function OfSomething({ kb, settings, news }) {
  const [way, setWay] = useState("document");
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState(null);
  const [text, setText] = useState(t("preview.sample"));
  const settled = useSettled(name);
  const found = useLoaded((signal) => get(`/knowledge-bases/${kb}/documents`, { limit: 50, q: settled.trim(), status: "completed" }, signal), [kb, settled, news]);
  const documents = found.data?.data ?? [];
  const document = documents.find((one) => one.document_id === chosen) ?? documents[0];
  const isEmpty = found.data && !documents.length && !settled;
  useEffect(() => { if (isEmpty) setWay("text"); }, [isEmpty]);
  return html`<${Segments} label=${t("preview.of")} value=${way} onChange=${setWay} options=${[["document", t("preview.of_document"), "file"], ["text", t("preview.of_text"), "text"]]} />
    ${way === "document" && html`<div class="row"><${Select} label=${t("documents.document")} value=${document?.document_id ?? ""} options=${documents.map((one) => [one.document_id, one.filename || t("document.unnamed")])} onChange=${setChosen} />
      ${(documents.length > 20 || settled) && html`<${Input} isNarrow label=${t("documents.name")} type="search" maxlength="200" value=${name} onInput=${setName} />`}</div>
      <${ProblemBox} problem=${found.problem} onRetry=${found.reload} />
      ${found.data && !documents.length && html`<p class="muted">${t(settled ? "documents.no_match" : "documents.none")}</p>`}`}
    ${way === "text" && html`<${TextArea} label=${t("upload.text_label")} hint=${t("upload.text_hint")} rows="6" maxlength=${CHARACTERS_MAX} value=${text} onInput=${setText} />`}
    ${way === "text" ? text.trim() && html`<${Shown} kb=${kb} settings=${settings} source=${{ text }} />` : document && html`<${Shown} kb=${kb} settings=${settings} source=${{ document_id: document.document_id }} />`}`;
}

// A value once it has not changed for a moment.
function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

function Shown({ kb, settings, source }) {
  const [limit, setLimit] = useState(SHOWN);
  const asked = useSettled(JSON.stringify({ ...source, settings }));
  const { data, problem, isLoading, reload } = useLoaded(() => post(`/knowledge-bases/${kb}/chunk-preview`, { ...JSON.parse(asked), limit }), [kb, asked, limit]);
  return html`<${ProblemBox} problem=${problem} onRetry=${reload} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && !problem && html`<p role="status" aria-busy=${isLoading} class="preview-said">${t("preview.said", { n: data.total })}${data.total > 0 && html` · ${t("preview.sizes", { min: data.tokens_min, max: data.tokens_max, mean: decimal(data.tokens / data.total, 0) })} · ${t("count.characters", { n: data.characters })}`}</p>
      <ol class="chunks" tabindex="0" aria-label=${t("preview.title")}>${data.chunks.map((one) => html`<li key=${one.ordinal} class="chunk">
        <small class="muted">#${number(one.ordinal + 1)}${one.page !== null && ` · ${t("passage.page", { n: one.page })}`} · ${t("document.tokens", { n: one.tokens })}</small>
        ${one.headings.length > 0 && html`<p class="crumbs">${one.headings.join(" › ")}</p>`}
        <p class="passage-text" dir="auto">${one.text}</p>
        ${one.parent_text && html`<details><summary>${t("preview.answered")}</summary><p class="passage-text muted" dir="auto">${one.parent_text}</p></details>`}
      </li>`)}</ol>
      ${data.total > data.chunks.length && limit < SHOWN_MAX && html`<div class="row center"><button type="button" onClick=${() => setLimit(SHOWN_MAX)}>${t("pager.more")}</button></div>`}`}`;
}
