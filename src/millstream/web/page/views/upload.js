// Documents in: files and folders, web addresses, a text.
import { useKnowledgeBases } from "../hooks.js";
import { html, useState } from "../html.js";
import { t } from "../language.js";
import { Empty, Head, Icon, Loading, ProblemBox, Segments, Select } from "../parts.js";
import { ChooseKnowledgeBase } from "../parts/choose_knowledge_base.js";
import { CreateKnowledgeBase } from "../parts/create_knowledge_base.js";
import { Addresses } from "./upload/addresses.js";
import { DropZone } from "./upload/drop_zone.js";
import { Interrupted } from "./upload/interrupted.js";
import { Queue } from "./upload/queue.js";
import { Text } from "./upload/text.js";

const CHOSEN = "millstream.knowledge-base";
const chosenBefore = () => { try { return sessionStorage.getItem(CHOSEN); } catch { return null; } };

export default function Upload({ query }) {
  const { bases, problem, reload } = useKnowledgeBases();
  const [chosen, setChosen] = useState(query.kb ?? chosenBefore());
  const [way, setWay] = useState("files");
  const [onDuplicate, setOnDuplicate] = useState("skip");
  const [isCreating, setCreating] = useState(false);
  const knowledgeBase = bases?.find((one) => one.knowledge_base_id === chosen) ?? bases?.[0];
  const choose = (id) => { setChosen(id); try { sessionStorage.setItem(CHOSEN, id); } catch { /* only convenience */ } };
  const target = knowledgeBase && { knowledgeBase: knowledgeBase.knowledge_base_id, onDuplicate };
  const nameOf = (id) => bases?.find((one) => one.knowledge_base_id === id)?.name ?? id;
  return html`<${Head} title=${t("upload.title")} lead=${t("upload.lead")} />
    <${ProblemBox} problem=${problem} onRetry=${reload} />
    ${!bases && !problem && html`<${Loading} />`}
    ${bases?.length === 0 && html`<${Empty} icon="books" title=${t("bases.none")} action=${html`<button type="button" class="primary" onClick=${() => setCreating(true)}><${Icon} name="plus" />${t("bases.create")}</button>`}>${t("bases.none_text")}<//>
      <${Steps} />`}
    ${knowledgeBase && html`<section class="card intake">
      <div class="row">
        <${ChooseKnowledgeBase} label=${t("upload.into")} bases=${bases} value=${knowledgeBase.knowledge_base_id} onChange=${choose} />
        <button type="button" class="beside" onClick=${() => setCreating(true)}><${Icon} name="plus" size=${18} />${t("bases.new")}</button>
        <${Select} label=${t("upload.duplicates")} value=${onDuplicate} options=${["skip", "replace", "keep"].map((one) => [one, t(`duplicates.${one}`)])} onChange=${setOnDuplicate} />
      </div>
      <${Segments} label=${t("upload.way")} value=${way} onChange=${setWay} options=${[["files", t("upload.files"), "file"], ["urls", t("upload.urls"), "link"], ["text", t("upload.text"), "text"]]} />
      ${way === "files" && html`<${DropZone} target=${target} />`}
      ${way === "urls" && html`<${Addresses} target=${target} />`}
      ${way === "text" && html`<${Text} target=${target} />`}
    </section>
    <${Interrupted} nameOf=${nameOf} />`}
    ${bases && html`<${Queue} nameOf=${nameOf} />`}
    ${isCreating && html`<${CreateKnowledgeBase} onClose=${() => setCreating(false)} onCreated=${(made) => { choose(made.knowledge_base_id); setCreating(false); reload(); }} />`}`;
}

function Steps() {
  return html`<ol class="steps">${["bases", "upload", "search"].map((one) => html`<li><strong>${t(`steps.${one}`)}</strong><span>${t(`steps.${one}_text`)}</span></li>`)}</ol>`;
}
