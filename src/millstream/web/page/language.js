// The language of the page: what the browser prefers until somebody chooses, and then the choice.
const KEPT = "millstream.language";
const LOADED = { en: () => import("./i18n/en.js"), zh: () => import("./i18n/zh.js") };
// What codes mean is wanted when something fails: it comes behind the first view.
const CODES = { en: () => import("./i18n/en_codes.js"), zh: () => import("./i18n/zh_codes.js") };
export const LANGUAGES = [["en", "English"], ["zh", "中文"]];

const listeners = new Set();
let current = chosen();
let messages = (await LOADED[current]()).default;
document.documentElement.lang = tag();
addCodes(current);

function chosen() {
  let kept = null;
  try { kept = localStorage.getItem(KEPT); } catch { /* nothing is kept in this browser */ }
  if (kept in LOADED) return kept;
  return (navigator.languages ?? [navigator.language]).some((one) => one?.toLowerCase().startsWith("zh")) ? "zh" : "en";
}

async function addCodes(name) {
  try {
    const codes = (await CODES[name]()).default;
    if (name !== current) return;
    messages = { ...codes, ...messages };
    for (const tell of listeners) tell();
  } catch { /* codes are shown as they are */ }
}

export function language() { return current; }

export function tag() { return current === "zh" ? "zh-CN" : "en"; }

export async function setLanguage(name) {
  // Kept first: whoever reloads while the words are on their way gets them all the same.
  try { localStorage.setItem(KEPT, name); } catch { /* it holds until the page is closed */ }
  const words = (await LOADED[name]()).default;
  messages = words;
  current = name;
  document.documentElement.lang = tag();
  for (const tell of listeners) tell();
  await addCodes(name);
}

export function onLanguage(tell) {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

// The message of that name with `{values}` put in; a number `n` chooses `name.one` where a language has it.
export function t(name, values = {}) {
  const message = (values.n === 1 && messages[`${name}.one`]) || messages[name] || name;
  return message.replace(/\{(\w+)\}/g, (whole, key) => {
    const value = values[key];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(tag()) : String(value);
  });
}

// What a stable code of the service means, of a refusal or of a failure.
export function reason(code) {
  const status = /^provider_(\d{3})$/.exec(code)?.[1];
  return status ? t("problem.provider_status", { n: Number(status) }) : named("problem", code);
}

// A name that the API gave (a status, a step, a code) in the user's words; as it is where there are none.
export function named(kind, name) {
  const key = `${kind}.${name}`;
  const said = t(key);
  return said === key ? String(name).replaceAll("_", " ") : said;
}
