// An answer out of the documents, as it is written, with citations that lead to the passages.
import { problemIn, send } from "../api.js";
import { duration, number } from "../format.js";
import { useKnowledgeBases } from "../hooks.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { t } from "../language.js";
import { Badge, Empty, Head, Icon, ProblemBox } from "../parts.js";
import { ChooseKnowledgeBase } from "../parts/choose_knowledge_base.js";
import { placeOf } from "../parts/passage.js";
import { link, replace } from "../router.js";
import { readEvents } from "../stream.js";

const SCOPES_MAX = 20; // asked at once
const NOTHING = { text: "", passages: [], citations: [], end: null };

export default function Ask({ query }) {
  const { bases, problem: basesProblem, reload } = useKnowledgeBases();
  const [question, setQuestion] = useState(query.q ?? "");
  const [kb, setKb] = useState(query.kb ?? "");
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const running = useRef(null);
  const field = useRef(null);
  useEffect(() => { field.current?.focus({ preventScroll: true }); }, [Boolean(bases)]);
  const [isRunning, setRunning] = useState(false);
  useEffect(() => () => running.current?.abort(), []);
  const base = bases?.find((one) => one.knowledge_base_id === kb) ?? null; // none: all

  const ask = async () => {
    running.current?.abort();
    const own = new AbortController();
    running.current = own;
    setRunning(true);
    setProblem(null);
    setAnswer({ ...NOTHING, question });
    replace(["ask"], { q: question, kb: base?.knowledge_base_id });
    const put = (change) => { if (!own.signal.aborted) setAnswer((before) => ({ ...before, ...change(before) })); };
    try {
      const [path, body] = request(question, base ? [base] : bases);
      const stream = await send("POST", path, { body, signal: own.signal });
      let isOver = false;
      await readEvents(stream, ({ name, data }) => {
        const told = JSON.parse(data);
        if (name === "passages") put(() => ({ passages: told.passages }));
        else if (name === "text") put((before) => ({ text: before.text + told.text }));
        else if (name === "citations") put(() => ({ citations: told.citations }));
        else if (name === "end") { isOver = true; put(() => ({ end: told })); }
        else if (name === "error") { isOver = true; setProblem(problemIn(data, 502)); }
      });
      if (!isOver && !own.signal.aborted) setProblem(problemIn(JSON.stringify({ code: "answer_cut_off", detail: t("ask.cut_off") }), 0));
    } catch (error) {
      if (!own.signal.aborted) { setProblem(error); setAnswer(null); }
    } finally {
      if (running.current === own) setRunning(false);
    }
  };
  const stop = () => { running.current?.abort(); setRunning(false); };
  if (bases?.length === 0) return html`<${Head} title=${t("ask.title")} /><${Empty} icon="books" title=${t("bases.none")} action=${html`<a class="button primary" href=${link(["upload"])}>${t("nav.upload")}</a>`}>${t("search.nothing_there")}<//>`;
  return html`<${Head} title=${t("ask.title")} lead=${t("ask.lead")} />
    <${ProblemBox} problem=${basesProblem} onRetry=${reload} />
    <form class="card search-form" onSubmit=${(event) => { event.preventDefault(); ask(); }}>
      <div class="search-line"><label class="hidden" for="question">${t("ask.question")}</label><${Icon} name="ask" size=${22} />
        <input id="question" type="text" maxlength="2000" placeholder=${t("ask.placeholder")} value=${question} onInput=${(event) => setQuestion(event.target.value)} ref=${field} />
        ${isRunning ? html`<button type="button" onClick=${stop}>${t("ask.stop")}</button>` : html`<button type="submit" class="primary" disabled=${!bases || !question.trim()}>${t("ask.do")}</button>`}</div>
      <div class="row"><${ChooseKnowledgeBase} isNarrow label=${t("bases.single")} bases=${bases} all=${t("search.all")} value=${base?.knowledge_base_id ?? ""} onChange=${setKb} /></div>
    </form>
    ${problem?.code === "no_language_model"
      ? html`<${Empty} icon="ask" title=${t("problem.no_language_model")} action=${html`<a class="button primary" href=${link(["search"], { q: question, kb: base?.knowledge_base_id })}>${t("ask.search_instead")}</a>`}>${problem.detail}<//>`
      : html`<${ProblemBox} problem=${problem} />`}
    ${!answer && !problem && html`<${Empty} icon="ask" title=${t("ask.begin")}>${t("ask.begin_text")}<//>`}
    ${answer && html`<${Answer} answer=${answer} isRunning=${isRunning} />`}`;
}

// Several knowledge bases are asked by another path; all means the newest of those that the key may see.
function request(question, asked) {
  const body = { question, stream: true };
  if (asked.length === 1) return [`/knowledge-bases/${asked[0].knowledge_base_id}/answers`, body];
  return ["/answers", { ...body, knowledge_base_ids: asked.slice(0, SCOPES_MAX).map((one) => one.knowledge_base_id) }];
}

function Answer({ answer, isRunning }) {
  const cited = new Set(answer.citations.map((one) => one.number));
  const point = (place) => document.getElementById(`passage-${place}`)?.focus();
  return html`<section class="card answer" aria-labelledby="answer-title" aria-busy=${isRunning}>
      <h2 id="answer-title">${answer.question}</h2>
      <div class="answer-text" aria-live="polite" dir="auto">${cut(answer.text).map((one) => (one.number
        ? html`<button type="button" class="citation" aria-label=${t("ask.citation", { n: one.number })} onClick=${() => point(one.number)}>${one.number}</button>`
        : one.text))}${isRunning && html`<span class="caret" aria-hidden="true"></span>`}</div>
      ${answer.end && !answer.end.found && html`<p class="said-small waiting"><${Icon} name="warn" size=${16} />${t("ask.not_found")}</p>`}
      ${answer.end?.is_cut && html`<p class="said-small waiting">${t("ask.is_cut")}</p>`}
      ${answer.end?.warnings?.map((one) => html`<p class="said-small warning">${one.message}</p>`)}
      ${answer.end && html`<p class="said-small muted">${[answer.end.model, duration(answer.end.took_ms), answer.end.usage?.completion_tokens && t("ask.tokens", { n: answer.end.usage.completion_tokens })].filter(Boolean).join(" · ")}</p>`}
    </section>
    ${answer.passages.length > 0 && html`<section aria-labelledby="sources-title"><h2 id="sources-title">${t("ask.sources", { n: answer.passages.length })}</h2>
      <ol class="passages sources">${answer.passages.map((one) => html`<li key=${one.number} id=${`passage-${one.number}`} tabindex="-1" class=${cited.has(one.number) || !answer.end ? "card passage" : "card passage dimmed"}>
        <header class="row between tight"><span class="row tight"><span class="rank">${number(one.number)}</span><a class="strong" href=${placeOf(one)}>${one.filename}</a>
          ${one.page !== null && html`<span class="badge" data-tone="calm">${t("passage.page", { n: one.page })}</span>`}${cited.has(one.number) && html`<${Badge} status="cited" />`}</span>
          <a href=${placeOf(one)}>${t("passage.show")}</a></header>
        <p class="passage-text clamp-more" dir="auto">${one.text}</p></li>`)}</ol></section>`}`;
}

// The text with its `[1]` taken out, to become something that can be pressed; `[1, 2]` and `[1][2]` alike.
function cut(text) {
  return text.split(/(\[\d+(?:\s*[,，、]\s*\d+)*\])/).flatMap((piece) => (/^\[\d/.test(piece)
    ? piece.match(/\d+/g).map((one) => ({ number: Number(one) }))
    : piece ? [{ text: piece }] : []));
}
