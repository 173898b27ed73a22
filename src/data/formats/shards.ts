/**
 * WebDataset shards: tar files in which the files of a sample follow each other and share a name up to its first dot,
 * such as `000012.jpg` and `000012.json`.
 */
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { parseCaptions, parseJson } from "./caption-lines.js";
import { invalid, isRecord, kindOf } from "./invalid.js";
import { type TarMember, tarMembers } from "./tar-members.js";

const PICTURES = ["jpg", "jpeg", "png", "webp"];
const TEXTS = ["json", "txt"];
/** A description that is longer is no caption's. */
const LONGEST_TEXT_BYTES = 4 * 2 ** 20;

/**
 * A block for each shard.
 * @param language of captions in `.txt` and of a `caption` in `.json`
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` with shard and sample
 */
export async function* shardBlocks(paths: readonly string[], language: string): AsyncGenerator<DatasetBlock> {
  for (const path of paths)
    yield {
      async *entries() {
        for await (const sample of samplesOf(path)) yield readSample(path, sample, language);
      },
    };
}

/** Files that share a name. */
export interface ShardSample {
  /** Name without the endings. */
  readonly key: string;
  /** By ending, such as "jpg". */
  readonly files: Map<string, TarMember>;
  readonly texts: Map<string, string>;
}

/** The samples of a shard, in order. */
export async function* samplesOf(path: string): AsyncGenerator<ShardSample> {
  let sample: ShardSample | undefined;
  for await (const member of tarMembers(path)) {
    const [, key, cased] = /^((?:.*\/)?[^/.]+)\.([^/]+)$/s.exec(member.name) ?? [];
    // What has no ending, or nothing before it, belongs to no sample.
    if (key === undefined || cased === undefined) continue;
    const ending = cased.toLowerCase();
    const place = placeOf(path, key);
    if (sample?.key !== key) {
      if (sample) yield sample;
      sample = { key, files: new Map(), texts: new Map() };
    }
    if (sample.files.has(ending)) throw invalid(place, `one file that ends in .${ending}`, "two");
    sample.files.set(ending, member);
    if (TEXTS.includes(ending)) sample.texts.set(ending, await readText(member, place));
  }
  if (sample) yield sample;
}

const placeOf = (path: string, key: string) => `${path}, sample ${JSON.stringify(key.slice(0, 200))}`;

async function readText({ length, read }: TarMember, place: string): Promise<string> {
  if (length > LONGEST_TEXT_BYTES)
    throw invalid(place, `at most ${LONGEST_TEXT_BYTES} bytes of text`, `${length}`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await read());
  } catch (error) {
    throw invalid(place, "UTF-8 text", "other bytes", error);
  }
}

/** @param language of captions in `.txt` and of a `caption` in `.json` */
export function readSample(path: string, { key, files, texts }: ShardSample, language: string): DatasetEntry {
  const place = placeOf(path, key);
  const picture = PICTURES.flatMap((ending) => files.get(ending) ?? [])[0];
  if (!picture)
    throw invalid(place, `a picture (.${PICTURES.join(", .")})`, `.${[...files.keys()].join(", .")}`);
  const json = texts.get("json");
  const description = json === undefined ? {} : parseJson(json, place);
  if (!isRecord(description)) throw invalid(place, "a JSON object", kindOf(description));
  // img2dataset repeats the text of `.txt` as `caption`.
  const { captions, caption, ...fields } = description;
  return {
    image: picture.name,
    imagePath: path,
    range: { start: picture.start, length: picture.length },
    captions: parseCaptions(captions ?? { [language]: texts.get("txt")?.trim() ?? caption }, place),
    fields,
  };
}
