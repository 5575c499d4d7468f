// The page: finds the view that its address names, loads it, draws it within the frame.
import { isKeyAsked, leaveKey, onKey } from "./api.js";
import { html, render, useEffect, useErrorBoundary, useState } from "./html.js";
import { onLanguage, t } from "./language.js";
import { Empty, Frame, KeyDialog, Loading, ProblemBox } from "./parts.js";
import { match, usePlace } from "./router.js";
import { FIRST, VIEWS } from "./views.js";

function App() {
  const [, turn] = useState(0);
  const [isAsked, setAsked] = useState(isKeyAsked);
  useEffect(() => onLanguage(() => turn((one) => one + 1)), []);
  const [keyTurn, setKeyTurn] = useState(0);
  useEffect(() => onKey((reason) => {
    setAsked(isKeyAsked());
    if (reason === "changed") setKeyTurn((one) => one + 1);
  }), []);
  const place = usePlace();
  const segments = place.segments.length ? place.segments : [FIRST];
  const view = VIEWS.find((one) => match(one.pattern, segments));
  return html`<${Frame} views=${VIEWS} view=${view}>
    ${view
      ? html`<${View} key=${`${segments.join("/")}#${keyTurn}`} view=${view} given=${match(view.pattern, segments)} query=${place.query} />`
      : html`<${Empty} icon="search" title=${t("nowhere.title")} action=${html`<a class="button primary" href="#/">${t("nowhere.action")}</a>`}>${t("nowhere.text")}<//>`}
  <//>
  ${isAsked && html`<${KeyDialog} onClose=${leaveKey} />`}`;
}

const loaded = new Map();
let isFirst = true;

function View({ view, given, query }) {
  const [Shown, setShown] = useState(() => loaded.get(view.name) ?? null);
  const [problem, setProblem] = useState(null);
  const [broken, mend] = useErrorBoundary((error) => console.error(error));
  const load = () => view.load().then(
    (module) => { loaded.set(view.name, module.default); setShown(() => module.default); setProblem(null); },
    () => setProblem({ code: "unreachable" }),
  );
  useEffect(() => {
    if (!Shown) load();
    // After a step from view to view the next key press goes on in the new one, and a screen reader reads it.
    const main = document.getElementById("main");
    if (!isFirst && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
    isFirst = false;
    scrollTo(0, 0);
  }, []);
  if (broken) return html`<${ProblemBox} problem=${{ code: "page_broken", detail: broken.message }} onRetry=${mend} />`;
  if (problem) return html`<${ProblemBox} problem=${problem} onRetry=${load} />`;
  return Shown ? html`<${Shown} ...${given} query=${query} />` : html`<${Loading} />`;
}

render(html`<${App} />`, document.getElementById("app"));
document.documentElement.dataset.ready = "yes";
