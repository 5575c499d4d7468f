// What this browser remembers of uploads that are not done, so that the same files, chosen again after a reload, go on.
//
// `millstream.form|DIGEST`: a form, with the Idempotency-Key that it was sent under: if it had arrived it is not taken
// twice, and its task is found again. `tus::millstream|…`: tus-js-client's own, where a large file's upload stands.
const FORM = "millstream.form|";
const LARGE = "tus::millstream|";
const KEPT_MS = 24 * 3_600_000; // uploads and keys are forgotten by the service after a day

export const largeFingerprint = (file, target) => ["millstream", target.knowledgeBase, target.onDuplicate, mark(file)].join("|");

const mark = (file) => `${file.path}|${file.bytes}|${file.file.lastModified}`;
const randomKey = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
const placeOf = (files, target) => FORM + digest([target.knowledgeBase, target.onDuplicate, ...files.map(mark)].join("\n"));

// cyrb53 (public domain): whoever meets a stranger's key by chance is told so by the service, and takes another.
function digest(text) {
  let [one, two] = [0xdeadbeef, 0x41c6ce57];
  for (let place = 0; place < text.length; place += 1) {
    const code = text.charCodeAt(place);
    one = Math.imul(one ^ code, 2654435761);
    two = Math.imul(two ^ code, 1597334677);
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909);
  two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909);
  return (4294967296 * (2097151 & two) + (one >>> 0)).toString(36);
}

// The key of a form: that of an earlier page where it was interrupted there.
export function beginForm(files, target) {
  const place = placeOf(files, target);
  try {
    const kept = JSON.parse(localStorage.getItem(place));
    if (kept && Date.now() - kept.at < KEPT_MS) return { key: kept.key, isResumed: true };
  } catch { /* nothing is kept in this browser */ }
  const key = randomKey();
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0);
  try {
    localStorage.setItem(place, JSON.stringify({ key, at: Date.now(), name: files[0].name, files: files.length, bytes, knowledgeBase: target.knowledgeBase }));
  } catch { /* full, or nothing is kept: a reload begins anew */ }
  return { key, isResumed: false };
}

export function endForm(files, target) { forget(placeOf(files, target)); }

export function forget(place) {
  try { localStorage.removeItem(place); } catch { /* nothing is kept in this browser */ }
}

// What an earlier page left unfinished: `[{place, name, files, bytes, knowledgeBase}]`, without what `parcels` carry now.
export function interrupted(parcels) {
  const found = [];
  try {
    const here = parcels.map(({ kind, files, target }) => (kind === "form" ? placeOf(files, target) : `tus::${largeFingerprint(files[0], target)}`));
    for (const [place, value] of Object.entries(localStorage)) {
      const isForm = place.startsWith(FORM);
      if (!isForm && !place.startsWith(LARGE)) continue;
      const kept = JSON.parse(value);
      if (Date.now() - (isForm ? kept.at : Date.parse(kept.creationTime)) > KEPT_MS) { forget(place); continue; }
      if (here.some((one) => place === one || place.startsWith(`${one}::`))) continue;
      found.push(isForm ? { place, ...kept } : { place, name: kept.metadata.filename, files: 1, bytes: kept.size, knowledgeBase: kept.metadata.knowledge_base });
    }
  } catch { /* nothing is kept in this browser */ }
  return found;
}
