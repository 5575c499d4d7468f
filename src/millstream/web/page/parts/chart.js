// Small charts, drawn of numbers as SVG; what they show is also told in words.
import { html } from "../html.js";
import { number } from "../format.js";

const WIDTH = 600;
const HEIGHT = 120;
const FOOT = 18;

// Bars side by side: `[{label, value}]`.
export function Bars({ title, bars, every = 5 }) {
  const top = Math.max(1, ...bars.map((one) => one.value));
  const step = WIDTH / Math.max(1, bars.length);
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${`${title}: ${bars.map((one) => `${one.label} ${number(one.value)}`).join(", ")}`}>
    <line x1="0" x2=${WIDTH} y1=${HEIGHT - FOOT} y2=${HEIGHT - FOOT} class="chart-line" />
    ${bars.map((one, place) => {
      const height = (one.value / top) * (HEIGHT - FOOT - 14);
      return html`<g><rect class="chart-bar" x=${place * step + step * 0.12} y=${HEIGHT - FOOT - height} width=${step * 0.76} height=${height} rx="2" />
        ${(bars.length - 1 - place) % every === 0 && html`<text x=${place * step + step / 2} y=${HEIGHT - 4} text-anchor="middle">${one.label}</text>`}</g>`;
    })}
    <text x="2" y="10">${number(Math.round(top))}</text>
  </svg>`;
}

// A line through values, the newest at the right; empty until there are two.
export function Line({ title, values, count = 60, tone }) {
  const shown = values.slice(-count);
  const top = Math.max(1, ...shown);
  const points = shown.map((value, place) => `${((count - shown.length + place) / (count - 1)) * 160},${30 - (value / top) * 27}`);
  const last = shown.at(-1) ?? 0;
  return html`<svg class="spark" data-tone=${tone} viewBox="0 0 160 32" preserveAspectRatio="none" role="img" aria-label=${`${title}: ${number(last)}`}>
    ${points.length > 1 && html`<polyline points=${points.join(" ")} /><polygon points=${`${points[0].split(",")[0]},31 ${points.join(" ")} 160,31`} />`}
  </svg>`;
}
