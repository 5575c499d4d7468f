// A text that is pasted or written here.
import { post } from "../../api.js";
import { useAction } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { t } from "../../language.js";
import { Icon, Input, ProblemBox, TextArea } from "../../parts.js";
import { Sent } from "./sent.js";

export function Text({ target }) {
  const [filename, setFilename] = useState("");
  const [text, setText] = useState("");
  const [task, setTask] = useState(null);
  const [send, isRunning, problem, clear] = useAction(async () => {
    setTask(null);
    const body = { text, filename: filename.trim() || "note.md", options: { on_duplicate: target.onDuplicate } };
    setTask(await post(`/knowledge-bases/${target.knowledgeBase}/documents/import`, body));
    setText("");
    setFilename("");
  });
  return html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); send(); }}>
    <${Input} label=${t("upload.text_name")} hint=${t("upload.text_name_hint")} placeholder="note.md" maxlength="200" value=${filename} onInput=${setFilename} />
    <${TextArea} label=${t("upload.text_label")} hint=${t("upload.text_hint")} rows="8" value=${text} onInput=${setText} />
    <${ProblemBox} problem=${problem} onClose=${clear} />
    <div class="row"><button type="submit" class="primary" disabled=${isRunning || !text.trim()}><${Icon} name="text" size=${18} />${t("upload.text_send")}</button><${Sent} task=${task} /></div>
  </form>`;
}
