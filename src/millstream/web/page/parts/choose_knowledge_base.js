// One of the knowledge bases: a menu while they are few, else a field that finds them by name.
import { html, useEffect, useId, useRef, useState } from "../html.js";
import { t } from "../language.js";
import { Field, Select } from "./field.js";

const MENU_MAX = 20; // more are found by typing
const SHOWN_MAX = 50;

// `all` is what stands for every one of them (its value is ""), where that may be chosen.
export function ChooseKnowledgeBase({ label, hint, bases, value, onChange, all, isNarrow }) {
  const options = [...(all ? [["", all]] : []), ...(bases ?? []).map((one) => [one.knowledge_base_id, one.name])];
  return options.length <= MENU_MAX
    ? html`<${Select} label=${label} hint=${hint} isNarrow=${isNarrow} value=${value} options=${options} onChange=${onChange} />`
    : html`<${Search} label=${label} hint=${hint} isNarrow=${isNarrow} value=${value} options=${options} onChange=${onChange} />`;
}

const folded = (text) => text.normalize("NFKC").toLocaleLowerCase();

// The combobox of the ARIA Authoring Practices, with a list that is narrowed by what is typed.
function Search({ label, hint, value, options, onChange, isNarrow }) {
  const list = useId();
  const field = useRef(null);
  const popup = useRef(null);
  const [typed, setTyped] = useState(null); // null: closed
  const [at, setAt] = useState(0);
  const chosen = options.find(([one]) => one === value)?.[1] ?? value;
  const wanted = folded(typed ?? "").trim();
  const found = typed === null ? [] : options.filter(([one, name]) => !wanted || folded(name).includes(wanted) || one === typed.trim());
  const shown = found.slice(0, SHOWN_MAX);
  const open = () => { setTyped(""); setAt(Math.max(0, options.slice(0, SHOWN_MAX).findIndex(([one]) => one === value))); };
  const close = () => setTyped(null);
  const choose = (one) => { close(); if (one !== value) onChange(one); };
  useEffect(() => { popup.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }); }, [at, typed]);
  const keys = {
    ArrowDown: () => (typed === null ? open() : setAt(Math.min(shown.length - 1, at + 1))),
    ArrowUp: () => setAt(Math.max(0, at - 1)),
    Enter: () => (typed !== null && shown[at] ? choose(shown[at][0]) : null),
    Escape: close,
  };
  const onKeyDown = (event) => {
    if (!(event.key in keys) || (typed === null && event.key !== "ArrowDown")) return;
    event.preventDefault();
    keys[event.key]();
  };
  return html`<${Field} label=${label} hint=${hint ?? t("chooser.hint", { n: options.length })} isNarrow=${isNarrow}>${(given) => html`<div class="chooser">
    <input type="text" ...${given} ref=${field} role="combobox" autocomplete="off" spellcheck=${false} aria-expanded=${typed !== null} aria-controls=${list} aria-autocomplete="list"
      aria-activedescendant=${shown[at] ? `${list}-${at}` : undefined} value=${typed ?? chosen} placeholder=${chosen}
      onFocus=${open} onClick=${() => { if (typed === null) open(); }} onBlur=${close} onKeyDown=${onKeyDown} onInput=${(event) => { setTyped(event.target.value); setAt(0); }} />
    <ul class="chooser-list" id=${list} ref=${popup} role="listbox" aria-label=${label} hidden=${typed === null}>
      ${shown.map(([one, name], place) => html`<li key=${one} id=${`${list}-${place}`} role="option" aria-selected=${place === at} onMouseDown=${(event) => { event.preventDefault(); choose(one); field.current.blur(); }}>${name}</li>`)}
      ${found.length > shown.length && html`<li class="muted" role="option" aria-disabled="true" aria-selected="false">${t("chooser.more", { n: found.length - shown.length })}</li>`}
      ${typed !== null && found.length === 0 && html`<li class="muted" role="option" aria-disabled="true" aria-selected="false">${t("chooser.none")}</li>`}
    </ul></div>`}<//>`;
}
