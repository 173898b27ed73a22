import { Command } from "commander";
import { type EvaluationReport, evaluateModel } from "../evaluation/evaluate-model.js";
import {
  checkDevice,
  decoderStartOption,
  deviceOption,
  dtypeOption,
  integer,
  interruptSignal,
  list,
  modelOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens data scenes --count 500 --seed 1 --split test --out scenes-test
  lingolens evaluate --data scenes-test
  lingolens evaluate --model runs/mine/final --data my-pictures --lang en,it --json

exactMatch is the share of captions equal to a reference, word for word; bleu is the corpus BLEU-1 to 4 on the
original's word tokens, from 0 to 1.`;

interface Flags {
  readonly model?: string;
  readonly offline?: boolean;
  readonly data: string;
  readonly images?: string;
  readonly split?: string;
  readonly dataLang?: string;
  readonly lang?: string[];
  readonly limit?: number;
  readonly beams: number;
  readonly batchSize: number;
  readonly ignoreExif?: boolean;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: string;
  readonly dtype?: "fp32" | "int8";
  readonly json?: boolean;
}

export function evaluateCommand(): Command {
  return new Command("evaluate")
    .description("loss, exact match and BLEU of a model on a dataset")
    .addOption(modelOption())
    .addOption(offlineOption())
    .requiredOption("--data <path>", "dataset: a folder, list or shards (docs/data.md)")
    .option("--images <folder>", "folder of the dataset's pictures, where it is not beside the list")
    .option("--split <name>", "only pictures of this split, such as val")
    .option("--data-lang <code>", "language of captions that name none, such as COCO's (default: en)")
    .option("--lang <codes>", "languages (default: the model's, as far as the dataset has them)", list)
    .option("--limit <n>", "the first so many pictures", integer(1))
    .option("--beams <n>", "hypotheses of the beam search", integer(1), 4)
    .option("--batch-size <n>", "pictures worked on at once", integer(1), 8)
    .option("--ignore-exif", "take pictures as they are stored, not upright")
    .addOption(decoderStartOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .option("--json", "print JSON instead of a table")
    .addHelpText("after", EXAMPLES)
    .action(evaluate);
}

async function evaluate(flags: Flags): Promise<void> {
  const {
    model,
    offline,
    data,
    images,
    split,
    dataLang,
    lang,
    limit,
    beams,
    batchSize,
    ignoreExif,
    json,
    threads,
    decoderStart,
    dtype,
  } = flags;
  checkDevice(flags.device);
  const signal = interruptSignal();
  const captioner = await openCaptioner({ model, offline, threads, decoderStart, dtype }, signal);
  const bar = progressBar("{bar} {percentage} %, {eta_formatted} left");
  try {
    bar?.start(1, 0);
    const report = await evaluateModel(captioner, {
      data,
      dataset: {
        ...(images && { images }),
        ...(split && { split }),
        ...(dataLang && { language: dataLang }),
      },
      caption: { beams, batchSize, ...(ignoreExif && { ignoreExif }) },
      ...(lang && { languages: lang }),
      ...(limit !== undefined && { limit }),
      signal,
      onProgress({ done, total }) {
        bar?.setTotal(total);
        bar?.update(done);
      },
    });
    bar?.stop();
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : table(report));
  } finally {
    bar?.stop();
    await captioner.close();
  }
}

function table({ loss, languages }: EvaluationReport): string {
  const header = ["", "captions", "loss", "exact", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"];
  const rows = Object.entries(languages).map(([language, { captions, loss: own, exactMatch, bleu }]) => {
    return [
      language,
      String(captions),
      own.toFixed(4),
      exactMatch.toFixed(4),
      ...bleu.map((score) => score.toFixed(4)),
    ];
  });
  const lines = [header, ...rows].map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(4) : cell.padStart(9))).join(""),
  );
  return `${lines.join("\n")}\nall languages: loss ${loss.toFixed(4)}\n`;
}
