// Bytes to pages of text. Put your own parser here; this one reads what is text already, and HTML roughly.

const PARSER = "node-worker 1";
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

/** Work that cannot be done, and will not be another time: `code` becomes that of the dead letter. */
export class Unreadable extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** A ParsedText. Throws Unreadable. */
export function parse(content, { filename, media_type: mediaType }) {
  const read = READERS[mediaType];
  if (read === undefined) throw new Unreadable("unsupported_type", `${filename}: this worker cannot read ${mediaType}`);
  return { parser: PARSER, ...read(decoded(content, filename)) };
}

const READERS = {
  "text/plain": (text) => ({ format: "TEXT_FORMAT_PLAIN", pages: pagesOf(text) }),
  "text/markdown": (text) => ({ format: "TEXT_FORMAT_MARKDOWN", pages: [{ number: 0, text }] }),
  "text/html": (text) => ({
    format: "TEXT_FORMAT_PLAIN",
    title: plain(/<title[^>]*>([^]*?)<\/title>/i.exec(text)?.[1] ?? ""),
    pages: [{ number: 0, text: plain(text.replace(/<(script|style|title)\b[^]*?<\/\1>/gi, "")) }],
  }),
};

function decoded(content, filename) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw new Unreadable("unreadable_text", `${filename} is not UTF-8`);
  }
}

/** A form feed begins a page, as printers have it; a text without any has no pages. */
function pagesOf(text) {
  const pages = text.split("\f");
  return pages.map((page, place) => ({ number: pages.length > 1 ? place + 1 : 0, text: page }));
}

function plain(html) {
  return html
    .replace(/<(br|\/p|\/h[1-6]|\/li|\/tr|\/div)\b[^>]*>/gi, "\n")
    .replace(/<[^>]*>/g, "")
    .replace(/&(\w+);/g, (whole, name) => ENTITIES[name] ?? whole)
    .trim();
}
