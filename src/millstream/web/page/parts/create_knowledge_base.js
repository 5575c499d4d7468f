// Makes a knowledge base: a name is enough, and the rest is explained.
import { post } from "../api.js";
import { useAction } from "../hooks.js";
import { html, useState } from "../html.js";
import { t } from "../language.js";
import { Input, Select, TextArea } from "./field.js";
import { Dialog, ProblemBox } from "./notice.js";

export const CHUNKERS = ["markdown", "sentence", "parents", "window", "semantic", "rows", "page", "tokens"];

export function CreateKnowledgeBase({ onClose, onCreated }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [chunker, setChunker] = useState("markdown");
  const [tokens, setTokens] = useState("256");
  const [overlap, setOverlap] = useState("32");
  const [create, isRunning, problem] = useAction(async () => {
    const settings = { chunker, chunk_tokens: Number(tokens), chunk_overlap_tokens: Number(overlap) };
    onCreated(await post("/knowledge-bases", { name: name.trim(), description, settings }));
  });
  return html`<${Dialog} title=${t("bases.create")} onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); create(); }}>
    <div class="dialog-body">
      <${Input} label=${t("bases.name")} hint=${t("bases.name_hint")} maxlength="200" required value=${name} onInput=${setName} autofocus />
      <${TextArea} label=${t("bases.description")} rows="2" maxlength="2000" value=${description} onInput=${setDescription} />
      <details><summary>${t("bases.how_cut")}</summary>
        <${Select} label=${t("setting.chunker")} hint=${t(`chunker.${chunker}_text`)} value=${chunker} options=${CHUNKERS.map((one) => [one, t(`chunker.${one}`)])} onChange=${setChunker} />
        <div class="row">
          <${Input} label=${t("setting.chunk_tokens")} hint=${t("setting.chunk_tokens_text")} type="number" min="16" max="4096" value=${tokens} onInput=${setTokens} />
          <${Input} label=${t("setting.chunk_overlap_tokens")} hint=${t("setting.chunk_overlap_tokens_text")} type="number" min="0" max="1024" value=${overlap} onInput=${setOverlap} />
        </div>
      </details>
      <${ProblemBox} problem=${problem} />
    </div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button>
      <button type="submit" class="primary" disabled=${isRunning || !name.trim()}>${t("bases.create")}</button></footer>
  </form><//>`;
}
