import { Command, InvalidArgumentError, Option } from "commander";
import { parseColumns } from "../data/download/columns.js";
import { downloadPictures, type FetchingOptions, retryPictures } from "../data/download/download.js";
import type { RowProgress } from "../data/download/downloader.js";
import { DEFAULT_FETCH_RULES } from "../data/download/fetch-picture.js";
import { isPassing, type LossClass } from "../data/download/loss.js";
import {
  DEFAULT_RULES,
  type PictureRules,
  RESIZE_MODES,
  type ResizeMode,
} from "../data/download/process-picture.js";
import type { Counts } from "../data/download/shard-files.js";
import { taskOf } from "../data/download/task.js";
import { importList } from "../data/import/import.js";
import { decimal, integer, interruptSignal, list } from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const DOWNLOAD_HELP = `
Examples:
  lingolens data download --input cc12m.tsv --out cc12m --size 256 --resize border
  lingolens data download --input Train_GCC-training.tsv --columns caption,url --out cc3m --workers 4
  lingolens data download --input laion.parquet --columns url=URL,caption=TEXT --out laion
  sbatch --array=0-15 --wrap "lingolens data download --input cc12m.tsv --out /shared/cc12m"

The same command again makes the shards that are missing, whatever ended it. Lost rows are counted by class and end
the command well; what failed in passing is fetched again by: lingolens data retry.`;

const IMPORT_HELP = `
Examples:
  lingolens data import --input train_file_marian_final.tsv --out cc12m/train --size 256
  lingolens data import --input val_file_marian_final.tsv --out cc12m/validation --images pictures

The rows of a picture are joined, and it is fetched once, as by data download: the same command again makes what is
missing, and data retry fetches again what failed in passing.`;

const RETRY_HELP = `
Examples:
  lingolens data retry --out cc12m
  lingolens data retry --out cc12m --classes timeout,http-503 --deadline 90`;

interface FetchFlags {
  readonly out: string;
  readonly workers?: number;
  readonly concurrency: number;
  readonly perHost?: number;
  readonly deadline: number;
  readonly maxBytes: number;
  readonly allowPrivate?: boolean;
  readonly ignoreOptOut?: boolean;
  readonly userAgent?: string;
  readonly taskIndex?: number;
  readonly taskCount?: number;
  readonly json?: boolean;
}

interface ListFlags extends FetchFlags {
  readonly input: string;
  readonly size?: number;
  readonly resize?: ResizeMode;
  readonly upscale?: boolean;
  readonly quality: number;
  readonly minSide: number;
  readonly maxAspect: number;
  readonly maxPixels: number;
  readonly shardSize: number;
}

interface DownloadFlags extends ListFlags {
  readonly columns: string;
}

interface ImportFlags extends ListFlags {
  readonly images?: string;
}

interface RetryFlags extends FetchFlags {
  readonly classes?: readonly string[];
}

export function downloadCommand(): Command {
  const command = new Command("download")
    .description("fetch a list of pictures with captions into WebDataset shards")
    .requiredOption("--input <file>", "list of URLs and captions: .tsv, .csv, .jsonl or .parquet")
    .requiredOption("--out <folder>", "folder of the shards")
    .option(
      "--columns <names>",
      "which column is which; url=NAME,caption=NAME for other names",
      "url,caption",
    );
  return withFetchOptions(withPictureOptions(command)).addHelpText("after", DOWNLOAD_HELP).action(download);
}

export function importCommand(): Command {
  const command = new Command("import")
    .description("make shards of the original's list, which has a row for each caption of a picture")
    .requiredOption("--input <file>", "TSV of image_file, caption, url and lang_id")
    .requiredOption("--out <folder>", "folder of the shards")
    .option("--images <folder>", "read the pictures from there rather than fetch them");
  return withFetchOptions(withPictureOptions(command)).addHelpText("after", IMPORT_HELP).action(importTsv);
}

function withPictureOptions(command: Command): Command {
  return command
    .option("--size <pixels>", "of the side that --resize is about (default: 256)", integer(1))
    .addOption(
      new Option(
        "--resize <mode>",
        "how pictures are made that size (default: border with --size, else no)",
      ).choices(RESIZE_MODES),
    )
    .option("--upscale", "also make small pictures larger")
    .option(
      "--quality <n>",
      "of JPEG files that are encoded anew, 1 to 100",
      integer(1),
      DEFAULT_RULES.quality,
    )
    .option(
      "--min-side <pixels>",
      "pictures with a shorter side are too small",
      integer(1),
      DEFAULT_RULES.minSide,
    )
    .option(
      "--max-aspect <ratio>",
      "of the longer side to the shorter one",
      above(1),
      DEFAULT_RULES.maxAspect,
    )
    .option("--max-pixels <n>", "pictures with more are bombs", integer(1), DEFAULT_RULES.maxPixels)
    .option("--shard-size <rows>", "rows of the list, or its pictures, in a shard", integer(1), 1000);
}

export function retryCommand(): Command {
  const command = new Command("retry")
    .description("fetch again what data download lost, into the shards that are there")
    .requiredOption("--out <folder>", "folder of the shards")
    .addOption(
      new Option(
        "--classes <names>",
        "losses to try again (default: timeout, connection, dns, http-408, -425, -429 and -5xx)",
      ).argParser(list),
    );
  return withFetchOptions(command).addHelpText("after", RETRY_HELP).action(retry);
}

