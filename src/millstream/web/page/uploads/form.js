// Small files in one multipart request: one task, one document for each of them.
import { address, authorization, Problem, problemIn } from "../api.js";

// `{abort}`; then one of `onDone(accepted)`, `onFail(problem)`. `onSent(bytes)` counts what has gone up.
export function sendForm({ files, target, key }, { onSent, onDone, onFail }) {
  const form = new FormData();
  form.append("options", JSON.stringify({ on_duplicate: target.onDuplicate }));
  // The name has the path within the folder: the service keeps it as metadata.
  for (const one of files) form.append("file", one.file, one.path);
  const request = new XMLHttpRequest(); // fetch tells nothing of how far a body has gone
  request.open("POST", address(`/knowledge-bases/${target.knowledgeBase}/documents`));
  for (const [name, value] of Object.entries({ ...authorization(), "Idempotency-Key": key })) request.setRequestHeader(name, value);
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0);
  request.upload.onprogress = (event) => onSent(Math.min(bytes, event.loaded));
  request.onload = () => {
    if (request.status === 202) onDone(JSON.parse(request.responseText));
    else onFail(problemIn(request.responseText, request.status));
  };
  request.onerror = async () => onFail((await changedOnDisk(files)) ?? new Problem({ code: "unreachable" }));
  request.send(form);
  return { abort: () => request.abort() };
}

// A file that was changed, moved or deleted since it was chosen breaks the request off like a lost line.
async function changedOnDisk(files) {
  const places = [];
  for (const [place, one] of files.entries()) {
    try { await one.file.slice(0, 1).arrayBuffer(); } catch { places.push(place); }
  }
  if (!places.length) return null;
  return new Problem({ status: 422, code: "file_changed", errors: places.map((place) => ({ pointer: `/file/${place}`, message: "" })) });
}
