// Small charts, drawn of numbers as SVG; what they show is also told in words.
import { html } from "../html.js";
import { number } from "../format.js";

const WIDTH = 600;
const HEIGHT = 120;

// Bars side by side: `[{label, value}]`; the first, the middle and the last are named below.
export function Bars({ title, bars }) {
  const top = Math.max(1, ...bars.map((one) => one.value));
  const step = WIDTH / Math.max(1, bars.length);
  const named = [bars[0], bars[Math.floor((bars.length - 1) / 2)], bars.at(-1)].filter(Boolean);
  return html`<figure class="chart-frame"><span class="muted" aria-hidden="true">${number(Math.round(top))}</span>
    <svg class="chart" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: ${bars.map((one) => `${one.label} ${number(one.value)}`).join(", ")}`}>
      ${bars.map((one, place) => {
        const height = (one.value / top) * HEIGHT;
        return html`<rect x=${place * step + step * 0.12} y=${HEIGHT - height} width=${step * 0.76} height=${height} />`;
      })}
    </svg>
    <div class="chart-labels muted" aria-hidden="true">${named.map((one) => html`<span>${one.label}</span>`)}</div></figure>`;
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
