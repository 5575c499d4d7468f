// Numbers, sizes, times, durations, as the user's language writes them.
import { t, tag } from "./language.js";

export const number = (value) => value.toLocaleString(tag());
export const percent = (share) => `${Math.floor(share * 100)}%`;
export const decimal = (value, digits = 2) => value.toLocaleString(tag(), { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) { value /= 1000; place += 1; }
  return `${value.toLocaleString(tag(), { maximumFractionDigits: value < 10 && place ? 1 : 0 })} ${units[place]}`;
}

export function duration(ms) {
  if (ms < 1000) return t("time.ms", { n: String(Math.max(0, Math.round(ms))) });
  const s = ms / 1000;
  if (s < 60) return t("time.s", { n: s.toLocaleString(tag(), { maximumFractionDigits: s < 10 ? 1 : 0 }) });
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return joined("min", minutes, "s", Math.floor(s % 60));
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? joined("h", hours, "min", minutes % 60) : t("time.days", { n: Math.floor(hours / 24) });
}

// "10 min 5 s"; nothing is said of none.
function joined(unit, count, smaller, rest) {
  const said = t(`time.${unit}`, { n: count });
  return rest ? `${said} ${t(`time.${smaller}`, { n: rest })}` : said;
}

export function moment(iso) {
  return new Date(iso).toLocaleString(tag(), { dateStyle: "medium", timeStyle: "medium" });
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString(tag(), { hour12: false });
}

// "3 minutes ago", "in 12 seconds".
export function ago(iso, now = Date.now()) {
  const s = (new Date(iso).getTime() - now) / 1000;
  const said = new Intl.RelativeTimeFormat(tag(), { numeric: "auto" });
  if (Math.abs(s) < 5) return t("time.now");
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(s) >= size) return said.format(Math.trunc(s / size), unit);
  }
  return said.format(Math.trunc(s), "second");
}

// Places in a text are told in characters (code points); strings here count otherwise. Slices of long texts stay cheap.
export function characters(text) {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

export function part(chars, start, end) {
  return typeof chars === "string" ? chars.slice(start, end) : chars.slice(start, end).join("");
}
