// Pure: which files go together in one request, so that a folder becomes one task and not hundreds (ADR 45).
//
// Small files travel in forms, whole or not at all: a break costs a form, which is why a form has a limit. A large file
// travels by itself, resumably, and goes on behind the last byte that arrived.

export const RESUMABLE_BYTES_MIN = 8 * 1024 * 1024;
export const FORM_BYTES_MAX = 128 * 1024 * 1024;
export const FORM_FILES_MAX = 1_000; // of one request, as the service takes them unless it is set up otherwise

// What is most often read. Others go first: should the service refuse one, little has been sent in vain.
const USUAL = /\.(pdf|docx?|pptx?|xlsx?|html?|md|markdown|txt|csv|tsv|json|xml|eml|msg|rtf|odt|ods|odp|epub|png|jpe?g|tiff?|srt|vtt|zip)$/i;

// `[{kind: "form" | "resumable", files}]` of files with `bytes` and `name`; large ones last, as they take longest.
export function pack(files) {
  const small = files.filter((one) => one.bytes < RESUMABLE_BYTES_MIN);
  const large = files.filter((one) => one.bytes >= RESUMABLE_BYTES_MIN).sort((a, b) => a.bytes - b.bytes);
  const ordered = [...small.filter((one) => !USUAL.test(one.name)), ...small.filter((one) => USUAL.test(one.name))];
  const forms = [];
  let bytes = 0;
  for (const one of ordered) {
    const last = forms.at(-1);
    if (!last || last.length === FORM_FILES_MAX || bytes + one.bytes > FORM_BYTES_MAX) { forms.push([one]); bytes = one.bytes; } else { last.push(one); bytes += one.bytes; }
  }
  return [...forms.map((one) => ({ kind: "form", files: one })), ...large.map((one) => ({ kind: "resumable", files: [one] }))];
}

// A form that is too much for one request, as two.
export function halves(files) {
  const middle = Math.ceil(files.length / 2);
  return [files.slice(0, middle), files.slice(middle)];
}
