// The views of the page, in the order of the menu. To add one: a module under `views/` with a default component, which is
// given what its pattern names and `query`; a line here; its words in `i18n/`. With an `icon` it has an entry in the menu
// (`nav.NAME`); without, `under` says which entry is lit.
export const VIEWS = [
  { name: "upload", pattern: "upload", icon: "upload", load: () => import("./views/upload.js") },
  { name: "tasks", pattern: "tasks", icon: "tasks", load: () => import("./views/tasks.js") },
  { name: "task", pattern: "tasks/:task", under: "tasks", load: () => import("./views/task.js") },
  { name: "knowledge-bases", pattern: "knowledge-bases", icon: "books", load: () => import("./views/knowledge_bases.js") },
  { name: "knowledge-base", pattern: "knowledge-bases/:kb", under: "knowledge-bases", load: () => import("./views/documents.js") },
  { name: "document", pattern: "knowledge-bases/:kb/documents/:document", under: "knowledge-bases", load: () => import("./views/document.js") },
  { name: "search", pattern: "search", icon: "search", load: () => import("./views/search.js") },
  { name: "ask", pattern: "ask", icon: "ask", load: () => import("./views/ask.js") },
  { name: "operations", pattern: "operations", icon: "gauge", load: () => import("./views/operations.js") },
];
export const FIRST = "upload";
