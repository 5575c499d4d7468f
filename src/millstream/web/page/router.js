// Places of the page are behind the `#` of its address: the service knows one page, and a link leads back to any view.
import { useEffect, useState } from "./html.js";

export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { segments: path.split("/").filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(query)) };
}

export function link(segments, query = {}) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value != null)).toString();
  return `#/${segments.map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

export function go(segments, query) { location.hash = link(segments, query); }

// In place of the present entry: filters are no steps to go back through.
export function replace(segments, query) {
  history.replaceState(null, "", link(segments, query));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function usePlace() {
  const [found, setFound] = useState(place);
  useEffect(() => {
    const look = () => setFound(place());
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return found;
}

// Matches `knowledge-bases/:kb` with segments; the named ones, or null.
export function match(pattern, segments) {
  const wanted = pattern.split("/").filter(Boolean);
  if (wanted.length !== segments.length) return null;
  const found = {};
  for (const [place, name] of wanted.entries()) {
    if (name.startsWith(":")) found[name.slice(1)] = segments[place];
    else if (name !== segments[place]) return null;
  }
  return found;
}
