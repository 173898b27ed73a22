import { Command } from "commander";
import {
  compareRuns,
  type LanguageComparison,
  type MetricComparison,
  type RunComparison,
} from "../evaluation/compare-runs.js";
import { readRun } from "../evaluation/run-files.js";

const EXAMPLES = `
Examples:
  lingolens compare runs/evaluation-before runs/evaluation-after
  lingolens compare runs/evaluation-before runs/evaluation-after --json

Both folders are runs of evaluate on the same data, with their captions.jsonl. A difference is significant where chance
would bring one as large less than once in 20 times, by paired bootstrap resampling.`;

export function compareCommand(): Command {
  return new Command("compare")
    .description("says which of two evaluation runs is better, by language, and whether it is significant")
    .argument("<run-a>", "folder of an evaluation run")
    .argument("<run-b>", "folder of another, on the same data")
    .option("--json", "print JSON instead of a table")
    .addHelpText("after", EXAMPLES)
    .action(compare);
}

async function compare(a: string, b: string, { json }: { readonly json?: boolean }): Promise<void> {
  const comparison = compareRuns(await readRun(a), await readRun(b));
  process.stdout.write(json ? `${JSON.stringify(comparison)}\n` : table(comparison));
}

const METRICS = [
  ["BLEU-4", "bleu", 4],
  ["sacreBLEU", "sacreBleu", 2],
  ["chrF", "chrf", 2],
  ["CIDEr", "cider", 3],
] as const satisfies readonly (readonly [string, keyof LanguageComparison, number])[];

function table({ languages }: RunComparison): string {
  const header = ["", "captions", "metric", "A", "B", "B - A", "p", "better"];
  const rows = Object.entries(languages).flatMap(([lang, comparison]) =>
    METRICS.map(([name, key, digits]) => {
      const { a, b, difference, pValue, ...verdict } = comparison[key];
      const signed = `${difference > 0 ? "+" : ""}${difference.toFixed(digits)}`;
      return [
        ...[lang, String(comparison.captions), name, a.toFixed(digits), b.toFixed(digits), signed],
        ...[pValue.toFixed(3), verdictOf(verdict)],
      ];
    }),
  );
  return [header, ...rows]
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(4) : cell.padStart(11))).join(""))
    .map((line) => `${line}\n`)
    .join("");
}

function verdictOf({ better, significant }: Pick<MetricComparison, "better" | "significant">): string {
  if (better === null) return "equal";
  return significant ? better.toUpperCase() : "unclear";
}
