// What every part and view draws with: templates that become elements, never markup made of text.
import { h, render, Fragment } from "preact";
import htm from "htm";

export { render, Fragment };
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
