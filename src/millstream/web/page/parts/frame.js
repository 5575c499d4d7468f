// Around every view: the way to the others, language, light, key.
import { apiKey, askForKey, setApiKey } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { language, LANGUAGES, setLanguage, t } from "../language.js";
import { link } from "../router.js";
import { Check, Input } from "./field.js";
import { Icon, Mark } from "./icon.js";
import { Dialog } from "./notice.js";

const THEMES = ["auto", "light", "dark"];
const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };

export function Frame({ views, view, children }) {
  return html`<div class="frame">
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>${t("frame.skip")}</a>
    <header class="bar">
      <a class="brand" href="#/"><${Mark} /><span>Millstream</span></a>
      <nav class="ways" aria-label=${t("frame.views")}>
        ${views.filter((one) => one.icon).map((one) => html`<a href=${link([one.name])} aria-current=${view?.under === one.name || view?.name === one.name ? "page" : undefined}><${Icon} name=${one.icon} /><span>${t(`nav.${one.name}`)}</span></a>`)}
      </nav>
      <${Switches} />
    </header>
    <main id="main" tabindex="-1">${children}</main>
  </div>`;
}

function Switches() {
  const [theme, setTheme] = useState(window.millstreamTheme.get());
  const other = LANGUAGES.find(([name]) => name !== language());
  const nextTheme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const turn = () => { window.millstreamTheme.set(nextTheme); setTheme(nextTheme); };
  return html`<div class="switches">
    <button type="button" class="quiet" lang=${other[0]} onClick=${() => setLanguage(other[0])}><${Icon} name="globe" size=${18} /><span>${other[1]}</span></button>
    <button type="button" class="quiet" aria-label=${`${t("frame.theme")}: ${t(`theme.${theme}`)}`} title=${`${t("frame.theme")}: ${t(`theme.${theme}`)}`} onClick=${turn}><${Icon} name=${THEME_ICONS[theme]} size=${18} /><span>${t(`theme.${theme}`)}</span></button>
    <button type="button" class="quiet" onClick=${askForKey} title=${t("key.title")}><${Icon} name="key" size=${18} /><span>${apiKey() ? t("key.held") : t("key.title")}</span></button>
    <a class="quiet" href="/docs" title=${t("frame.docs")}><${Icon} name="docs" size=${18} /><span>${t("frame.docs")}</span></a>
  </div>`;
}

export function KeyDialog({ onClose }) {
  const [value, setValue] = useState("");
  const [isRemembered, setRemembered] = useState(false);
  const use = (event) => { event.preventDefault(); setApiKey(value.trim(), isRemembered); onClose(); };
  return html`<${Dialog} title=${t("key.title")} onClose=${onClose}><form onSubmit=${use}>
    <div class="dialog-body">
      <p>${t("key.why")}</p>
      <${Input} label=${t("key.label")} type="password" autocomplete="off" spellcheck=${false} placeholder="ms_…" value=${value} onInput=${setValue} required />
      <${Check} label=${t("key.remember")} hint=${t("key.remember_hint")} isChecked=${isRemembered} onChange=${setRemembered} />
    </div>
    <footer>${apiKey() && html`<button type="button" onClick=${() => { setApiKey("", false); onClose(); }}>${t("key.forget")}</button>`}
      <button type="submit" class="primary">${t("key.use")}</button></footer>
  </form><//>`;
}

// The head of a view; its title is the tab's.
export function Head({ title, lead, back, actions, children }) {
  useEffect(() => { document.title = `${title} · Millstream`; }, [title]);
  return html`<header class="head">
    ${back && html`<a class="back" href=${back.href}><${Icon} name="back" size=${16} />${back.title}</a>`}
    <div class="head-line"><h1>${title}</h1>${children}<div class="head-actions">${actions}</div></div>
    ${lead && html`<p class="lead">${lead}</p>`}
  </header>`;
}
