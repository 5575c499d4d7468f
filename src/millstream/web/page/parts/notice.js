// What the service refused, what is not there yet, what the user is asked before something happens.
import { html, useEffect, useRef } from "../html.js";
import { reason, t } from "../language.js";
import { Icon } from "./icon.js";

// A refusal, with what the service said of it and of what to do.
export function ProblemBox({ problem, onRetry, onClose }) {
  if (!problem) return null;
  const detail = problem.code === "unreachable" ? t("problem.unreachable_text") : problem.detail || problem.message;
  return html`<div class="problem" role="alert">
    <${Icon} name="warn" />
    <div class="problem-said">
      <strong>${titleOf(problem)}</strong>
      <p>${detail}</p>
      ${problem.errors?.length > 0 && html`<ul>${problem.errors.map((one) => html`<li><code>${one.pointer}</code> ${one.message}</li>`)}</ul>`}
      ${problem.retryAfterS && html`<p>${t("problem.retry_after", { n: problem.retryAfterS })}</p>`}
      <small>${problem.code && html`<code>${problem.code}</code>`} ${problem.requestId && html`· ${t("problem.request")} <code>${problem.requestId}</code>`}</small>
    </div>
    ${onRetry && html`<button type="button" class="quiet" onClick=${onRetry}>${t("do.again")}</button>`}
    ${onClose && html`<button type="button" class="quiet icon-only" aria-label=${t("do.close")} onClick=${onClose}><${Icon} name="close" /></button>`}
  </div>`;
}

// In the user's words where there are some, else in the service's.
function titleOf({ code, title }) {
  const said = code ? reason(code) : "";
  return said && said !== code.replaceAll("_", " ") ? said : title || t("problem.failed");
}

// Nothing here yet, and what to do next.
export function Empty({ icon, title, children, action }) {
  return html`<div class="empty">
    <span class="empty-icon"><${Icon} name=${icon} size=${28} /></span>
    <h2>${title}</h2>
    <p>${children}</p>
    ${action}
  </div>`;
}

export function Loading() {
  return html`<div class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${t("loading")}</div>`;
}

export function Dialog({ title, onClose, children, isWide = false }) {
  const element = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog class=${isWide ? "dialog wide" : "dialog"} ref=${element} aria-labelledby="dialog-title"
      onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onClick=${(event) => { if (event.target === element.current) onClose(); }}>
    <div class="dialog-inside">
      <header><h2 id="dialog-title">${title}</h2>
        <button type="button" class="quiet icon-only" aria-label=${t("do.close")} onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}

// Asks before something that cannot be taken back, or that is much.
export function Confirm({ title, children, action, isDangerous = false, isRunning = false, problem, onConfirm, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <div class="dialog-body">${children}</div>
    <${ProblemBox} problem=${problem} />
    <footer><button type="button" onClick=${onClose}>${t("do.cancel")}</button>
      <button type="button" class=${isDangerous ? "danger" : "primary"} disabled=${isRunning} onClick=${onConfirm}>${action}</button></footer>
  <//>`;
}
