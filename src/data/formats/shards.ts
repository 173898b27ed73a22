/**
 * WebDataset shards: tar files in which the files of a sample follow each other and share a name up to its first dot,
 * such as `000012.jpg` and `000012.json`.
 */
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { parseCaptions, parseJson } from "./caption-lines.js";
import { invalid, isRecord, kindOf } from "./invalid.js";
import { readRange } from "./lines.js";
import { type TarMember, tarMembers } from "./tar-members.js";

const PICTURES = ["jpg", "jpeg", "png", "webp"];
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

interface Sample {
  /** Name without the endings. */
  readonly key: string;
  /** By ending, such as "jpg". */
  readonly files: Map<string, TarMember>;
}

async function* samplesOf(path: string): AsyncGenerator<Sample> {
  let sample: Sample | undefined;
  for await (const member of tarMembers(path)) {
    const [, key, ending] = /^((?:.*\/)?[^/.]+)\.([^/]+)$/s.exec(member.name) ?? [];
    // What has no ending, or nothing before it, belongs to no sample.
    if (key === undefined || ending === undefined) continue;
    if (sample?.key !== key) {
      if (sample) yield sample;
      sample = { key, files: new Map() };
    }
    if (sample.files.has(ending.toLowerCase()))
      throw invalid(
        `${path}, byte ${member.start}`,
        "every name once",
        JSON.stringify(member.name.slice(0, 200)),
      );
    sample.files.set(ending.toLowerCase(), member);
  }
  if (sample) yield sample;
}

async function readSample(path: string, { key, files }: Sample, language: string): Promise<DatasetEntry> {
  const place = `${path}, sample ${JSON.stringify(key.slice(0, 200))}`;
  const picture = PICTURES.flatMap((ending) => files.get(ending) ?? [])[0];
  if (!picture)
    throw invalid(place, `a picture (.${PICTURES.join(", .")})`, `.${[...files.keys()].join(", .")}`);
  const text = (ending: string) => readText(path, files.get(ending), place);
  const json = await text("json");
  const description = json === undefined ? {} : parseJson(json, place);
  if (!isRecord(description)) throw invalid(place, "a JSON object", kindOf(description));
  // img2dataset repeats the text of `.txt` as `caption`.
  const { captions, caption, ...fields } = description;
  const own = captions ?? { [language]: (await text("txt"))?.trim() ?? caption };
  return {
    image: picture.name,
    imagePath: path,
    range: { start: picture.start, length: picture.length },
    captions: parseCaptions(own, place),
    fields,
  };
}

async function readText(
  path: string,
  member: TarMember | undefined,
  place: string,
): Promise<string | undefined> {
  if (!member) return undefined;
  const { start, length } = member;
  if (length > LONGEST_TEXT_BYTES)
    throw invalid(place, `at most ${LONGEST_TEXT_BYTES} bytes of text`, `${length}`);
  const bytes = await readRange(path, start, length);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalid(place, "UTF-8 text", "other bytes", error);
  }
}
