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
import { scoreTable } from "./score-table.js";

const EXAMPLES = `
Examples:
  lingolens data scenes --count 500 --seed 1 --split test --out scenes-test
  lingolens evaluate --data scenes-test
  lingolens evaluate --model runs/mine/final --data my-pictures --lang en,it --json

The table's BLEU-4 is on the original's word tokens, CIDEr and ROUGE-L are COCO's, sacreBLEU and chrF are from 0 to
100; --json gives more, and docs/evaluation.md says what each is good for.`;

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
    .description("how well a model captions a dataset: loss, BLEU, chrF, CIDEr, faults and more")
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
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
  } finally {
    bar?.stop();
    await captioner.close();
  }
}

function text({ loss, languages }: EvaluationReport): string {
  return `${scoreTable(languages)}all languages: loss ${loss.toFixed(4)}\n`;
}
