// What views are made of.
export * from "./parts/field.js";
export * from "./parts/frame.js";
export * from "./parts/icon.js";
export * from "./parts/notice.js";
export * from "./parts/status.js";
export * from "./parts/table.js";
