/** Scores as a table for people, a row a language. */
import type { CaptionScores } from "../evaluation/caption-scores.js";

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
  const width = (cells: readonly string[]) => Math.max(...cells.map((cell) => cell.length)) + 2;
  return ["", ...rows.map(([language]) => language)]
    .map((language, row) =>
      [language.padEnd(4), ...columns.map((cells) => cells[row]!.padStart(width(cells)))].join(""),
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
