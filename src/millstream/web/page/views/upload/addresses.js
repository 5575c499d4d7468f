// Web addresses that the service fetches itself.
import { post } from "../../api.js";
import { useAction } from "../../hooks.js";
import { html, useState } from "../../html.js";
import { t } from "../../language.js";
import { Icon, ProblemBox, TextArea } from "../../parts.js";
import { Sent } from "./sent.js";

const URLS_MAX = 100; // of one import; more become several tasks

const placeOf = (flaw) => { const found = /^\/urls\/(\d+)$/.exec(flaw.pointer); return found && Number(found[1]); };

export function Addresses({ target }) {
  const [text, setText] = useState("");
  const [tasks, setTasks] = useState([]);
  const urls = [...new Set(text.split(/\s+/).filter(Boolean))];
  const [send, isRunning, problem, clear] = useAction(async () => {
    setTasks([]);
    const sent = [];
    for (let first = 0; first < urls.length; first += URLS_MAX) {
      const part = urls.slice(first, first + URLS_MAX);
      try {
        sent.push(await post(`/knowledge-bases/${target.knowledgeBase}/documents/import`, { urls: part, options: { on_duplicate: target.onDuplicate } }));
      } catch (error) {
        // What was accepted is not sent again; what is left stays in the field, with what is wrong of it.
        setText(urls.slice(first).join("\n"));
        throw Object.assign(error, { urls: part });
      } finally {
        setTasks([...sent]);
      }
    }
    setText("");
  });
  // The service names what it refuses by its place; a person is told the address.
  const flawed = (problem?.urls ?? []).length ? problem.errors.map((one) => ({ ...one, place: placeOf(one) })).filter((one) => one.place !== null) : [];
  const shown = problem && { ...problem, detail: problem.detail || problem.message, errors: problem.errors?.map((one) => (placeOf(one) === null ? one : { pointer: problem.urls[placeOf(one)], message: one.message })) };
  const leaveOut = () => { const out = new Set(flawed.map((one) => problem.urls[one.place])); setText(urls.filter((one) => !out.has(one)).join("\n")); clear(); };
  return html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); send(); }}>
    <${TextArea} label=${t("upload.urls_label")} hint=${t("upload.urls_hint")} rows="5" spellcheck=${false} placeholder=${"https://www.rfc-editor.org/rfc/rfc9110.txt"} value=${text} onInput=${setText} />
    <${ProblemBox} problem=${shown} onClose=${clear} />
    <div class="row"><button type="submit" class="primary" disabled=${isRunning || !urls.length}><${Icon} name="link" size=${18} />${urls.length ? t("upload.urls_send", { n: urls.length }) : t("upload.urls_none")}</button>
      ${flawed.length > 0 && html`<button type="button" onClick=${leaveOut}>${t("upload.urls_leave_out", { n: flawed.length })}</button>`}
      ${tasks.map((one) => html`<${Sent} key=${one.task_id} task=${one} />`)}</div>
  </form>`;
}
