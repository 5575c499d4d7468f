// What views ask the service for, and how they hear of changes.
import { get } from "./api.js";
import { follow } from "./stream.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";

// `{data, problem, isLoading, reload}` of what `load(signal)` brings, anew when one of `changes` differs. What was there
// stays on view meanwhile.
export function useLoaded(load, changes) {
  const [state, setState] = useState({ data: null, problem: null, isLoading: true, loads: 0 });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    load(controller.signal).then(
      (data) => { if (!controller.signal.aborted) setState((before) => ({ data, problem: null, isLoading: false, loads: before.loads + 1 })); },
      (problem) => { if (!controller.signal.aborted) setState((before) => ({ ...before, problem, isLoading: false })); },
    );
    return () => controller.abort();
  }, [...changes, turn]);
  const reload = useCallback(() => setTurn((one) => one + 1), []);
  const set = useCallback((data) => setState((before) => ({ ...before, data: typeof data === "function" ? data(before.data) : data })), []);
  return { ...state, reload, set };
}

// What `load(signal)` brings, and again `ms` after each answer, while somebody looks: `{data, problem, look}`. A refusal
// for want of a key or its scope ends it.
export function usePolled(load, ms, changes = []) {
  const [state, setState] = useState({ data: null, problem: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    let timer = null;
    const look = async () => {
      if (!document.hidden) {
        try {
          const data = await load(controller.signal);
          if (!controller.signal.aborted) setState({ data, problem: null });
        } catch (problem) {
          if (controller.signal.aborted) return;
          setState((before) => ({ ...before, problem }));
          if ([401, 403].includes(problem.status)) return;
        }
      }
      if (!controller.signal.aborted) timer = setTimeout(look, ms);
    };
    look();
    return () => { controller.abort(); clearTimeout(timer); };
  }, [...changes, turn]);
  const look = useCallback(() => setTurn((one) => one + 1), []);
  return { ...state, look };
}

// A listing, a page after the other; `set(change)` is given each page that is on view. Answers
// `{rows, total, more, problem, isLoading, reload, set}`; `more` where there are.
export function useListing(path, query = {}) {
  const asked = JSON.stringify([path, query]);
  const [extra, setExtra] = useState({ asked, rows: [], cursor: null, problem: null, isLoading: false });
  const first = useLoaded((signal) => (path ? get(path, query, signal) : Promise.resolve(null)), [asked]);
  const added = extra.asked === asked && extra.of === first.loads ? extra : null;
  const cursor = added ? added.cursor : first.data?.next_cursor;
  const more = async () => {
    setExtra({ ...(added ?? { rows: [] }), asked, of: first.loads, cursor, isLoading: true, problem: null });
    try {
      const page = await get(path, { ...query, cursor });
      setExtra({ asked, of: first.loads, rows: [...(added?.rows ?? []), ...page.data], cursor: page.next_cursor, isLoading: false, problem: null });
    } catch (problem) {
      setExtra({ ...(added ?? { rows: [] }), asked, of: first.loads, cursor, isLoading: false, problem });
    }
  };
  return {
    rows: first.data ? [...first.data.data, ...(added?.rows ?? [])] : null,
    total: first.data?.total ?? null,
    more: cursor ? more : null,
    problem: added?.problem ?? first.problem,
    isLoading: first.isLoading || Boolean(added?.isLoading),
    reload: first.reload,
    set: (change) => {
      first.set(change);
      setExtra((before) => (before.rows.length ? { ...before, rows: change({ data: before.rows }).data } : before));
    },
  };
}

// The state of a followed stream; `tell` may change from drawing to drawing.
export function useStream(path, tell) {
  const [state, setState] = useState({ name: "connecting", problem: null });
  const told = useRef(tell);
  told.current = tell;
  useEffect(() => {
    if (!path) return undefined;
    return follow(path, (name, data) => told.current(name, data), (name, problem = null) => setState({ name, problem }));
  }, [path]);
  return state;
}

// The time, told again every `ms` while somebody looks.
export function useClock(ms, isRunning = true) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(() => { if (!document.hidden) setNow(Date.now()); }, ms);
    return () => clearInterval(timer);
  }, [ms, isRunning]);
  return now;
}

// `[run, isRunning, problem, clear]` around something that the user set off.
export function useAction(act) {
  const [state, setState] = useState({ isRunning: false, problem: null });
  const run = async (...given) => {
    setState({ isRunning: true, problem: null });
    try {
      const answer = await act(...given);
      setState({ isRunning: false, problem: null });
      return answer;
    } catch (problem) {
      setState({ isRunning: false, problem });
      return undefined;
    }
  };
  return [run, state.isRunning, state.problem, () => setState({ isRunning: false, problem: null })];
}

const BASES_MAX = 10_000;

// All of them, page by page.
export function useKnowledgeBases() {
  const found = useLoaded(async (signal) => {
    const all = [];
    let cursor;
    do {
      const page = await get("/knowledge-bases", { limit: 200, cursor }, signal);
      all.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor && all.length < BASES_MAX);
    return all;
  }, []);
  return { ...found, bases: found.data };
}
