/**
 * Charts as inline SVG, coloured by the classes of styles.ts. Each is a figure with a caption, and says to screen
 * readers what it shows. Lengths are in units of the view box, which is as wide as a phone.
 */
import { type Html, type HtmlValue, html } from "./html.js";

const WIDTH = 360;

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What the value lies within, drawn as a whisker. */
  readonly interval?: readonly [number, number];
  /** Somebody else's value, drawn as a diamond. */
  readonly mark?: number;
}

export interface BarChart {
  readonly title: string;
  readonly note?: string;
  readonly bars: readonly Bar[];
  readonly format: (value: number) => string;
  /** What the diamonds are, such as "published". */
  readonly markName?: string;
}

/** A horizontal bar a value, from 0 on; values are written beside the bars. */
export function barChart({ title, note, bars, format, markName = "mark" }: BarChart): Html {
  const row = 28;
  const left = 8 + 6.8 * Math.min(18, Math.max(...bars.map(({ label }) => label.length)));
  const right = WIDTH - 52;
  const most = Math.max(
    ...bars.flatMap(({ value, interval, mark = 0 }) => [value, interval?.[1] ?? 0, mark]),
  );
  const x = (value: number) => round(left + (most > 0 ? (value / most) * (right - left) : 0));
  const description = bars.map(({ label, value, interval, mark }) =>
    [
      `${label} ${format(value)}`,
      interval && ` (${format(interval[0])} to ${format(interval[1])})`,
      mark !== undefined && `, ${markName} ${format(mark)}`,
    ]
      .filter(Boolean)
      .join(""),
  );
  const drawn = bars.map(({ label, value, interval, mark }, i) => {
    const top = i * row;
    const middle = top + row / 2;
    return html`<text x="${round(left - 8)}" y="${middle + 4}" text-anchor="end">${shortened(label)}</text>
<rect class="bar" x="${round(left)}" y="${top + 6}" width="${round(x(value) - left)}" height="${row - 12}" rx="2"/>
${
  interval && html`<path class="whisker" d="M${x(interval[0])} ${middle - 4}v8m0-4H${x(interval[1])}m0-4v8"/>`
}
${mark !== undefined && html`<path class="mark" d="M${x(mark)} ${middle - 7}l5 7l-5 7l-5-7z"/>`}
<text class="value" x="${WIDTH}" y="${middle + 4}" text-anchor="end">${format(value)}</text>
`;
  });
  return figure({
    title,
    note,
    description: `${title}: ${description.join("; ")}`,
    height: bars.length * row,
    drawn: html`<g class="series-1">${drawn}</g>`,
  });
}

export interface Series {
  readonly name: string;
  /** From left to right, unless they are dots. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Bars and steps are as wide as 1 on the x axis, around their points. */
  readonly as: "line" | "dots" | "bars" | "steps";
}

export interface Plot {
  readonly title: string;
  readonly note?: string;
  /** What the chart shows, for who does not see it. */
  readonly description: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** In the order of drawing; at least one point among them. */
  readonly series: readonly Series[];
  /** What the axes span at least. Default: what the points need. */
  readonly x?: readonly [number, number];
  readonly y?: readonly [number, number];
  readonly formatX?: (value: number) => string;
  readonly formatY?: (value: number) => string;
}

/** Points over two linear axes: lines, dots, bars, steps. A legend names the series where there are several. */
export function plot({ title, note, description, xLabel, yLabel, series, ...options }: Plot): Html {
  const [left, right, top, bottom] = [44, WIDTH - 8, 20, 180];
  const points = series.flatMap(({ points, as }) =>
    as === "bars" || as === "steps"
      ? points.flatMap(([x, y]) => [[x - 0.5, y] as const, [x + 0.5, y] as const])
      : points,
  );
  const xTicks = ticks([...points.map(([x]) => x), ...(options.x ?? [])], 6);
  const yTicks = ticks([...points.map(([, y]) => y), ...(options.y ?? [])], 5);
  const x = scale(xTicks, left, right);
  const y = scale(yTicks, bottom, top);
  const { formatX = String, formatY = String } = options;
  const axes = html`${yTicks.map(
    (tick) => html`<path class="grid" d="M${left} ${y(tick)}H${right}"/>
<text x="${left - 6}" y="${y(tick) + 4}" text-anchor="end">${formatY(tick)}</text>
`,
  )}${xTicks.map(
    (tick) => html`<text x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${formatX(tick)}</text>
`,
  )}<path class="axis" d="M${left} ${bottom}H${right}"/>
<text x="${right}" y="${bottom + 34}" text-anchor="end">${xLabel}</text>
<text x="0" y="10">${yLabel}</text>
`;
  const drawn = series.map(
    (one, i) => html`<g class="${seriesClass(i)}">${marksOf(one, x, y, bottom)}</g>
`,
  );
  const legend =
    series.length > 1 &&
    html`<ul class="legend">${series.map(({ name }, i) => html`<li class="${seriesClass(i)}">${name}</li>`)}</ul>`;
  return figure({
    title,
    note,
    description,
    height: bottom + 38,
    drawn: html`${axes}${drawn}`,
    below: legend,
  });
}

type Scale = (value: number) => number;

function marksOf({ points, as }: Series, x: Scale, y: Scale, bottom: number): HtmlValue {
  switch (as) {
    case "line":
      return html`<path class="line" d="M${points.map(([px, py]) => `${x(px)} ${y(py)}`).join("L")}"/>`;
    case "dots":
      return html`<path class="dots" d="${points.map(([px, py]) => `M${x(px)} ${y(py)}h0`).join("")}"/>`;
    case "bars":
      return html`<path class="columns" d="${points
        .map(
          ([px, py]) =>
            `M${round(x(px - 0.5) + 0.5)} ${bottom}V${y(py)}H${round(x(px + 0.5) - 0.5)}V${bottom}z`,
        )
        .join("")}"/>`;
    case "steps":
      return html`<path class="steps" d="M${x((points[0]?.[0] ?? 0) - 0.5)} ${bottom}${points
        .map(([px, py]) => `V${y(py)}H${x(px + 0.5)}`)
        .join("")}V${bottom}"/>`;
  }
}

interface Figure {
  readonly title: string;
  readonly note: string | undefined;
  readonly description: string;
  readonly height: number;
  readonly drawn: Html;
  readonly below?: HtmlValue;
}

function figure({ title, note, description, height, drawn, below }: Figure): Html {
  return html`<figure class="chart"><figcaption>${title}${note && html` <small>${note}</small>`}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${description}">
${drawn}</svg>${below}</figure>
`;
}

/** styles.ts has six colours. */
function seriesClass(i: number): string {
  return `series-${(i % 6) + 1}`;
}

/** Round values, at most about so many, from not above the least to not below the greatest. */
export function ticks(values: readonly number[], count: number): number[] {
  const finite = values.filter(Number.isFinite);
  const least = finite.reduce((a, b) => Math.min(a, b), finite[0] ?? 0);
  const most = finite.reduce((a, b) => Math.max(a, b), finite[0] ?? 0);
  const magnitude = Math.max(Math.abs(least), Math.abs(most)) || 1;
  // Equal values, and such as differ by rounding alone, get an axis too.
  const rough = Math.max(most - least > 1e-9 * magnitude ? most - least : magnitude, 1e-12) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9))!;
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function scale(of: readonly number[], from: number, to: number): Scale {
  const [least, most] = [of[0]!, of.at(-1)!];
  return (value) => round(from + ((value - least) / (most - least)) * (to - from));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function shortened(label: string): string {
  return label.length > 18 ? `${label.slice(0, 17)}…` : label;
}
