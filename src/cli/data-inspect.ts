import { basename, resolve } from "node:path";
import { Command } from "commander";
import {
  type Inspection,
  type InspectionJson,
  inspectDataset,
  inspectionJson,
} from "../data/inspect/inspect.js";
import { inspectionPage, languagesIn } from "../data/inspect/page.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import { integer, interruptSignal } from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const HELP = `
Examples:
  lingolens data inspect --input cc12m
  lingolens data inspect --input packed --html packed.html --pictures 100
  lingolens data inspect --input train.tsv --images pictures --json

A folder with train/ and validation/, as data pack makes it, is counted by split; so are lists that name splits.`;

interface Flags {
  readonly input: string;
  readonly images?: string;
  readonly dataLang: string;
  readonly html?: string;
  readonly pictures: number;
  readonly json?: boolean;
}

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("count what a dataset holds, and show it as a page")
    .requiredOption("--input <data>", "a dataset of any format, or a folder with train/ and validation/")
    .option("--images <folder>", "folder of the pictures, where it is not beside the list")
    .option("--data-lang <code>", "language of captions that name none", "en")
    .option("--html <file>", "also write a page with charts and pictures")
    .option("--pictures <n>", "pictures in the page", integer(0), 60)
    .option("--json", "print the counts as JSON")
    .addHelpText("after", HELP)
    .action(inspect);
}

async function inspect({ input, images, dataLang, html, pictures, json }: Flags): Promise<void> {
  const bar = progressBar("{value} pictures, {duration_formatted}");
  bar?.start(0, 0);
  let inspection: Inspection;
  try {
    inspection = await inspectDataset({
      ...{ input, images, language: dataLang },
      samples: html === undefined ? 0 : pictures,
      signal: interruptSignal(),
      onProgress: (done) => bar?.update(done),
    });
  } finally {
    bar?.stop();
  }
  if (html !== undefined) {
    const page = await inspectionPage(basename(resolve(input)), inspection);
    await writeFileAtomically(html, (file) => file.writeFile(page));
  }
  const found = inspectionJson(inspection);
  process.stdout.write(json ? `${JSON.stringify(found)}\n` : text(found, languagesIn(inspection.splits)));
  for (const problem of found.problems) process.stderr.write(`${problem}\n`);
  if (found.problems.length > 0) process.exitCode = 1;
}

function text({ splits, download }: InspectionJson, langs: readonly string[]): string {
  const names = Object.keys(splits);
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const tables = [
    table([
      ["split", "pictures", "captions", ...langs, "size", "missing"],
      ...names.map((name) => {
        const { pictures, captions, languages, bytes, missing } = splits[name]!;
        const counts = langs.map((lang) => languages[lang]?.captions ?? 0);
        return [name, pictures, captions, ...counts, megabytes(bytes), missing];
      }),
    ]),
    table([
      ["words in a caption", "least", "mean", "median", "95 %", "most"],
      ...names.flatMap((name) =>
        Object.entries(splits[name]!.languages).map(([lang, { words }]) => {
          const { least, mean, median, p95, most } = words;
          return [`${name} ${lang}`, least, mean.toFixed(1), median, p95, most];
        }),
      ),
    ]),
  ];
  if (download) {
    const share = (count: number) => `${((100 * count) / Math.max(1, download.rows)).toFixed(1)} %`;
    tables.push(
      table([
        ["rows asked for", download.rows, ""],
        ["pictures", download.succeeded, share(download.succeeded)],
        ...Object.entries(download.failed).map(([loss, count]) => [loss, count, share(count)]),
      ]),
    );
  }
  return tables.join("\n");
}

/** The first column to the left, all others to the right. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => `${row[i]}`.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? `${cell}`.padEnd(widths[i]!) : `${cell}`.padStart(widths[i]!)))
        .join("  "),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
