import { Command } from "commander";
import { checkDataset } from "../data/check/check.js";
import type { Problem } from "../data/check/problem.js";
import { taskOf } from "../data/download/task.js";
import { integer, interruptSignal } from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const HELP = `
Examples:
  lingolens data check --input cc12m
  lingolens data check --input packed --json
  sbatch --array=0-15 --wrap "lingolens data check --input /shared/cc12m"

Every picture is decoded to its end. A line says what is wrong with a file or sample, and the exit code is 1 if there
is any. Tasks that share the work each see the duplicates among their own shards.`;

interface Flags {
  readonly input: string;
  readonly images?: string;
  readonly dataLang: string;
  readonly taskIndex?: number;
  readonly taskCount?: number;
  readonly json?: boolean;
}

export function checkCommand(): Command {
  return new Command("check")
    .description("find truncated, duplicate, unreadable and mislabelled samples")
    .requiredOption("--input <data>", "a dataset of any format, or a folder with train/ and validation/")
    .option("--images <folder>", "folder of the pictures, where it is not beside the list")
    .option("--data-lang <code>", "language of captions that name none", "en")
    .option(
      "--task-index <n>",
      "which part of the shards (default: from Slurm or Kubernetes, else all)",
      integer(0),
    )
    .option("--task-count <n>", "in how many parts they are", integer(1))
    .option("--json", "print what is found as JSON")
    .addHelpText("after", HELP)
    .action(check);
}

async function check({ input, images, dataLang, json, ...task }: Flags): Promise<void> {
  const bar = progressBar("{bar} {value}/{total} files, {eta_formatted} left");
  const problems: Problem[] = [];
  let samples: number;
  try {
    ({ samples } = await checkDataset({
      ...{ input, images, language: dataLang },
      task: taskOf(task, process.env),
      signal: interruptSignal(),
      onProblem(problem) {
        problems.push(problem);
        const { kind, place, message } = problem;
        if (!json)
          process.stdout.write(`${kind}: ${message.startsWith(place) ? "" : `${place} `}${message}\n`);
      },
      onProgress({ done, total }) {
        if (!bar?.isActive) bar?.start(total, 0);
        bar?.update(done);
      },
    }));
  } finally {
    bar?.stop();
  }
  const counts: Partial<Record<Problem["kind"], number>> = {};
  for (const { kind } of problems) counts[kind] = (counts[kind] ?? 0) + 1;
  process.stdout.write(
    json
      ? `${JSON.stringify({ samples, counts, problems })}\n`
      : `${samples} samples, ${problems.length} problems\n`,
  );
  if (problems.length > 0) process.exitCode = 1;
}
