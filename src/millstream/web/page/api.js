// Calls of the API. A refusal is thrown as a Problem that carries what the service said of it.
const API = "/api/v1";
const KEPT = "millstream.key";
const listeners = new Set();

export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail = "", errors = [], request_id = null, retry_after_s = null }) {
    super(detail || title || code);
    Object.assign(this, { status, code, title, detail, errors, requestId: request_id, retryAfterS: retry_after_s });
  }
}

let key = kept();
let isAsking = false;

function kept() {
  try { return sessionStorage.getItem(KEPT) ?? localStorage.getItem(KEPT) ?? ""; } catch { return ""; }
}

export const apiKey = () => key;
export const isKeyAsked = () => isAsking;

// Kept for this tab alone, or, where the user says so, in this browser; never part of an address.
export function setApiKey(value, isRemembered) {
  key = value;
  isAsking = false;
  try {
    sessionStorage.removeItem(KEPT);
    localStorage.removeItem(KEPT);
    if (value) (isRemembered ? localStorage : sessionStorage).setItem(KEPT, value);
  } catch { /* a browser that keeps nothing: until the page is closed */ }
  for (const tell of listeners) tell("changed");
}

// The first key of an open service closes its door: whoever made it goes on with it, and nothing is drawn anew.
export function adoptKey(value) {
  key = value;
  try { sessionStorage.setItem(KEPT, value); } catch { /* until the page is closed */ }
}

export function askForKey() {
  if (isAsking) return;
  isAsking = true;
  for (const tell of listeners) tell("asked");
}

export function leaveKey() {
  isAsking = false;
  for (const tell of listeners) tell("left");
}

// `tell("asked" | "changed" | "left")`.
export function onKey(tell) {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

export function address(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") found.set(name, value);
  }
  const asked = found.toString();
  return `${path.startsWith("/readyz") ? "" : API}${path}${asked ? `?${asked}` : ""}`;
}

// The answer itself, for streams and downloads. Throws Problem; an abort stays an abort.
export async function send(method, path, { query, body, headers, signal } = {}) {
  let answer;
  const shown = key;
  try {
    answer = await fetch(address(path, query), {
      method,
      signal,
      headers: { ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "unreachable" });
  }
  if (answer.ok) return answer;
  const problem = problemIn(await answer.text().catch(() => ""), answer.status);
  // Another key may be in use meanwhile.
  if (problem.status === 401 && shown === key) askForKey();
  throw problem;
}

export function problemIn(text, status) {
  try {
    return new Problem({ status, ...JSON.parse(text) });
  } catch {
    return new Problem({ status, code: "unexpected", detail: text.slice(0, 300) });
  }
}

async function json(method, path, options) {
  const answer = await send(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

export const get = (path, query, signal) => json("GET", path, { query, signal });
export const patch = (path, body) => json("PATCH", path, { body });
export const remove = (path) => json("DELETE", path);
// The same key for a repetition of the same request: it has effect once.
export const post = (path, body, query) =>
  json("POST", path, { body, query, headers: { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` } });

// The original of a document, into the browser's downloads; by hand, as a link carries no key.
export async function download(path, filename) {
  const answer = await send("GET", path);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
