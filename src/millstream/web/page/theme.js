"use strict";
// Before anything is drawn, so that nobody who chose dark is shown a white flash. A choice is kept in this browser.
{
  const KEPT = "millstream.theme";
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  const kept = () => {
    try { return localStorage.getItem(KEPT) ?? "auto"; } catch { return "auto"; }
  };
  window.millstreamTheme = {
    get: kept,
    set(theme) {
      try { localStorage.setItem(KEPT, theme); } catch { /* a browser that keeps nothing: it holds until the page is closed */ }
      apply(theme);
    },
  };
  apply(kept());
}
