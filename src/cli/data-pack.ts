import { Command, InvalidArgumentError, Option } from "commander";
import { taskOf } from "../data/download/task.js";
import { packDataset } from "../data/pack/pack.js";
import type { ValidationSize } from "../data/pack/split.js";
import { resolveLanguage } from "../text/languages.js";
import { decimal, integer, interruptSignal, list } from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const HELP = `
Examples:
  lingolens data pack --input cc12m-4 --out packed
  lingolens data pack --input cc12m-4 --lang en,es,de,fr --validation 27648 --out packed
  sbatch --array=0-15 --wrap "lingolens data pack --input /shared/cc12m-4 --out /shared/packed"

Writes train/ and validation/, folders of shards, and train.tsv and validation.tsv, the original's lists. Whether a
picture is for validation depends on its own hash. The same command again does what is missing.`;

interface Flags {
  readonly input: string;
  readonly out: string;
  readonly validation: ValidationSize;
  readonly lang?: readonly string[];
  readonly taskIndex?: number;
  readonly taskCount?: number;
  readonly json?: boolean;
}

export function packCommand(): Command {
  return new Command("pack")
    .description("split shards into training and validation, by picture")
    .requiredOption("--input <shards>", "a folder, a file or a pattern of shards")
    .requiredOption("--out <folder>", "folder for train/, validation/ and their lists")
    .addOption(
      new Option("--validation <size>", "pictures for validation: a number, or a share below 1")
        .argParser(validationSize)
        .default({ share: 0.01 }, "0.01"),
    )
    .addOption(
      new Option(
        "--lang <codes>",
        "keep captions in these languages, of pictures that have all of them (default: all captions)",
      ).argParser(list),
    )
    .option(
      "--task-index <n>",
      "which part of the shards (default: from Slurm or Kubernetes, else all)",
      integer(0),
    )
    .option("--task-count <n>", "in how many parts they are", integer(1))
    .option("--json", "print the summary as JSON")
    .addHelpText("after", HELP)
    .action(pack);
}

function validationSize(text: string): ValidationSize {
  const size = decimal(text);
  if (size > 0 && size < 1) return { share: size };
  if (Number.isSafeInteger(size) && size >= 1) return { pictures: size };
  throw new InvalidArgumentError("Expected a whole number of pictures, or a share between 0 and 1.");
}

async function pack({ input, out, validation, lang, json, ...task }: Flags): Promise<void> {
  const bar = progressBar("{bar} {value}/{total} shards, {eta_formatted} left");
  try {
    const packed = await packDataset({
      ...{ input, out, validation },
      languages: lang?.map((code) => resolveLanguage(code).iso),
      task: taskOf(task, process.env),
      signal: interruptSignal(),
      onProgress({ done, total }) {
        if (!bar?.isActive) bar?.start(total, 0);
        bar?.update(done);
      },
    });
    const { train, validation: held, leftOut, complete } = packed;
    process.stdout.write(
      json
        ? `${JSON.stringify(packed)}\n`
        : `train: ${train.pictures} pictures, ${train.captions} captions\n` +
            `validation: ${held.pictures} pictures, ${held.captions} captions\n` +
            `${leftOut} left out; ${complete ? "all done" : "other parts are not done yet"}\n`,
    );
  } finally {
    bar?.stop();
  }
}
