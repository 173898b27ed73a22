/** Lists of pictures as JSON lines: our own, Crossmodal-3600's, and Flickr8k's joined with Multi30k. */
import { dirname } from "node:path";
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { invalid, isRecord, kindOf } from "./invalid.js";
import { type Line, lineRanges, linesIn } from "./lines.js";
import { folderOfPictures, pathWithin } from "./picture-path.js";

/** @param images folder of the pictures. Default: of our own lists the list's, of others `images/` beside it. */
export async function* captionLines(path: string, images?: string): AsyncGenerator<DatasetBlock> {
  const read = captionLineReader(path, images);
  for await (const range of lineRanges(path))
    yield {
      async *entries() {
        for await (const line of linesIn(range)) if (line.text.trim() !== "") yield read(line);
      },
    };
}

/** What reads the lines of such a list, one by one. */
export function captionLineReader(path: string, images?: string): (line: Line) => DatasetEntry {
  const folders = { own: images ?? dirname(path), others: folderOfPictures(path, images) };
  return ({ text, place }) => parseEntry(text, place, folders);
}

interface Folders {
  readonly own: string;
  readonly others: string;
}

function parseEntry(text: string, place: string, folders: Folders): DatasetEntry {
  const line = parseJson(text, place);
  if (!isRecord(line)) throw invalid(place, "a JSON object", kindOf(line));
  if ("image/key" in line) return crossmodalEntry(line, place, folders.others);
  if ("captions_en" in line && !("captions" in line)) return flickrEntry(line, place, folders.others);
  const { image, captions, ...fields } = line;
  const name = checkName(image, "image", place);
  return {
    image: name,
    imagePath: pathWithin(folders.own, name, place),
    captions: parseCaptions(captions, place),
    fields,
  };
}

/**
 * A line of Crossmodal-3600's `captions.jsonl` (Thapliyal et al. 2022, arXiv 2205.12522): the picture `KEY.jpg`, and
 * by language an object whose `caption` lists some captions.
 */
function crossmodalEntry(line: Record<string, unknown>, place: string, folder: string): DatasetEntry {
  const image = `${checkName(line["image/key"], "image/key", place)}.jpg`;
  const byLanguage = Object.entries(line).filter(([key, value]) => !key.includes("/") && isRecord(value));
  const captions = byLanguage.map(([language, value]) => [
    language,
    (value as { caption?: unknown }).caption,
  ]);
  return {
    image,
    imagePath: pathWithin(folder, image, place),
    captions: parseCaptions(Object.fromEntries(captions), place),
    fields: { locale: line["image/locale"] },
  };
}

/**
 * A line of Flickr8k's captions joined with Multi30k: `captions_en` from Flickr8k, in `multi30k` the split and a
 * caption in each language, in `marian_es` a machine translation.
 */
function flickrEntry(line: Record<string, unknown>, place: string, folder: string): DatasetEntry {
  const { image, captions_en: english, multi30k, marian_es: marian } = line;
  const { multi30k_split: split, es_machine: machine, ...human } = isRecord(multi30k) ? multi30k : {};
  const listed = (value: unknown) => (Array.isArray(value) ? value : value === undefined ? [] : [value]);
  const spanish = [...listed(machine), ...listed(isRecord(marian) ? marian.es : undefined)];
  const captions: Record<string, unknown> = {
    ...human,
    en: [...new Set([...listed(human.en), ...listed(english)])],
    ...(spanish.length > 0 && { es: spanish }),
  };
  const name = checkName(image, "image", place);
  return {
    image: name,
    imagePath: pathWithin(folder, name, place),
    captions: parseCaptions(captions, place),
    fields: split === undefined ? {} : { split },
  };
}

function checkName(image: unknown, field: string, place: string): string {
  if (typeof image === "string" && image !== "") return image;
  throw invalid(place, `${JSON.stringify(field)} to be the path of a picture`, kindOf(image));
}

/**
 * @param captions by language, a text or a list of texts
 * @throws {LingolensError} for anything else, for a blank text, and where there is no caption
 */
export function parseCaptions(captions: unknown, place: string): DatasetEntry["captions"] {
  if (!isRecord(captions)) throw invalid(place, `"captions" to be an object by language`, kindOf(captions));
  const entries = Object.entries(captions).map(([language, value]) => {
    const texts: unknown[] = Array.isArray(value) ? value : [value];
    const allTexts = texts.every((text) => typeof text === "string" && text.trim() !== "");
    if (language === "" || texts.length === 0 || !allTexts) {
      const expected = `the captions of language ${JSON.stringify(language)} to be a text or a list of texts`;
      throw invalid(place, expected, (JSON.stringify(value) ?? "nothing").slice(0, 80));
    }
    return [language, texts as string[]] as const;
  });
  if (entries.length === 0) throw invalid(place, "captions in at least one language", "none");
  return Object.fromEntries(entries);
}

export function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const got = `${JSON.stringify(text.slice(0, 40))} (${(error as Error).message})`;
    throw invalid(place, "a JSON object", got, error);
  }
}
