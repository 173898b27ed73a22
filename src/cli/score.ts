import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, extname, isAbsolute, join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import type { CaptionDType } from "../captioner/load-captioner.js";
import { captionsIn, type DatasetOptions, pictureOf, readDataset } from "../data/dataset.js";
import { linesOf } from "../data/formats/lines.js";
import type { Device } from "../engine/device/device-kind.js";
import { LingolensError } from "../errors.js";
import { hasWildcard } from "../image/glob.js";
import { isUrl, type PictureSource } from "../image/picture-source.js";
import {
  decoderStartOption,
  deviceOption,
  dtypeOption,
  interruptSignal,
  modelOption,
  offlineOption,
  openCaptioner,
  threadsOption,
} from "./arguments.js";

const EXAMPLES = `
Examples:
  echo '{"image":"photo.jpg","lang":"en","caption":"a red circle"}' > captions.jsonl
  lingolens score --data captions.jsonl
  lingolens score --model DIR --data captions.jsonl --json
  lingolens score --data scenes-test --json

--data is a dataset (docs/data.md), whose captions in the model's languages are scored, or a list of single captions:
each line is {"image":…,"lang":…,"caption":…}, and a picture's path counts from the file's folder. The result adds
"tokens" ([lang] caption </s>) and "nll", their mean negative log-likelihood: lower is likelier.`;

interface Flags {
  readonly model?: string;
  readonly offline?: boolean;
  readonly data: string;
  readonly images?: string;
  readonly split?: string;
  readonly dataLang?: string;
  readonly decoderStart?: number;
  readonly threads?: number;
  readonly device: Device;
  readonly dtype?: CaptionDType;
  readonly ignoreExif?: boolean;
  readonly allowPrivate?: boolean;
  readonly json?: boolean;
}

const lineSchema = z.looseObject({ image: z.string(), lang: z.string(), caption: z.string() });

export function scoreCommand(): Command {
  return new Command("score")
    .description("how well a model expects given captions")
    .addOption(modelOption())
    .addOption(offlineOption())
    .requiredOption("--data <path>", "dataset, or JSON lines with image, lang and caption")
    .option("--images <folder>", "folder of a dataset's pictures, where it is not beside the list")
    .option("--split <name>", "only pictures of this split of a dataset")
    .option("--data-lang <code>", "language of a dataset's captions that name none (default: en)")
    .option("--ignore-exif", "take pictures as they are stored, not upright")
    .option("--allow-private", "fetch from private addresses too, such as localhost")
    .addOption(decoderStartOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .option("--json", "JSON lines instead of a table")
    .addHelpText("after", EXAMPLES)
    .action(score);
}

async function score({
  model,
  offline,
  data,
  images,
  split,
  dataLang: language,
  json,
  threads,
  decoderStart,
  device,
  dtype,
  ...reading
}: Flags): Promise<void> {
  const lines = (await isDataset(data)) ? undefined : await readLines(data);
  const signal = interruptSignal();
  const captioner = await openCaptioner({ model, offline, threads, decoderStart, device, dtype }, signal);
  const pictures = lines
    ? listedPictures(lines, data)
    : datasetPictures(data, captioner.languages, { images, split, language });
  try {
    for await (const { load, lines } of pictures) {
      try {
        const scored = await captioner.score(await load(), lines, { ...reading, signal });
        lines.forEach((line, i) => {
          const { tokens, nll } = scored[i]!;
          process.stdout.write(
            json
              ? `${JSON.stringify({ ...line, tokens, nll })}\n`
              : `${nll.toFixed(4)}  ${line.image}  ${line.lang}  ${line.caption}\n`,
          );
        });
      } catch (error) {
        if (!(error instanceof LingolensError) || error.code === "cancelled") throw error;
        const { code, message } = error;
        for (const line of lines)
          if (json) process.stdout.write(`${JSON.stringify({ ...line, error: { code, message } })}\n`);
        process.stderr.write(`lingolens: ${lines[0]!.image}: ${message} (${code})\n`);
        process.exitCode = 1;
      }
    }
  } finally {
    await captioner.close();
  }
}

type Line = z.infer<typeof lineSchema>;

interface PictureToScore {
  readonly load: () => Promise<PictureSource>;
  readonly lines: readonly Line[];
}

async function* listedPictures(lines: readonly Line[], data: string): AsyncGenerator<PictureToScore> {
  for (const line of lines) yield { load: async () => resolveImage(line.image, data), lines: [line] };
}

async function* datasetPictures(
  data: string,
  languages: readonly string[],
  options: DatasetOptions,
): AsyncGenerator<PictureToScore> {
  for await (const entry of readDataset(data, options)) {
    const lines = languages.flatMap((lang) =>
      captionsIn(entry, lang).map((caption) => ({ image: entry.image, lang, caption })),
    );
    if (lines.length > 0) yield { load: () => pictureOf(entry), lines };
  }
}

/** Whatever is no file of lines, and lists of pictures with all their captions. */
async function isDataset(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return hasWildcard(path);
  if (!found.isFile() || [".tar", ".tsv", ".json"].includes(extname(path))) return true;
  for await (const { text } of linesOf(path))
    if (text.trim() !== "") return /"captions(_en)?"\s*:|"image\/key"/.test(text);
  return false;
}

async function readLines(path: string): Promise<Line[]> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      return [lineSchema.parse(JSON.parse(line))];
    } catch {
      throw new LingolensError(
        "dataset-invalid",
        `${path}, line ${i + 1}: expected {"image":…,"lang":…,"caption":…}; got ${line.slice(0, 80)}.`,
      );
    }
  });
}

/** Relative to the file's folder; where there is no such picture, to the current one. */
function resolveImage(image: string, data: string): string {
  if (isUrl(image) || isAbsolute(image)) return image;
  const beside = join(dirname(data), image);
  return existsSync(beside) ? beside : image;
}
