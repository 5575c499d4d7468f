// One large file over tus: what breaks off goes on behind the last byte that arrived, after a reload too.
import { authorization, get, Problem, problemIn } from "../api.js";
import { largeFingerprint } from "./ledger.js";

const ENDPOINT = "/api/v1/uploads";
const PIECE_BYTES = 8 * 1024 * 1024;
let tus = null;

async function loadTus() {
  if (tus === null) {
    await import("../vendor/tus-js-client/tus.min.js"); // leaves its name with the window
    tus = window.tus;
  }
  return tus;
}

// `{start, abort, erase}`; after `start` one of `onDone(accepted)`, `onFail(problem)`. Started again it goes on.
export async function resumableUpload({ files: [one], target }, { onSent, onDone, onFail, onResumed }) {
  const { Upload } = await loadTus();
  let task = null;
  const upload = new Upload(one.file, {
    endpoint: ENDPOINT,
    chunkSize: PIECE_BYTES,
    retryDelays: null, // patience.js decides, for both ways to send
    uploadDataDuringCreation: true,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => largeFingerprint(one, target),
    metadata: {
      knowledge_base: target.knowledgeBase,
      filename: one.path,
      filetype: one.file.type,
      options: JSON.stringify({ on_duplicate: target.onDuplicate }),
    },
    onBeforeRequest: (request) => {
      const { Authorization } = authorization();
      if (Authorization) request.setHeader("Authorization", Authorization);
    },
    onAfterResponse: (_request, response) => { task = response.getHeader("Millstream-Task-Id") ?? task; },
    onProgress: onSent,
    onError: (error) => onFail(problemOf(error)),
    onSuccess: () => accepted(task).then(onDone),
  });
  const before = (await upload.findPreviousUploads()).sort((a, b) => (a.creationTime < b.creationTime ? 1 : -1));
  if (before.length) { upload.resumeFromPreviousUpload(before[0]); onResumed(); }
  return {
    start: () => upload.start(),
    abort: () => upload.abort(),
    // What was sent of it is deleted on the service too; where that fails it expires by itself.
    erase: () => upload.abort(true).catch(() => {}),
  };
}

function problemOf(error) {
  const answer = error.originalResponse;
  if (!answer) return new Problem({ code: error.originalRequest ? "unreachable" : "file_changed", status: error.originalRequest ? 0 : 422 });
  const problem = problemIn(answer.getBody() ?? "", answer.getStatus());
  problem.retryAfterS ??= Number(answer.getHeader("Retry-After")) || null;
  return problem;
}

// As a form is answered; a task whose document cannot be read at this moment tells it all by itself.
async function accepted(task) {
  try {
    const { data } = await get(`/tasks/${task}/documents`);
    return { task_id: task, documents: data };
  } catch {
    return { task_id: task, documents: [] };
  }
}
