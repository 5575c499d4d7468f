// Uploads in the making: they go on while the user looks at other views, and where they stopped after a reload.
//
// Every file is a resumable upload (tus). Which piece of which file lies on the service already is kept in this browser
// under a fingerprint of the file, so that choosing the same file again goes on behind the last byte that arrived.
import { askForKey, authorization, get, problemIn } from "./api.js";
import { useEffect, useState } from "./html.js";

const AT_ONCE = 3;
const PIECE_BYTES = 8 * 1024 * 1024;
const RETRY_DELAYS_MS = [0, 500, 1_000, 3_000, 5_000, 10_000, 20_000];
const ENDPOINT = "/api/v1/uploads";
const SPEED_MS = 4_000;

const entries = [];
const listeners = new Set();
let tus = null;
let nextId = 1;

async function loadTus() {
  if (tus === null) {
    await import("./vendor/tus-js-client/tus.min.js"); // leaves its name with the window
    tus = window.tus;
  }
  return tus;
}

let isTelling = false;
function changed() {
  if (isTelling) return;
  isTelling = true;
  requestAnimationFrame(() => { isTelling = false; for (const tell of listeners) tell(); });
  setTimeout(() => { if (isTelling) { isTelling = false; for (const tell of listeners) tell(); } }, 250);
}

export function useUploads() {
  const [, turn] = useState(0);
  useEffect(() => {
    const tell = () => turn((one) => one + 1);
    listeners.add(tell);
    return () => listeners.delete(tell);
  }, []);
  return entries;
}

// Files with the knowledge base they go to and what is to become of duplicates; `path` within a chosen folder.
export function addUploads(files, { knowledgeBase, onDuplicate }) {
  for (const { file, path } of files) {
    entries.unshift({
      id: nextId++, file, path, knowledgeBase, onDuplicate, name: file.name, bytes: file.size, sent: 0, state: "waiting",
      samples: [], upload: null, problem: null, taskId: null, document: null, isResumed: false,
    });
  }
  changed();
  fill();
}

function fill() {
  const free = AT_ONCE - entries.filter((one) => one.state === "uploading").length;
  const next = entries.filter((one) => one.state === "waiting").reverse().slice(0, Math.max(0, free));
  for (const entry of next) begin(entry);
}

// Two knowledge bases may be given the same file, so both belong to its fingerprint.
function fingerprint(entry) {
  const { file } = entry;
  return ["millstream", entry.knowledgeBase, entry.onDuplicate, entry.path ?? file.name, file.size, file.lastModified].join("|");
}

async function begin(entry) {
  entry.state = "uploading";
  entry.problem = null;
  changed();
  try {
    const { Upload } = await loadTus();
    if (entry.upload === null) {
      entry.upload = new Upload(entry.file, options(entry));
      const before = (await entry.upload.findPreviousUploads()).sort((a, b) => (a.creationTime < b.creationTime ? 1 : -1));
      if (before.length) { entry.upload.resumeFromPreviousUpload(before[0]); entry.isResumed = true; }
    }
    if (entry.state === "uploading") entry.upload.start();
  } catch (error) {
    fail(entry, error);
  }
}

function options(entry) {
  const metadata = entry.path && entry.path !== entry.name ? { path: entry.path } : {};
  return {
    endpoint: ENDPOINT,
    chunkSize: PIECE_BYTES,
    retryDelays: RETRY_DELAYS_MS,
    uploadDataDuringCreation: true,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => fingerprint(entry),
    metadata: {
      knowledge_base: entry.knowledgeBase,
      filename: entry.name,
      filetype: entry.file.type,
      options: JSON.stringify({ on_duplicate: entry.onDuplicate, metadata }),
    },
    onBeforeRequest: (request) => {
      const { Authorization } = authorization();
      if (Authorization) request.setHeader("Authorization", Authorization);
    },
    onAfterResponse: (_request, response) => { entry.taskId = response.getHeader("Millstream-Task-Id") ?? entry.taskId; },
    onShouldRetry: (error) => {
      const status = error.originalResponse?.getStatus() ?? 0;
      return status === 0 || status >= 500 || [408, 409, 423, 429].includes(status);
    },
    onProgress: (sent) => measure(entry, sent),
    onError: (error) => fail(entry, error),
    onSuccess: () => finish(entry),
  };
}

