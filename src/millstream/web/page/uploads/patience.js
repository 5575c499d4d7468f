// Pure: what follows from a request that failed.
const BASE_MS = 500;
const WAIT_MS_MAX = 15_000;
const FAULTS_MAX = 5; // of the service itself (500), in a row

const BUSY = new Set([408, 423, 425, 429, 502, 503, 504]);
const BUSY_CODES = new Set(["idempotency_in_progress", "upload_taken_over", "offset_mismatch", "contention"]);
const FOR_ALL = new Set([401, 403, 404, 409, 507]); // would answer every other parcel too

// "wait": it goes on by itself; "split": too much for one request; "without": the files at `places` are not taken;
// "stop": nothing of this choice gets in until somebody does something; "fail": this one does not.
export function judge(problem, failures, files) {
  const { status, code } = problem;
  if (status === 0 || BUSY.has(status) || BUSY_CODES.has(code)) return { what: "wait" };
  if (status === 500 && failures < FAULTS_MAX) return { what: "wait" };
  if (FOR_ALL.has(status)) return { what: "stop" };
  const places = (problem.errors ?? []).map((one) => /^\/file\/(\d+)$/.exec(one.pointer)?.[1]).filter(Boolean).map(Number).filter((one) => one < files);
  if (places.length) return { what: "without", places };
  if (files > 1 && (status === 413 || code === "too_many_parts")) return { what: "split" };
  return files === 1 ? { what: "without", places: [0] } : { what: "fail" };
}

// Doubles, with jitter; a wait that the service asked for is made no shorter.
export function waitMs(failures, retryAfterS, random = Math.random) {
  const backedOff = Math.min(WAIT_MS_MAX, BASE_MS * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2);
  return Math.max(backedOff, (retryAfterS ?? 0) * 1_000);
}
