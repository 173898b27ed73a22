/** The charts of an evaluation's report. */
import { type Bar, barChart, plot } from "../report/chart.js";
import type { Html } from "../report/html.js";
import { captionTokens } from "./caption-tokens.js";
import { type JudgedCaption, rankCorrelation } from "./judged-captions.js";
import { languageName } from "./report-tables.js";
import type { EvaluationReport, LanguageReport } from "./run-report.js";

/** Captions of so many words or more are counted together. */
const LONGEST = 40;
/** Dots of a chart; of more captions, some at equal distances are drawn. */
const MOST_DOTS = 1000;

/** A bar a language, in the report's order. */
export function metricCharts({ languages, published }: EvaluationReport): Html[] {
  const chart = (
    title: string,
    note: string,
    digits: number,
    bar: (report: LanguageReport) => Omit<Bar, "label">,
    markName?: string,
  ) =>
    barChart({
      title,
      note,
      bars: Object.entries(languages).map(([lang, report]) => ({
        label: languageName(lang),
        ...bar(report),
      })),
      format: (value) => value.toFixed(digits),
      ...(markName && { markName }),
    });
  const original = published
    ? chart(
        "BLEU-4 as the original",
        "0 to 1, mean over chunks of 512; the diamond is the model card’s",
        4,
        ({ bleuChunks, published }) => ({
          value: bleuChunks[3],
          ...(published && { mark: published.bleu[3] }),
        }),
        "published",
      )
    : chart("BLEU-4 as the original", "0 to 1, whole corpus", 3, ({ bleu }) => ({ value: bleu[3] }));
  return [
    chart("sacreBLEU", "0 to 100, with the interval that holds 95 % of resamples", 1, ({ sacreBleu }) => ({
      value: sacreBleu.score,
      interval: sacreBleu.interval,
    })),
    original,
    chart("chrF", "0 to 100, characters: fair to languages with many word forms", 1, ({ chrf }) => ({
      value: chrf,
    })),
    chart("CIDEr", "0 to 10, what is special about each picture", 2, ({ cider }) => ({ value: cider })),
    chart("ROUGE-L", "0 to 1, longest common subsequence", 3, ({ rougeL }) => ({ value: rougeL })),
    chart("Loss", "nats a token of the references; less is better", 3, ({ loss }) => ({ value: loss })),
  ];
}

/** How many words captions and references have, a chart a language. */
export function lengthCharts(captions: readonly JudgedCaption[]): Html[] {
  return codesOf(captions).map((code) => {
    const own = captions.filter(({ lang }) => lang === code);
    const said = histogram(
      own.map(({ caption }) => caption),
      code,
    );
    const expected = histogram(
      own.flatMap(({ references }) => references),
      code,
    );
    const most = Math.max(said.mean, expected.mean);
    return plot({
      title: `Length in ${languageName(code)}`,
      note: `on average ${said.mean.toFixed(1)} words, references ${expected.mean.toFixed(1)}`,
      description:
        `Histogram of lengths in words. Captions have ${said.mean.toFixed(1)} on average, most often ${said.mode}; ` +
        `references ${expected.mean.toFixed(1)}, most often ${expected.mode}.`,
      xLabel: "words",
      yLabel: "share",
      series: [
        { name: "captions", as: "bars", points: said.points },
        { name: "references", as: "steps", points: expected.points },
      ],
      x: [0, Math.min(LONGEST, Math.ceil(2 * most))],
      y: [0, 0],
      formatX: (words) => (words === LONGEST ? `${words}+` : String(words)),
      formatY: percent,
    });
  });
}

function histogram(texts: readonly string[], lang: string) {
  const lengths = texts.map((text) => captionTokens(text, lang).length);
  const counts = new Array<number>(LONGEST + 1).fill(0);
  for (const length of lengths) counts[Math.min(LONGEST, length)]! += 1;
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  return {
    mean: lengths.reduce((sum, length) => sum + length, 0) / lengths.length,
    mode: counts.indexOf(Math.max(...counts)),
    points: counts.map((count, words) => [words, count / lengths.length] as const).slice(first, last + 1),
  };
}

/** Each caption's chrF over the model's confidence in it, a chart a language: whether the model knows when it is wrong. */
export function confidenceCharts(captions: readonly JudgedCaption[]): Html[] {
  return codesOf(captions).map((code) => {
    const own = captions.filter(({ lang }) => lang === code);
    const points = own.map(({ confidence, chrf }) => [confidence, chrf] as const);
    const correlation = rankCorrelation(
      points.map(([x]) => x),
      points.map(([, y]) => y),
    );
    const said =
      correlation === undefined ? "no rank correlation" : `rank correlation ${correlation.toFixed(2)}`;
    const tenths = meansOfTenths(points);
    const ends = [tenths[0]!, tenths.at(-1)!].map(([, y]) => y.toFixed(0));
    return plot({
      title: `Confidence and chrF in ${languageName(code)}`,
      note: said,
      description:
        `A dot a caption, chrF over confidence: ${said}. The tenth of captions that the model is least sure of has a ` +
        `chrF of ${ends[0]} on average, the surest tenth ${ends[1]}.`,
      xLabel: "confidence",
      yLabel: "chrF",
      series: [
        { name: "a caption", as: "dots", points: thinned(points, MOST_DOTS) },
        { name: "mean of a tenth", as: "line", points: tenths },
      ],
      y: [0, 100],
      formatX: percent,
    });
  });
}

type Point = readonly [number, number];

/** Means of tenths of the points, by rising x; of fewer points, each. */
function meansOfTenths(points: readonly Point[]): Point[] {
  const sorted = points.toSorted(([a], [b]) => a - b);
  const parts = Math.min(10, sorted.length);
  return Array.from({ length: parts }, (_, i) => {
    const part = sorted.slice(
      Math.floor((i * sorted.length) / parts),
      Math.floor(((i + 1) * sorted.length) / parts),
    );
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    return [mean(0), mean(1)];
  });
}

function thinned<T>(items: readonly T[], most: number): T[] {
  const step = Math.max(1, items.length / most);
  return Array.from({ length: Math.min(items.length, most) }, (_, i) => items[Math.floor(i * step)]!);
}

function codesOf(captions: readonly JudgedCaption[]): string[] {
  return [...new Set(captions.map(({ lang }) => lang))];
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
