import { join } from "node:path";
import { Command, Option } from "commander";
import type { CaptionDType } from "../captioner/load-captioner.js";
import type { Device } from "../engine/device/device-kind.js";
import { type EvaluationReport, evaluateModel } from "../evaluation/evaluate-model.js";
import { REPORT_FILE } from "../evaluation/run-files.js";
import type { SearchOptions } from "../evaluation/run-settings.js";
import { PERSON_POLICIES } from "../text/person-mask.js";
import {
  collect,
  decimal,
  decoderStartOption,
  deviceOption,
  dtypeOption,
  integer,
  interruptSignal,
  list,
  modelFolder,
  modelOption,
  noRepeatNgramSizeOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";
import { progressBar } from "./progress-bar.js";
import { publishedTable, scoreTable } from "./score-table.js";

const EXAMPLES = `
Examples:
  lingolens data scenes --count 500 --seed 1 --split test --out scenes-test
  lingolens evaluate --data scenes-test
  lingolens evaluate --model runs/mine/final --data my-pictures --lang en,it --report runs/evaluation
  lingolens evaluate --model original --data val.tsv --images pictures --like original --report runs/original

--report keeps captions.jsonl, metrics.json and report.html, a page for people, in a folder; the same command goes on
where it was stopped, and lingolens compare says which of two such folders is better.
The table's BLEU-4 is on the original's word tokens, CIDEr and ROUGE-L are COCO's, sacreBLEU and chrF are from 0 to
100; --json gives more, and docs/evaluation.md says what each is good for.`;

/** Of the search, names are those of the captioner's options. */
interface Flags extends SearchOptions {
  readonly model?: string;
  readonly offline?: boolean;
  readonly data: string;
  readonly images?: string;
  readonly split?: string;
  readonly dataLang?: string;
  readonly lang?: string[];
  readonly limit?: number;
  readonly like?: "original";
  readonly report?: string;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: Device;
  readonly dtype?: CaptionDType;
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
    .addOption(
      new Option(
        "--like <whom>",
        "as the published model was evaluated: beam 4, length 64, en, es, de, fr; its results beside",
      ).choices(["original"]),
    )
    .option(
      "--report <folder>",
      "keep captions, scores and a report in HTML there, and go on where it was stopped",
    )
    .option("--beams <n>", "hypotheses of the beam search; 1 is greedy (default: 4)", integer(1))
    .option("--max-length <n>", "longest caption in tokens, start token counted (default: 64)", integer(2))
    .option("--length-penalty <x>", "above 0 favours longer captions (default: 1)", decimal)
    .addOption(noRepeatNgramSizeOption())
    .option(
      "--repetition-penalty <x>",
      "above 1, tokens that occurred become less likely (default: 1)",
      decimal,
    )
    .option("--suppress <text>", "a word or phrase that no caption may hold; may be repeated", collect)
    .addOption(
      new Option(
        "--person <policy>",
        'what becomes of <PERSON>: kept, said as "a person", or dropped (default: keep)',
      ).choices(PERSON_POLICIES),
    )
    .option("--batch-size <n>", "pictures worked on at once (default: 8)", integer(1))
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
  const { model, offline, data, images, split, dataLang, lang, limit, like, report: out, ...rest } = flags;
  const { json, threads, decoderStart, device, dtype, ...caption } = rest;
  const signal = interruptSignal();
  const captioner = await openCaptioner({ model, offline, threads, decoderStart, device, dtype }, signal);
  const bar = progressBar("{bar} {value}/{total} pictures, {eta_formatted} left");
  try {
    const report = await evaluateModel(captioner, {
      data,
      dataset: { images, split, language: dataLang },
      caption,
      ...(lang && { languages: lang }),
      ...(limit !== undefined && { limit }),
      ...(like && { like }),
      ...(out !== undefined && {
        run: {
          folder: out,
          model: {
            name: model ?? "the bundled model",
            folder: await modelFolder(model, { ...(offline && { offline }), signal }),
            ...(dtype && { dtype }),
          },
          onWait: () => process.stderr.write(`Another process is at work in ${out}; waiting for it…\n`),
        },
      }),
      signal,
      onProgress({ done, total }) {
        if (!bar?.isActive) bar?.start(total, done);
        bar?.update(done);
      },
      onFailure({ image, error }) {
        process.stderr.write(`lingolens: ${nameIn(error.message, image)} (${error.code})\n`);
        process.exitCode = 1;
      },
    });
    bar?.stop();
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
    if (out !== undefined) process.stderr.write(`Report: ${join(out, REPORT_FILE)}\n`);
  } finally {
    bar?.stop();
    await captioner.close();
  }
}

/** The message, which is to name the picture. */
function nameIn(message: string, image: string): string {
  return message.includes(image) ? message : `${image}: ${message}`;
}

function text(report: EvaluationReport): string {
  const { loss, languages, published } = report;
  const total = `all languages: loss ${loss.toFixed(4)}${published ? `, published about ${published.loss}` : ""}\n`;
  return scoreTable(languages) + total + (published ? publishedTable(report) : "");
}
