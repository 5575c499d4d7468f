// What came of an import, and where it is watched.
import { html } from "../../html.js";
import { t } from "../../language.js";
import { Icon } from "../../parts.js";
import { link } from "../../router.js";

export function Sent({ task }) {
  if (!task) return null;
  const [document] = task.documents;
  return html`<span class="said" role="status"><${Icon} name="check" size=${18} />
    ${task.documents.length === 1 && document.status === "skipped" ? t("upload.was_there") : t("upload.sent")}
    <a href=${link(["tasks", task.task_id])}>${t("upload.watch")}</a></span>`;
}