function measure(entry, sent) {
  const now = performance.now();
  entry.sent = sent;
  entry.samples = [...entry.samples.filter((one) => now - one.at < SPEED_MS), { at: now, sent }];
  changed();
}

// Bytes a second of the last moments, and how many seconds are left; null while that is not known.
export function speedOf(entry) {
  const [first, last] = [entry.samples[0], entry.samples.at(-1)];
  if (entry.state !== "uploading" || !first || last.at - first.at < 300) return null;
  const perS = ((last.sent - first.sent) * 1000) / (last.at - first.at);
  return perS > 0 ? { perS, leftS: (entry.bytes - entry.sent) / perS } : null;
}

function fail(entry, error) {
  const answer = error.originalResponse;
  entry.state = "failed";
  entry.problem = answer ? problemIn(answer.getBody() ?? "", answer.getStatus()) : problemIn("", 0);
  if (!answer) Object.assign(entry.problem, { code: "unreachable" });
  if (answer?.getStatus() === 401) askForKey();
  changed();
  fill();
}

async function finish(entry) {
  entry.state = "accepted";
  entry.sent = entry.bytes;
  changed();
  fill();
  try {
    const found = await get(`/tasks/${entry.taskId}/documents`);
    entry.document = found.data[0] ?? null;
    changed();
  } catch { /* its task tells it all */ }
}

export function pause(entry) {
  entry.upload?.abort();
  entry.samples = [];
  entry.state = "paused";
  changed();
  fill();
}

export function resume(entry) {
  entry.state = "waiting";
  changed();
  fill();
}

// What was sent of it is deleted on the service too.
export function discard(entry) {
  const place = entries.indexOf(entry);
  if (place >= 0) entries.splice(place, 1);
  if (entry.upload && entry.state !== "accepted") entry.upload.abort(true).catch(() => { /* it expires by itself */ });
  changed();
  fill();
}

export function forgetEnded() {
  for (const entry of entries.filter((one) => one.state === "accepted")) entries.splice(entries.indexOf(entry), 1);
  changed();
}

// Uploads that an earlier page left unfinished: `[{name, bytes, path, key}]`. Their files have to be chosen again.
export async function interrupted() {
  const found = [];
  try {
    for (const [key, value] of Object.entries(localStorage)) {
      if (!key.startsWith("tus::millstream|")) continue;
      const { size, metadata } = JSON.parse(value);
      const isHere = entries.some((one) => one.state !== "accepted" && `tus::${fingerprint(one)}` === key.slice(0, key.lastIndexOf("::")));
      if (!isHere) found.push({ key, name: metadata.filename, bytes: size, knowledgeBase: metadata.knowledge_base });
    }
  } catch { /* nothing is kept in this browser */ }
  return found;
}

export function forgetInterrupted(key) {
  try { localStorage.removeItem(key); } catch { /* nothing is kept in this browser */ }
}

addEventListener("beforeunload", (event) => {
  if (entries.some((one) => one.state === "uploading" || one.state === "waiting")) event.preventDefault();
});

// Files of a drop: folders are walked through, and each file has its path within them.
export async function filesOf(transfer) {
  const roots = [...transfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return [...transfer.files].map((file) => ({ file, path: null }));
  const found = [];
  for (const root of roots) await walk(root, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((good, bad) => entry.file(good, bad));
    if (file.name !== ".DS_Store") found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((good, bad) => reader.readEntries(good, bad));
    if (!part.length) return;
    for (const one of part) await walk(one, found);
  }
}

