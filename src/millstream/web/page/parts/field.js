// What the user fills in, with its name and what it means.
import { html, useId, useState } from "../html.js";
import { t } from "../language.js";
import { Icon } from "./icon.js";

export function Field({ label, hint, children, isNarrow = false }) {
  const id = useId();
  return html`<div class=${isNarrow ? "field narrow" : "field"}>
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": hint ? `${id}-hint` : undefined })}
    ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
  </div>`;
}

export function Select({ label, hint, value, options, onChange, isNarrow, isDisabled }) {
  return html`<${Field} label=${label} hint=${hint} isNarrow=${isNarrow}>${(given) => html`
    <select ...${given} value=${value} disabled=${isDisabled} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([one, said]) => html`<option value=${one} selected=${one === value}>${said}</option>`)}
    </select>`}<//>`;
}

export function Input({ label, hint, value, onInput, isNarrow, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} isNarrow=${isNarrow}>${(given) => html`
    <input type="text" ...${given} ...${rest} value=${value} onInput=${(event) => onInput(event.target.value)} />`}<//>`;
}

export function TextArea({ label, hint, value, onInput, ...rest }) {
  return html`<${Field} label=${label} hint=${hint}>${(given) => html`
    <textarea ...${given} ...${rest} value=${value} onInput=${(event) => onInput(event.target.value)}></textarea>`}<//>`;
}

export function Check({ label, hint, isChecked, onChange, isDisabled }) {
  const id = useId();
  return html`<div class="check"><input type="checkbox" id=${id} checked=${isChecked} disabled=${isDisabled} onChange=${(event) => onChange(event.target.checked)} aria-describedby=${hint ? `${id}-hint` : undefined} />
    <label for=${id}>${label}</label>${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}</div>`;
}

// One of a few: buttons side by side, of which one is pressed.
export function Segments({ label, value, options, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(([one, said, icon]) => html`<button type="button" aria-pressed=${one === value} onClick=${() => onChange(one)}>${icon && html`<${Icon} name=${icon} size=${18} />`}<span>${said}</span></button>`)}
  </div>`;
}

export function Copy({ text, label }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); setDone(true); setTimeout(() => setDone(false), 1_500); } catch { /* the text can be marked by hand */ }
  };
  return html`<button type="button" class="quiet copy" title=${t("do.copy")} aria-label=${`${t("do.copy")}: ${label ?? text}`} onClick=${copy}><code>${label ?? text}</code><${Icon} name=${isDone ? "check" : "copy"} size=${15} /></button>`;
}
