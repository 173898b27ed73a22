/** A shard, divided: its training samples become a shard, its validation samples and the lists parts of larger files. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Pack } from "tar-stream";
import { resolveLanguage } from "../../text/languages.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { captionsIn, type DatasetEntry } from "../dataset.js";
import { openFile, readBytes } from "../formats/lines.js";
import { readSample, type ShardSample, samplesOf } from "../formats/shards.js";
import { addFile, writeTarFile } from "../formats/write-tar.js";
import type { PackPlan } from "./pack-plan.js";
import { positionOf } from "./split.js";
import { tsvRow } from "./tsv-row.js";

export const PACKED_SPLITS = ["train", "validation"] as const;
export type PackedSplit = (typeof PACKED_SPLITS)[number];

export interface PackedCounts {
  readonly pictures: number;
  readonly captions: number;
}

export interface PackedShard extends Readonly<Record<PackedSplit, PackedCounts>> {
  /** Pictures without captions in all languages asked for. */
  readonly leftOut: number;
}

/** Where what is made of a shard lies. */
export function packedFiles(out: string, shard: string) {
  const part = (ending: string) => join(out, "parts", `${shard}.${ending}`);
  return {
    shard: { train: join(out, "train", `${shard}.tar`), validation: part("validation.tar") },
    list: { train: part("train.tsv"), validation: part("validation.tsv") },
    marker: part("done.json"),
  };
}

interface PackedSample {
  readonly sample: ShardSample;
  readonly entry: DatasetEntry;
}

/** Every file appears whole; the same shard and plan give the same bytes. */
export async function packShard(
  path: string,
  out: string,
  shard: string,
  { threshold, languages }: PackPlan,
): Promise<PackedShard> {
  const samples: Record<PackedSplit, PackedSample[]> = { train: [], validation: [] };
  let leftOut = 0;
  for await (const sample of samplesOf(path)) {
    const entry = inLanguages(readSample(path, sample, "en"), languages);
    if (!entry) leftOut += 1;
    else samples[positionOf(entry) < threshold ? "validation" : "train"].push({ sample, entry });
  }
  const files = packedFiles(out, shard);
  const file = await openFile(path);
  try {
    for (const split of PACKED_SPLITS) {
      const own = samples[split];
      await mkdir(dirname(files.shard[split]), { recursive: true });
      await writeTarFile(files.shard[split], async (archive) => {
        for (const one of own)
          await addSample(archive, one, split, (start, length) => readBytes(file, start, length));
      });
      await writeFileAtomically(files.list[split], (list) =>
        list.writeFile(own.flatMap(({ entry }) => rowsOf(entry)).join("")),
      );
    }
  } finally {
    await file.close();
  }
  const counts = (split: PackedSplit): PackedCounts => ({
    pictures: samples[split].length,
    captions: samples[split].reduce(
      (sum, { entry }) => sum + Object.values(entry.captions).reduce((n, texts) => n + texts.length, 0),
      0,
    ),
  });
  return { train: counts("train"), validation: counts("validation"), leftOut };
}

/** With the captions in these languages alone; undefined where one of them is missing. */
export function inLanguages(entry: DatasetEntry, languages: PackPlan["languages"]): DatasetEntry | undefined {
  if (languages === null) return entry;
  const captions = languages.map((lang) => [lang, captionsIn(entry, lang)] as const);
  if (captions.some(([, texts]) => texts.length === 0)) return undefined;
  return { ...entry, captions: Object.fromEntries(captions) };
}

async function addSample(
  archive: Pack,
  { sample, entry }: PackedSample,
  split: PackedSplit,
  read: (start: number, length: number) => Promise<Uint8Array>,
): Promise<void> {
  for (const [ending, { name, start, length }] of sample.files)
    if (ending !== "json" && ending !== "txt") await addFile(archive, name, await read(start, length));
  const caption = mainCaption(entry);
  const { captions, fields } = entry;
  await addFile(archive, `${sample.key}.txt`, caption);
  await addFile(archive, `${sample.key}.json`, JSON.stringify({ ...fields, caption, captions, split }));
}

/** What programs see that know one caption a picture. */
function mainCaption(entry: DatasetEntry): string {
  const [first] = [...captionsIn(entry, "en"), ...Object.values(entry.captions).flat()];
  return first!;
}

function rowsOf({ image, captions, fields }: DatasetEntry): string[] {
  const url = typeof fields.url === "string" ? fields.url : "";
  return Object.entries(captions).flatMap(([name, texts]) =>
    texts.map((text) => tsvRow([image, text, url, isoOf(name)])),
  );
}

/** As the original writes them; codes that are no language's stay. */
function isoOf(name: string): string {
  try {
    return resolveLanguage(name).iso;
  } catch {
    return name;
  }
}
