import { addAbortSignal } from "node:stream";
import { Command, Option } from "commander";
import type { CaptionResult, NamedPicture } from "../captioner/captioner.js";
import type { CaptionDType } from "../captioner/load-captioner.js";
import type { CaptionOptions } from "../captioner/options.js";
import type { Device } from "../engine/device/device-kind.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { expandInputs } from "../image/expand-inputs.js";
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
  modelOption,
  noRepeatNgramSizeOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";
import { type CaptionFormat, captionWriter } from "./caption-format.js";
import { progressBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens caption photo.jpg --lang en,de,fr,es
  lingolens caption pictures/ --lang all --format csv > captions.csv
  lingolens caption 'site/**/*.jpg' --format jsonl --num-captions 3
  cat photo.jpg | lingolens caption - --lang es
  lingolens caption https://example.org/cat.jpg --model original --suppress '<PERSON>'

A folder stands for the pictures right in it; a pattern in quotes reaches deeper (**). Pictures are turned upright
by their EXIF orientation unless --ignore-exif is given. Exit code: 0 all well, 1 some picture failed, 2 wrong use.`;

/** Options that go to the captioner as they are. */
interface Flags extends Omit<CaptionOptions, "earlyStopping"> {
  readonly earlyStopping?: "true" | "false" | "never";
  readonly model?: string;
  readonly offline?: boolean;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: Device;
  readonly dtype?: CaptionDType;
  readonly format: CaptionFormat;
  readonly json?: boolean;
}

export function captionCommand(): Command {
  return new Command("caption")
    .description("describe pictures")
    .argument("<picture...>", "files, folders, patterns, http(s) URLs, or - for standard input")
    .addOption(modelOption())
    .addOption(offlineOption())
    .addOption(languagesOption())
    .option("--beams <n>", "hypotheses of the beam search; 1 is greedy (default: 4)", integer(1))
    .option("--max-length <n>", "longest caption in tokens, start token counted (default: 64)", integer(1))
    .option("--min-length <n>", "shortest caption in tokens, start token counted (default: 0)", integer(0))
    .option("--length-penalty <x>", "above 0 favours longer captions (default: 1)", decimal)
    .addOption(
      new Option(
        "--early-stopping <when>",
        "stop a beam search when as many captions as beams have ended (true), when no better one is likely (false) " +
          "or possible (never) (default: false)",
      ).choices(["true", "false", "never"]),
    )
    .addOption(noRepeatNgramSizeOption())
    .option(
      "--repetition-penalty <x>",
      "above 1, tokens that occurred become less likely (default: 1)",
      decimal,
    )
    .option("--num-captions <n>", "captions per picture and language (default: 1)", integer(1))
    .option("--suppress <text>", "a word or phrase that no caption may hold; may be repeated", collect)
    .addOption(
      new Option(
        "--person <policy>",
        'what becomes of <PERSON>: kept, said as "a person", or dropped (default: keep)',
      ).choices(PERSON_POLICIES),
    )
    .option("--sample", "draw tokens at random instead of searching")
    .option("--temperature <x>", "sampling: above 1 bolder, below 1 more careful (default: 1)", decimal)
    .option("--top-k <n>", "sampling: draw from so many tokens; 0 for all (default: 50)", integer(0))
    .option("--top-p <x>", "sampling: draw from the tokens with this probability (default: 1)", decimal)
    .option("--seed <n>", "sampling: equal seeds draw equal captions (default: 0)", integer(0))
    .option("--batch-size <n>", "pictures worked on at once (default: 4)", integer(1))
    .option("--attention", "add what each token looked at to JSON lines")
    .option("--log-probs", "add each token's log-probability to JSON lines")
    .option("--ignore-exif", "take pictures as they are stored, not upright")
    .option("--allow-private", "fetch from private addresses too, such as localhost")
    .addOption(decoderStartOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addOption(new Option("--format <format>", "output").choices(["text", "jsonl", "csv"]).default("text"))
    .option("--json", "the same as --format jsonl")
    .addHelpText("after", EXAMPLES)
    .action(caption);
}

/** Shows its default as one writes it. */
function languagesOption(): Option {
  const description = 'languages, such as en,de,fr,es or en_XX; "all" that the model was trained for';
  return new Option("--lang <codes>", description).argParser(list).default(["en"], "en");
}

async function caption(inputs: readonly string[], flags: Flags): Promise<void> {
  const { model, offline, decoderStart, threads, device, dtype, format, json, earlyStopping, ...rest } =
    flags;
  const options: CaptionOptions = {
    ...rest,
    ...(earlyStopping && { earlyStopping: earlyStopping === "never" ? "never" : earlyStopping === "true" }),
  };
  const inJsonOnly = options.attention ? "--attention" : options.logProbs && "--log-probs";
  if (inJsonOnly && !json && format !== "jsonl")
    throw new LingolensError(
      "option-unsupported",
      `${inJsonOnly} is written in JSON lines only; add --format jsonl.`,
    );

  const signal = interruptSignal();
  const captioner = await openCaptioner({ model, offline, threads, decoderStart, device, dtype }, signal);
  try {
    if (model === undefined) process.stderr.write(BUNDLED_NOTE);
    // Standard input may never end; an interrupt does not wait for it.
    if (inputs.includes("-")) addAbortSignal(signal, process.stdin);
    const pictures: NamedPicture[] = [];
    for await (const picture of expandInputs(inputs)) pictures.push(picture);
    throwIfCancelled(signal);
    const write = captionWriter(json ? "jsonl" : format, process.stdout);
    const bar =
      pictures.length > 1 && !process.stdout.isTTY
        ? progressBar("{bar} {value}/{total} pictures, {eta_formatted} left")
        : undefined;
    bar?.start(pictures.length, 0);
    const onProgress = ({ done }: { done: number }): void => bar?.update(done);
    for await (const result of captioner.captionEach(pictures, { ...options, signal, onProgress })) {
      write(result);
      if ("error" in result) fail(result);
    }
    bar?.stop();
  } finally {
    await captioner.close();
  }
}

/** Names the failed picture; the others go on, and the exit code tells. */
function fail({ image, error }: Extract<CaptionResult, { error: unknown }>): void {
  const message = error.message.includes(image) ? error.message : `${image}: ${error.message}`;
  process.stderr.write(`lingolens: ${message} (${error.code})\n`);
  process.exitCode = 1;
}

const BUNDLED_NOTE =
  "Note: this is the bundled model. It knows drawn scenes of coloured shapes only, and will say such things of any\n" +
  "photo. For photos there is --model original, a download that states its size first (docs/captioning.md).\n";
