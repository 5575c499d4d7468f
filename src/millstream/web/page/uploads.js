// Uploads in the making: they go on while the user looks at other views, and where they stopped after a reload.
//
// What is dropped or chosen together is a choice; it travels in parcels, of which a few are on their way at a time. Each
// parcel becomes a task: a folder of small files is one (ADR 45).
import { askForKey, onKey } from "./api.js";
import { useEffect, useState } from "./html.js";
import { sendForm } from "./uploads/form.js";
import { beginForm, endForm, interrupted as left } from "./uploads/ledger.js";
import { halves, pack } from "./uploads/parcels.js";
import { judge, waitMs } from "./uploads/patience.js";
import { resumableUpload } from "./uploads/resumable.js";

const AT_ONCE = 3; // a browser has six connections to a service, and streams need some
const SPEED_MS = 4_000;
const SAMPLE_MS = 150;

const choices = [];
const listeners = new Set();
let nextId = 1;

let isTelling = false;
function changed() {
  if (isTelling) return;
  isTelling = true;
  setTimeout(() => { isTelling = false; for (const tell of listeners) tell(); }, 60);
}

export function useUploads() {
  const [, turn] = useState(0);
  useEffect(() => {
    const tell = () => turn((one) => one + 1);
    listeners.add(tell);
    return () => listeners.delete(tell);
  }, []);
  return choices;
}

const parcels = () => choices.flatMap((one) => one.parcels);
const isOpen = (parcel) => parcel.state !== "accepted" && parcel.state !== "empty";
export const isDone = (choice) => !choice.parcels.some(isOpen);
export const sentOf = (choice) => choice.parcels.reduce((sum, one) => sum + one.sent, 0);

// `files: [{file, path}]` of one drop, with the knowledge base they go to and what is to become of duplicates.
export function addUploads({ files, folder }, target) {
  if (!files.length) return;
  const known = files.map(({ file, path }) => ({ file, path, name: file.name, bytes: file.size, state: file.size ? "waiting" : "refused", problem: file.size ? null : { code: "empty_file" }, document: null, taskId: null }));
  const choice = { id: nextId++, folder, target, files: known, samples: [], parcels: [] };
  choice.parcels = pack(known.filter((one) => one.state === "waiting")).map((one) => parcelOf(choice, one));
  choice.bytes = choice.parcels.reduce((sum, one) => sum + one.bytes, 0);
  choices.unshift(choice);
  changed();
  fill();
}

function parcelOf(choice, { kind, files }) {
  return {
    id: nextId++, choice, target: choice.target, kind, files, bytes: files.reduce((sum, one) => sum + one.bytes, 0), sent: 0,
    state: "waiting", problem: null, failures: 0, until: null, timer: null, sending: null, turn: 0, isResumed: false, taskId: null,
  };
}

function fill() {
  const all = choices.toReversed().flatMap((one) => one.parcels);
  const free = AT_ONCE - all.filter((one) => one.state === "sending").length;
  for (const parcel of all.filter((one) => one.state === "waiting").slice(0, Math.max(0, free))) begin(parcel);
}

async function begin(parcel) {
  parcel.state = "sending";
  parcel.problem = null;
  const turn = ++parcel.turn;
  // What a request says that was given up meanwhile is no news.
  const heard = (tell) => (...given) => { if (parcel.turn === turn) tell(...given); };
  const hears = {
    onSent: heard((sent) => measure(parcel, sent)),
    onDone: heard((accepted) => finish(parcel, accepted)),
    onFail: heard((problem) => fail(parcel, problem)),
    onResumed: heard(() => { parcel.isResumed = true; }),
  };
  changed();
  if (parcel.kind === "form") {
    const { key, isResumed } = beginForm(parcel.files, parcel.target);
    parcel.isResumed ||= isResumed && parcel.failures === 0;
    parcel.sent = 0;
    parcel.sending = sendForm({ ...parcel, key }, hears);
    return;
  }
  try {
    const upload = await resumableUpload(parcel, hears); // finds by its file where it stands
    if (parcel.turn !== turn) return;
    parcel.sending = upload;
    upload.start();
  } catch (error) {
    hears.onFail({ status: 422, code: "page_broken", detail: error.message, errors: [] });
  }
}

function measure(parcel, sent) {
  const { choice } = parcel;
  parcel.sent = sent;
  parcel.failures = sent > 0 && parcel.kind === "resumable" ? 0 : parcel.failures;
  const now = performance.now();
  const last = choice.samples.at(-1);
  if (!last || now - last.at >= SAMPLE_MS) choice.samples = [...choice.samples.filter((one) => now - one.at < SPEED_MS), { at: now, sent: sentOf(choice) }];
  changed();
}

// Bytes a second of the last moments, and how many seconds are left; null while that is not known.
export function speedOf(choice) {
  const [first, last] = [choice.samples[0], choice.samples.at(-1)];
  if (!choice.parcels.some((one) => one.state === "sending") || !first || last.at - first.at < 2 * SAMPLE_MS) return null;
  const perS = ((last.sent - first.sent) * 1000) / (last.at - first.at);
  return perS > 0 ? { perS, leftS: Math.max(0, choice.bytes - sentOf(choice)) / perS } : null;
}

