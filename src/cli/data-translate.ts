import { setFlagsFromString } from "node:v8";
import { Command, Option } from "commander";
import { taskOf } from "../data/download/task.js";
import { PERSON_POLICIES, type PersonPolicy } from "../text/person-mask.js";
import { DEFAULT_MODELS } from "../translation/find-model.js";
import { FAULTS } from "../translation/quality-gate.js";
import { translateDataset } from "../translation/translate-dataset.js";
import type { TranslationCounts } from "../translation/translated-captions.js";
import { integer, interruptSignal, list, offlineOption, threadsOption } from "./arguments.js";
import { downloadBar, progressBar } from "./progress-bar.js";

const TRANSLATE_HELP = `
Examples:
  lingolens data translate --input cc12m --to de,fr,es --out cc12m-4 --dtype int8
  lingolens data translate --input 'cc12m/0000[0-3].tar' --to it --model-dir models --out cc12m-it --report
  lingolens data translate --input captions.jsonl --to es --model-dir ./opus-mt-en-es --out captions-es.jsonl
  sbatch --array=0-15 --wrap "lingolens data translate --input /shared/cc12m --to de,fr,es --out /shared/cc12m-4"

The same command again does what is missing, whatever ended it. What the quality gate rejects is left out of the
captions and kept beside them, with the reason.`;

interface TranslateFlags {
  readonly input: string;
  readonly to: readonly string[];
  readonly from: string;
  readonly modelDir: string;
  readonly out: string;
  readonly beams: number;
  readonly dtype: "fp32" | "int8";
  readonly person: PersonPolicy;
  readonly offline?: boolean;
  readonly threads?: number;
  readonly taskIndex?: number;
  readonly taskCount?: number;
  readonly report?: boolean;
  readonly json?: boolean;
}

export function translateCommand(): Command {
  return new Command("translate")
    .description("translate the captions of a dataset with Marian models, into any number of languages")
    .requiredOption("--input <data>", "shards (a folder, file or pattern), or captions.jsonl")
    .addOption(
      new Option("--to <codes>", "languages, such as de,fr,es").argParser(list).makeOptionMandatory(),
    )
    .requiredOption("--out <place>", "folder for shards; folder or file for captions.jsonl")
    .option("--from <code>", "language of the captions", "en")
    .option(
      "--model-dir <where>",
      "folder with opus-mt-en-de and the like, one such folder, or owner/name[@revision] of the Hugging Face hub; " +
        "{from} and {to} stand for languages",
      DEFAULT_MODELS,
    )
    .option("--beams <n>", "hypotheses of the beam search; 1 is greedy", integer(1), 4)
    .addOption(
      new Option("--dtype <type>", "numbers to compute with; int8 is faster, after rounding a model once")
        .choices(["fp32", "int8"])
        .default("fp32"),
    )
    .addOption(
      new Option("--person <policy>", 'what becomes of <PERSON>: kept, said as "a person", or dropped')
        .choices(PERSON_POLICIES)
        .default("keep"),
    )
    .addOption(offlineOption())
    .addOption(threadsOption())
    .option(
      "--task-index <n>",
      "which part of the shards (default: from Slurm or Kubernetes, else all)",
      integer(0),
    )
    .option("--task-count <n>", "in how many parts they are", integer(1))
    .option("--report", "show what each rule of the quality gate rejected, with samples")
    .option("--json", "print the summary as JSON")
    .addHelpText("after", TRANSLATE_HELP)
    .action(translate);
}

/**
 * Garbage among the captions may take half as much memory as what is in use: else V8 lets it become three times as much
 * before it looks for it, which is more than a model in int8 takes.
 */
const HEAP_GROWTH = "--heap-growing-percent=50";

async function translate({ modelDir, report = false, json, ...flags }: TranslateFlags): Promise<void> {
  setFlagsFromString(HEAP_GROWTH);
  const bar = progressBar("{bar} {value}/{total} parts, {entries} entries, {eta_formatted} left");
  const models = downloadBar();
  try {
    const result = await translateDataset({
      ...flags,
      models: modelDir,
      task: taskOf(flags, process.env),
      signal: interruptSignal(),
      onModelProgress: models.update,
      onProgress({ done, total, entries }) {
        models.stop();
        if (!bar?.isActive) bar?.start(total, 0, { entries });
        bar?.update(done, { entries });
      },
    });
    const { entries, leftOut, complete, counts } = result;
    const shown = report ? counts : withoutSamples(counts);
    if (json) {
      process.stdout.write(`${JSON.stringify({ entries, leftOut, complete, languages: shown })}\n`);
      return;
    }
    const state = complete ? "all done" : "other parts are not done yet";
    process.stdout.write(`${entries} entries in ${flags.out}, ${leftOut} left out; ${state}\n`);
    process.stdout.write(reportText(shown));
  } finally {
    bar?.stop();
    models.stop();
  }
}

function withoutSamples(counts: TranslationCounts): TranslationCounts {
  return Object.fromEntries(
    Object.entries(counts).map(([lang, { accepted, rejected }]) => [
      lang,
      { accepted, rejected, samples: {} },
    ]),
  );
}

/** A line a language, one for every fault found, and below it samples. */
function reportText(counts: TranslationCounts): string {
  const lines: string[] = [];
  for (const [lang, { accepted, rejected, samples }] of Object.entries(counts)) {
    const total = Object.values(rejected).reduce((sum, count) => sum + count, accepted);
    lines.push(`${lang}: ${accepted} of ${total} translations accepted`);
    for (const fault of FAULTS) {
      if (!rejected[fault]) continue;
      lines.push(`  ${fault}: ${rejected[fault]} (${((100 * rejected[fault]) / total).toFixed(2)} %)`);
      for (const { source, translation, score } of samples[fault] ?? [])
        lines.push(
          `    ${JSON.stringify(source)} → ${JSON.stringify(translation)} (score ${score.toFixed(2)})`,
        );
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}
