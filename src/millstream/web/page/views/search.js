// Passages by words and by meaning.
import { post } from "../api.js";
import { duration } from "../format.js";
import { useKnowledgeBases } from "../hooks.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { t } from "../language.js";
import { Empty, Head, Icon, Input, Loading, ProblemBox, Segments } from "../parts.js";
import { ChooseKnowledgeBase } from "../parts/choose_knowledge_base.js";
import { Passage } from "../parts/passage.js";
import { link, replace } from "../router.js";

const SCOPES_MAX = 20; // searched at once

export default function Search({ query }) {
  const { bases, problem: basesProblem, reload } = useKnowledgeBases();
  const [asked, setAsked] = useState({
    query: query.q ?? "", kb: query.kb ?? "", mode: query.mode ?? "hybrid", profile: query.profile ?? "fast",
    top_k: query.top_k ?? "10", min_score: query.min_score ?? "", filename: query.filename ?? "", metadata: query.metadata ?? "", page: query.page ?? "",
  });
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isRunning, setRunning] = useState(false);
  const turn = useRef(0);
  const field = useRef(null);
  useEffect(() => { field.current?.focus({ preventScroll: true }); }, [Boolean(bases)]);
  const put = (key) => (value) => setAsked((before) => ({ ...before, [key]: value }));

  const search = async (wanted) => {
    if (!wanted.query.trim()) return;
    const own = ++turn.current;
    setRunning(true);
    const { query: q, ...rest } = wanted;
    replace(["search"], { q, ...rest });
    try {
      const answer = await post(...request(wanted, bases));
      if (own === turn.current) { setFound({ ...answer, query: q }); setProblem(null); }
    } catch (error) {
      if (own === turn.current) { setProblem(error); setFound(null); }
    } finally {
      if (own === turn.current) setRunning(false);
    }
  };
  useEffect(() => { if (asked.query && bases && !found) search(asked); }, [Boolean(bases)]);
  const choose = (key) => (value) => { const next = { ...asked, [key]: value }; setAsked(next); if (found) search(next); };
  const nameOf = (id) => (!asked.kb && bases?.length > 1 ? bases.find((one) => one.knowledge_base_id === id)?.name : null);
  const filters = ["filename", "metadata", "page", "min_score"].filter((key) => asked[key]).length;
  if (bases?.length === 0) return html`<${Head} title=${t("search.title")} /><${Empty} icon="books" title=${t("bases.none")} action=${html`<a class="button primary" href=${link(["upload"])}>${t("nav.upload")}</a>`}>${t("search.nothing_there")}<//>`;
  return html`<${Head} title=${t("search.title")} lead=${t("search.lead")} />
    <${ProblemBox} problem=${basesProblem} onRetry=${reload} />
    <form class="card search-form" role="search" onSubmit=${(event) => { event.preventDefault(); search(asked); }}>
      <div class="search-line"><label class="hidden" for="query">${t("search.query")}</label><${Icon} name="search" size=${22} />
        <input id="query" type="search" maxlength="2000" placeholder=${t("search.placeholder")} value=${asked.query} onInput=${(event) => put("query")(event.target.value)} ref=${field} />
        <button type="submit" class="primary" disabled=${isRunning || !asked.query.trim()}>${t("search.do")}</button></div>
      <div class="row">
        <${ChooseKnowledgeBase} isNarrow label=${t("bases.single")} bases=${bases} all=${t("search.all")} value=${asked.kb} onChange=${choose("kb")} />
        <div class="field narrow"><span class="label">${t("search.mode")}</span><${Segments} label=${t("search.mode")} value=${asked.mode} options=${["hybrid", "vector", "keyword"].map((one) => [one, t(`mode.${one}`)])} onChange=${choose("mode")} /></div>
        <div class="field narrow"><span class="label">${t("search.profile")}</span><${Segments} label=${t("search.profile")} value=${asked.profile} options=${["fast", "enhanced"].map((one) => [one, t(`profile.${one}`)])} onChange=${choose("profile")} /></div>
      </div>
      <details open=${filters > 0}><summary>${t("search.more")}${filters > 0 && html` <span class="badge" data-tone="busy">${filters}</span>`}</summary>
        <div class="grid">
          <${Input} label=${t("search.filename")} hint=${t("search.filename_hint")} value=${asked.filename} onInput=${put("filename")} />
          <${Input} label=${t("documents.metadata")} placeholder="year=2026" value=${asked.metadata} onInput=${put("metadata")} />
          <${Input} label=${t("search.page")} type="number" min="1" value=${asked.page} onInput=${put("page")} />
          <${Input} label=${t("search.min_score")} hint=${t("search.min_score_hint")} type="number" step="any" value=${asked.min_score} onInput=${put("min_score")} />
          <${Input} label=${t("search.top_k")} type="number" min="1" max="100" value=${asked.top_k} onInput=${put("top_k")} />
        </div></details>
    </form>
    <${ProblemBox} problem=${problem} />
    ${isRunning && !found && html`<${Loading} />`}
    ${!found && !isRunning && !problem && html`<${Empty} icon="search" title=${t("search.begin")}>${t("search.begin_text")}<//>`}
    ${found && html`<p class="found" role="status">${t("search.found", { n: found.passages.length, time: duration(found.took_ms) })}${found.reranker && html` · ${t("search.reranked", { name: found.reranker })}`}</p>
      ${found.warnings.map((one) => html`<p class="problem mild"><${Icon} name="warn" />${one.message}</p>`)}
      ${found.passages.length === 0 && html`<${Empty} icon="search" title=${t("search.none")}>${t("search.none_text")}<//>`}
      <ol class="passages">${found.passages.map((one, place) => html`<${Passage} key=${one.chunk_id} passage=${one} rank=${place + 1} best=${Math.max(...found.passages.map((each) => each.score))} baseName=${nameOf(one.knowledge_base_id)} />`)}</ol>`}`;
}

// Several knowledge bases are searched by another path; none chosen means the newest of those that the key may see.
function request(asked, bases) {
  const filters = {};
  if (asked.filename.trim()) filters.filename = asked.filename.trim();
  if (asked.page) filters.page = Number(asked.page);
  const [key, value] = asked.metadata.split("=", 2).map((one) => one?.trim());
  if (key && value) filters[`metadata.${key}`] = scalar(value);
  const body = {
    query: asked.query, mode: asked.mode, profile: asked.profile, top_k: Number(asked.top_k) || 10,
    ...(Object.keys(filters).length ? { filters } : {}),
    ...(asked.min_score === "" ? {} : { min_score: Number(asked.min_score) }),
  };
  const chosen = asked.kb ? [asked.kb] : bases.slice(0, SCOPES_MAX).map((one) => one.knowledge_base_id);
  if (chosen.length === 1) return [`/knowledge-bases/${chosen[0]}/search`, body];
  return ["/search", { ...body, knowledge_base_ids: chosen }];
}

function scalar(text) {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}