function fail(parcel, problem) {
  parcel.failures += 1;
  const verdict = judge(problem, parcel.failures, parcel.files.length);
  if (problem.code === "idempotency_key_reused" && parcel.failures === 1) return renew(parcel);
  if (verdict.what === "wait") return waitFor(parcel, problem);
  if (verdict.what === "without") return without(parcel, verdict.places, problem);
  if (verdict.what === "split") return split(parcel);
  const met = verdict.what === "stop" ? parcel.choice.parcels.filter((one) => isOpen(one) && one.state !== "sending") : [];
  for (const one of new Set([parcel, ...met])) {
    clearTimeout(one.timer);
    Object.assign(one, { state: "failed", problem });
  }
  if (problem.status === 401) askForKey();
  return settle();
}

function settle() { changed(); fill(); }

function renew(parcel) {
  endForm(parcel.files, parcel.target);
  parcel.state = "waiting";
  settle();
}

// It goes on by itself: the service is busy, or away, or the line is.
function waitFor(parcel, problem) {
  const ms = waitMs(parcel.failures, problem.retryAfterS);
  Object.assign(parcel, { state: "patient", problem, until: Date.now() + ms, timer: setTimeout(() => resume(parcel), ms) });
  parcel.choice.samples = [];
  settle();
}

// The service takes a request whole or not at all, and says which files stood in the way: the others go without them.
function without(parcel, places, problem) {
  const said = new Map((problem.errors ?? []).map((one) => [one.pointer, one.message]));
  if (parcel.kind === "form") endForm(parcel.files, parcel.target);
  for (const place of places) Object.assign(parcel.files[place], { state: "refused", problem: parcel.files.length > 1 ? { code: problem.code, detail: said.get(`/file/${place}`) } : problem });
  parcel.files = parcel.files.filter((_, place) => !places.includes(place));
  renumber(parcel);
  settle();
}

function split(parcel) {
  endForm(parcel.files, parcel.target);
  const [mine, rest] = halves(parcel.files);
  parcel.files = mine;
  const { choice } = parcel;
  choice.parcels.splice(choice.parcels.indexOf(parcel) + 1, 0, parcelOf(choice, { kind: "form", files: rest }));
  renumber(parcel);
  settle();
}

function renumber(parcel) {
  const bytes = parcel.files.reduce((sum, one) => sum + one.bytes, 0);
  Object.assign(parcel, { bytes, sent: 0, failures: 0, sending: null, state: parcel.files.length ? "waiting" : "empty" });
  parcel.choice.samples = [];
  parcel.choice.bytes = parcel.choice.parcels.reduce((sum, one) => sum + one.bytes, 0);
}

function finish(parcel, { task_id: taskId, documents }) {
  if (parcel.kind === "form") endForm(parcel.files, parcel.target);
  Object.assign(parcel, { state: "accepted", sent: parcel.bytes, taskId, sending: null });
  for (const [place, one] of parcel.files.entries()) {
    const document = documents[place] ?? null;
    Object.assign(one, { state: document?.status === "skipped" ? "duplicate" : "accepted", document, taskId });
  }
  settle();
}

function halt(parcel) {
  clearTimeout(parcel.timer);
  parcel.turn += 1;
  parcel.sending?.abort();
}

export function pause(choice) {
  for (const parcel of choice.parcels.filter((one) => ["waiting", "sending", "patient"].includes(one.state))) {
    halt(parcel);
    Object.assign(parcel, { state: "paused", problem: null, sending: null, sent: parcel.kind === "form" ? 0 : parcel.sent });
  }
  choice.samples = [];
  settle();
}

function resume(parcel) {
  clearTimeout(parcel.timer);
  parcel.state = "waiting";
  settle();
}

// What was paused, or failed, goes on.
export function goOn(choice) {
  for (const parcel of choice.parcels.filter((one) => ["paused", "failed", "patient"].includes(one.state))) {
    parcel.failures = 0;
    resume(parcel);
  }
}

// What was sent and not accepted is deleted on the service too; what was accepted stays.
export function discard(choice) {
  choices.splice(choices.indexOf(choice), 1);
  for (const parcel of choice.parcels.filter(isOpen)) {
    halt(parcel);
    if (parcel.kind === "form") endForm(parcel.files, parcel.target);
    else eraseLarge(parcel);
    parcel.state = "empty";
  }
  settle();
}

async function eraseLarge(parcel) {
  const silent = { onSent() {}, onDone() {}, onFail() {}, onResumed() {} };
  try { await (parcel.sending ?? (await resumableUpload(parcel, silent))).erase(); } catch { /* it expires by itself */ }
  changed();
}

export function forgetDone() {
  for (const choice of choices.filter(isDone)) choices.splice(choices.indexOf(choice), 1);
  changed();
}

// Uploads that an earlier page left unfinished. Their files have to be chosen again.
export const interrupted = () => left(parcels().filter(isOpen));

// With another key, or with the line back, what waited for it goes on at once.
onKey((reason) => {
  if (reason === "changed") for (const one of parcels().filter((one) => one.state === "failed" && one.problem?.status === 401)) resume(one);
});
addEventListener("online", () => { for (const one of parcels().filter((one) => one.state === "patient" && !one.problem?.status)) resume(one); });
addEventListener("beforeunload", (event) => {
  if (parcels().some((one) => ["waiting", "sending", "patient"].includes(one.state))) event.preventDefault();
});
