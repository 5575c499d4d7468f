// Makes a knowledge base: a name is enough, and the rest is explained.
import { post } from "../api.js";
import { useAction } from "../hooks.js";
import { html, useState } from "../html.js";
import { t } from "../language.js";
import { ChunkSettings, chunkingOf } from "./chunk_settings.js";
import { Input, TextArea } from "./field.js";
import { Dialog, ProblemBox } from "./notice.js";

export function CreateKnowledgeBase({ onClose, onCreated }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [settings, setSettings] = useState({ chunker: "markdown", chunk_tokens: 256, chunk_overlap_tokens: 32 });
  const [create, isRunning, problem] = useAction(async () => {
    onCreated(await post("/knowledge-bases", { name: name.trim(), description, settings: chunkingOf(settings) }));
  });
  return html`<${Dialog} title=${t("bases.create")} onClose=${onClose}><form onSubmit=${(event) => { event.preventDefault(); create(); }}>
    <div class="dialog-body">
      <${Input} label=${t("bases.name")} hint=${t("bases.name_hint")} maxlength="200" required value=${name} onInput=${setName} autofocus />
      <${TextArea} label=${t("bases.description")} rows="2" maxlength="2000" value=${description} onInput=${setDescription} />
      <details><summary>${t("bases.how_cut")}</summary>
        <${ChunkSettings} settings=${settings} onChange=${setSettings} />
      </details>
      <${ProblemBox} problem=${problem} />
    </div>
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button>
      <button type="submit" class="primary" disabled=${isRunning || !name.trim()}>${t("bases.create")}</button></footer>
  </form><//>`;
}
