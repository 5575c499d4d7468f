// Server-sent events over fetch, since an EventSource can send no key. Goes on by itself where it was cut off.
import { Problem, send } from "./api.js";

const SILENCE_MS_MAX = 40_000; // the service sends a sign of life every 15 s
const WAIT_MS_MAX = 10_000;

// Splits a text/event-stream into events as its text comes (WHATWG HTML, section 9.2.6).
export class EventParser {
  #rest = "";
  #event = { name: "", data: [], id: undefined };

  constructor(tell) { this.tell = tell; this.retryMs = null; }

  feed(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") {
      const { name, data, id } = this.#event;
      if (data.length) this.tell({ name: name || "message", data: data.join("\n"), id });
      this.#event = { name: "", data: [], id: undefined };
      return;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") this.#event.name = value;
    else if (field === "data") this.#event.data.push(value);
    else if (field === "id") this.#event.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}

export async function readEvents(answer, tell, onSign = () => {}) {
  const parser = new EventParser(tell);
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return parser;
    onSign();
    parser.feed(decoder.decode(value, { stream: true }));
  }
}

// Follows a stream until `end`, a refusal, or until the answered function is called. `tell(name, data)` for each event;
// `onState("connecting" | "live" | "reconnecting" | "paused" | "ended" | "refused", problem)`. Hidden tabs let go of
// their connection, as a browser has six for all of them, and catch up when they are looked at.
export function follow(path, tell, onState) {
  let lastId = null;
  let isOver = false;
  let failures = 0;
  let controller = null;
  let timer = null;

  const finish = (state, problem) => { isOver = true; document.removeEventListener("visibilitychange", look); onState(state, problem); };

  async function connect() {
    if (isOver || document.hidden) { if (!isOver) onState("paused"); return; }
    controller = new AbortController();
    const own = controller;
    let watchdog = null;
    const alive = () => { clearTimeout(watchdog); watchdog = setTimeout(() => own.abort(), SILENCE_MS_MAX); };
    onState(failures ? "reconnecting" : "connecting");
    try {
      alive();
      const headers = lastId === null ? {} : { "Last-Event-ID": lastId };
      const answer = await send("GET", path, { signal: own.signal, headers });
      onState("live");
      failures = 0;
      await readEvents(answer, (event) => {
        if (isOver || own !== controller) return;
        if (event.id !== undefined) lastId = event.id;
        if (event.name === "end") finish("ended");
        else tell(event.name, JSON.parse(event.data));
      }, alive);
    } catch (error) {
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) {
        if (!isOver) finish("refused", error);
      }
    } finally {
      clearTimeout(watchdog);
    }
    if (isOver || own !== controller) return;
    failures += 1;
    onState(document.hidden ? "paused" : "reconnecting");
    timer = setTimeout(connect, Math.min(WAIT_MS_MAX, 500 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2));
  }

  function look() {
    clearTimeout(timer);
    const before = controller;
    controller = null;
    before?.abort();
    connect();
  }

  document.addEventListener("visibilitychange", look);
  connect();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
    controller?.abort();
  };
}
