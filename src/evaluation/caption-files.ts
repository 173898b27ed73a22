/** Captions and references in files, to be scored without a model: text, a caption a line, or COCO's JSON. */
import { readFile, stat } from "node:fs/promises";
import { extname } from "node:path";
import { z } from "zod";
import { invalid } from "../data/formats/invalid.js";
import { linesOf } from "../data/formats/lines.js";
import { LingolensError } from "../errors.js";

/** Captions with the references of the same pictures, at least one each. */
export interface CaptionPairs {
  readonly hypotheses: readonly string[];
  readonly references: readonly (readonly string[])[];
}

/** In UTF-8. What is longer is no caption, and some scores take the square of its length. */
const LONGEST_CAPTION = 2 ** 16;
/** JSON is read whole. */
const LARGEST_JSON = 400 * 2 ** 20;

/**
 * Text files have a caption a line; line n of each file of references is of the same picture as line n of the
 * hypotheses, and where it is empty that file has no reference of it. An empty hypothesis is an empty caption. JSON
 * files are COCO's results, `[{"image_id":…,"caption":…}]`, and its annotations; captions are paired by picture.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid`, with the line's number, for bytes that are no UTF-8, a
 * caption of more than 64 KiB, files of different lengths, a caption without a reference, and no caption at all
 */
export async function readCaptionPairs(
  hypothesesFile: string,
  referencesFiles: readonly string[],
): Promise<CaptionPairs> {
  const isJson = (path: string) => extname(path).toLowerCase() === ".json";
  const files = [hypothesesFile, ...referencesFiles];
  if (files.every(isJson)) return readJsonPairs(hypothesesFile, referencesFiles);
  const json = files.find(isJson);
  if (json) {
    throw new LingolensError(
      "option-unsupported",
      `${json} is JSON, other files are text: expected one kind. Name text files alone, or COCO's JSON files alone.`,
    );
  }
  return readTextPairs(hypothesesFile, referencesFiles);
}

async function readTextPairs(
  hypothesesFile: string,
  referencesFiles: readonly string[],
): Promise<CaptionPairs> {
  const hypotheses = await captionLines(hypothesesFile);
  const columns: string[][] = [];
  for (const path of referencesFiles) {
    const lines = await captionLines(path);
    if (lines.length !== hypotheses.length) {
      const [shorter, longer] =
        lines.length < hypotheses.length ? [path, hypothesesFile] : [hypothesesFile, path];
      const least = Math.min(lines.length, hypotheses.length);
      throw invalid(
        `${shorter}, line ${least + 1}`,
        `as many lines as in ${longer}`,
        `the end after ${least}`,
      );
    }
    columns.push(lines);
  }
  const references = hypotheses.map((_, i) => {
    const own = columns.map((lines) => lines[i]!).filter((line) => line.trim() !== "");
    if (own.length > 0) return own;
    throw invalid(`${referencesFiles.join(", ")}, line ${i + 1}`, "at least one reference", "none");
  });
  return { hypotheses, references };
}

async function captionLines(path: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text, place } of linesOf(path)) {
    if (Buffer.byteLength(text) > LONGEST_CAPTION)
      throw invalid(place, `a caption of at most ${LONGEST_CAPTION} bytes`, "a longer one");
    lines.push(text.endsWith("\r") ? text.slice(0, -1) : text);
  }
  if (lines.length === 0) throw invalid(path, "a caption a line", "an empty file");
  return lines;
}

const captionSchema = z.object({
  image_id: z.union([z.int(), z.string()]),
  caption: z.string().max(LONGEST_CAPTION),
});
const fileSchema = z.union([
  z.array(captionSchema),
  z.object({ annotations: z.array(captionSchema) }).transform(({ annotations }) => annotations),
]);

/** In the order of the hypotheses. Pictures without one are left out, as COCO's evaluation does. */
async function readJsonPairs(
  hypothesesFile: string,
  referencesFiles: readonly string[],
): Promise<CaptionPairs> {
  const references = new Map<string, string[]>();
  for (const path of referencesFiles) {
    for (const { image_id, caption } of await readJson(path)) {
      const own = references.get(String(image_id));
      if (own) own.push(caption);
      else references.set(String(image_id), [caption]);
    }
  }
  const results = await readJson(hypothesesFile);
  if (results.length === 0) throw invalid(hypothesesFile, "at least one caption", "none");
  const seen = new Set<string>();
  const pairs = results.map(({ image_id, caption }, i) => {
    const id = String(image_id);
    const place = `${hypothesesFile}, entry ${i + 1}`;
    if (seen.has(id)) throw invalid(place, "one caption a picture", `another of image ${id}`);
    seen.add(id);
    const own = references.get(id);
    if (!own) throw invalid(place, `a reference of image ${id} in ${referencesFiles.join(", ")}`, "none");
    return { caption, own };
  });
  return { hypotheses: pairs.map(({ caption }) => caption), references: pairs.map(({ own }) => own) };
}

async function readJson(path: string): Promise<z.infer<typeof captionSchema>[]> {
  const { size } = await stat(path).catch((cause: Error) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  if (size > LARGEST_JSON) throw invalid(path, `at most ${LARGEST_JSON} bytes of JSON`, String(size));
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path)));
  } catch (cause) {
    throw invalid(path, "JSON in UTF-8", (cause as Error).message, cause);
  }
  const parsed = fileSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw invalid(path, `COCO's captions, each {"image_id":…,"caption":…}`, "other JSON", parsed.error);
}