function withFetchOptions(command: Command): Command {
  const { concurrency, perHost, deadline, maxBytes } = DEFAULT_FETCH_RULES;
  return command
    .option("--workers <n>", "processes (default: one for every two processors)", integer(1))
    .option("--concurrency <n>", "pictures fetched at a time, by all workers", integer(1), concurrency)
    .option(
      "--per-host <n>",
      `of them from one host (default: ${perHost}; all, with --allow-private)`,
      integer(1),
    )
    .option("--deadline <seconds>", "for a picture, with all attempts", above(0), deadline)
    .option("--max-bytes <n>", "of a file", integer(1), maxBytes)
    .option("--allow-private", "also fetch from private and loopback addresses")
    .option("--ignore-opt-out", "also take pictures whose X-Robots-Tag says noai, noimageai or noindex")
    .option("--user-agent <text>", "says who fetches; add how to reach you")
    .option(
      "--task-index <n>",
      "which part of the shards (default: from Slurm or Kubernetes, else all)",
      integer(0),
    )
    .option("--task-count <n>", "in how many parts they are", integer(1))
    .option("--json", "print the summary as JSON");
}

function above(limit: number): (text: string) => number {
  return (text) => {
    const value = decimal(text);
    if (value > limit) return value;
    throw new InvalidArgumentError(`Expected a number above ${limit}.`);
  };
}

async function download({ input, columns, shardSize, ...flags }: DownloadFlags): Promise<void> {
  await report(flags, (options) =>
    downloadPictures({
      ...options,
      ...{ input, shardSize, columns: parseColumns(columns), pictures: pictureRules(flags) },
    }),
  );
}

async function importTsv({ input, images, shardSize, ...flags }: ImportFlags): Promise<void> {
  await report(flags, (options) =>
    importList({
      ...options,
      ...{ input, shardSize, pictures: pictureRules(flags), ...(images !== undefined && { images }) },
    }),
  );
}

function pictureRules({ size, ...flags }: Omit<ListFlags, "input" | "shardSize">): PictureRules {
  const { resize = size === undefined ? "no" : "border", upscale = false } = flags;
  const { quality, minSide, maxAspect, maxPixels } = flags;
  return {
    ...{ resize, upscale, quality, minSide, maxAspect, maxPixels },
    size: size ?? DEFAULT_RULES.size,
  };
}

async function retry({ classes, ...flags }: RetryFlags): Promise<void> {
  const isWanted = (loss: LossClass) => classes?.includes(loss) ?? isPassing(loss);
  await report(flags, (options) => retryPictures({ ...options, isWanted }));
}

async function report(flags: FetchFlags, run: (options: FetchingOptions) => Promise<Counts>): Promise<void> {
  const { out, workers, allowPrivate = false, ignoreOptOut = false, userAgent, json } = flags;
  const { concurrency, perHost, deadline, maxBytes } = flags;
  const progress = progressReport();
  let counts: Counts;
  try {
    counts = await run({
      out,
      ...taskOf(flags, process.env),
      ...(workers !== undefined && { workers }),
      fetch: {
        ...{ concurrency, deadline, maxBytes, allowPrivate, ignoreOptOut },
        ...(perHost !== undefined && { perHost }),
        ...(userAgent !== undefined && { userAgent }),
      },
      signal: interruptSignal(),
      onProgress: progress.update,
    });
  } finally {
    progress.stop();
  }
  process.stdout.write(json ? `${JSON.stringify(counts)}\n` : table(counts));
}

function table({ rows, succeeded, failed }: Counts): string {
  const losses = Object.entries(failed).sort(([, a], [, b]) => Number(b) - Number(a));
  const lines = [["pictures", succeeded], ...losses] as [string, number][];
  const share = (count: number) => `${((100 * count) / Math.max(1, rows)).toFixed(1)} %`;
  return [["rows", rows] as [string, number], ...lines]
    .map(([name, count]) => `${name.padEnd(16)}${`${count}`.padStart(10)}${share(count).padStart(10)}\n`)
    .join("");
}

/** Milliseconds between lines where there is no terminal for a bar, such as in a job's log. */
const LINE_EVERY = 60_000;

function progressReport(): { update(now: RowProgress & { readonly total: number }): void; stop(): void } {
  const bar = progressBar(
    "{bar} {value}/{total} rows, {rate} pictures/s, {megabytes} MB/s, {success} % pictures, {eta_formatted} left",
  );
  const start = performance.now();
  let lastLine = start;
  return {
    update({ rows, succeeded, bytes, total }) {
      const now = performance.now();
      const seconds = Math.max(0.001, (now - start) / 1000);
      const shown = {
        rate: (succeeded / seconds).toFixed(0),
        megabytes: (bytes / 1e6 / seconds).toFixed(1),
        success: ((100 * succeeded) / Math.max(1, rows)).toFixed(1),
      };
      if (bar) {
        if (!bar.isActive) bar.start(total, 0, shown);
        bar.update(rows, shown);
      } else if (now - lastLine >= LINE_EVERY) {
        lastLine = now;
        const { rate, megabytes, success } = shown;
        process.stderr.write(
          `${rows} of ${total} rows, ${rate} pictures/s, ${megabytes} MB/s, ${success} % pictures\n`,
        );
      }
    },
    stop: () => bar?.stop(),
  };
}
