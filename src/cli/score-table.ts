/** Scores as a table for people, a row a language. */
import type { CaptionScores } from "../evaluation/caption-scores.js";
import type { EvaluationReport } from "../evaluation/run-report.js";

type Row = CaptionScores & { readonly loss?: number };

const COLUMNS: readonly (readonly [header: string, cell: (scores: Row) => string])[] = [
  ["captions", ({ captions }) => String(captions)],
  ["loss", ({ loss }) => loss?.toFixed(4) ?? ""],
  ["exact", ({ exactMatch }) => exactMatch.toFixed(4)],
  ["BLEU-4", ({ bleu }) => bleu[3].toFixed(4)],
  ["sacreBLEU", ({ sacreBleu }) => `${sacreBleu.score.toFixed(1)} ±${halfWidth(sacreBleu.interval)}`],
  ["chrF", ({ chrf }) => chrf.toFixed(1)],
  ["CIDEr", ({ cider }) => cider.toFixed(3)],
  ["ROUGE-L", ({ rougeL }) => rougeL.toFixed(3)],
  ["METEOR", ({ meteor }) => meteor.toFixed(3)],
  ["language", ({ languageFidelity }) => (languageFidelity === null ? "?" : percent(languageFidelity))],
  ["empty", ({ emptyRate }) => percent(emptyRate)],
  ["repeats", ({ repetitionRate }) => percent(repetitionRate)],
  ["<PERSON>", ({ personRate }) => percent(personRate)],
];

/** @param languages by ISO code. Columns that no row fills are left out. */
export function scoreTable(languages: Readonly<Record<string, Row>>): string {
  const rows = Object.entries(languages);
  const columns = COLUMNS.map(([header, cell]) => [header, ...rows.map(([, scores]) => cell(scores))]).filter(
    ([, ...cells]) => cells.some((cell) => cell !== ""),
  );
  return table(["", ...rows.map(([language]) => language)], columns);
}

/** The original's BLEU, ours and published, two rows a language. */
export function publishedTable({ languages }: EvaluationReport): string {
  const rows = Object.entries(languages).flatMap(([lang, { bleuChunks, published }]) =>
    published
      ? [[`${lang}  ours`, bleuChunks] as const, [`${lang}  published`, published.bleu] as const]
      : [],
  );
  const columns = [0, 1, 2, 3].map((order) => [
    `BLEU-${order + 1}`,
    ...rows.map(([, bleu]) => bleu[order]!.toFixed(5)),
  ]);
  return `\nBLEU as the original, mean over chunks of 512:\n${table(["", ...rows.map(([name]) => name)], columns)}`;
}

function table(names: readonly string[], columns: readonly (readonly string[])[]): string {
  const width = (cells: readonly string[]) => Math.max(...cells.map((cell) => cell.length)) + 2;
  return names
    .map((name, row) =>
      [name.padEnd(width(names)), ...columns.map((cells) => cells[row]!.padStart(width(cells)))].join(""),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

function halfWidth([low, high]: readonly [number, number]): string {
  return ((high - low) / 2).toFixed(1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
