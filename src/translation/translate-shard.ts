/** A WebDataset shard with its captions translated: the same pictures, with what is now to be said of them. */
import type { FileHandle } from "node:fs/promises";
import type { Pack } from "tar-stream";
import type { DatasetEntry } from "../data/dataset.js";
import { invalid } from "../data/formats/invalid.js";
import { openFile, readBytes } from "../data/formats/lines.js";
import { readSample, type ShardSample, samplesOf } from "../data/formats/shards.js";
import type { TarMember } from "../data/formats/tar-members.js";
import { addFile, writeTarFile } from "../data/formats/write-tar.js";
import { type CaptionSettings, type TranslatedEntry, translateEntries } from "./translated-captions.js";
import type { TranslatedMarker } from "./translation-plan.js";
import type { Translator } from "./translator.js";

/**
 * Writes the shard, whole or not at all.
 * @throws {LingolensError} `dataset-invalid`, and what translating throws
 */
export async function translateShard(
  translator: Translator,
  path: string,
  out: string,
  settings: CaptionSettings,
): Promise<Omit<TranslatedMarker, "source">> {
  const samples: SampleEntry[] = [];
  for await (const sample of samplesOf(path))
    samples.push({ sample, entry: readSample(path, sample, translator.from) });
  const { entries, counts } = await translateEntries(
    translator,
    samples.map(({ entry }) => entry),
    settings,
  );
  const file = await openFile(path);
  try {
    await writeTarFile(out, (archive) =>
      fill(archive, samples, entries, translator.from, (place) => readMember(file, path, place)),
    );
  } finally {
    await file.close();
  }
  const leftOut = entries.filter((entry) => !entry).length;
  return { entries: entries.length, leftOut, counts };
}

interface SampleEntry {
  readonly sample: ShardSample;
  readonly entry: DatasetEntry;
}

async function fill(
  archive: Pack,
  samples: readonly SampleEntry[],
  translated: readonly (TranslatedEntry | undefined)[],
  from: string,
  read: (member: TarMember) => Promise<Buffer>,
): Promise<void> {
  for (const [i, { sample, entry }] of samples.entries()) {
    const own = translated[i];
    if (!own) continue;
    const caption = own.captions[from]![0]!;
    for (const [ending, member] of sample.files)
      if (ending !== "json" && ending !== "txt") await addFile(archive, member.name, await read(member));
    await addFile(archive, `${sample.key}.txt`, Buffer.from(caption));
    const json = { ...entry.fields, caption, ...own };
    await addFile(archive, `${sample.key}.json`, Buffer.from(JSON.stringify(json)));
  }
}

async function readMember(
  file: FileHandle,
  path: string,
  { name, start, length }: TarMember,
): Promise<Buffer> {
  const bytes = await readBytes(file, start, length);
  if (bytes.length === length) return bytes;
  throw invalid(`${path}, ${name}`, `${length} bytes`, `${bytes.length}: the shard has become shorter`);
}
