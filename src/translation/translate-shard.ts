/** A WebDataset shard with its captions translated: the same pictures, with what is now to be said of them. */
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import type { DatasetEntry } from "../data/dataset.js";
import { invalid } from "../data/formats/invalid.js";
import { openFile, readBytes } from "../data/formats/lines.js";
import { readSample, type ShardSample, samplesOf } from "../data/formats/shards.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import { type CaptionSettings, translateEntries } from "./translated-captions.js";
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
  const samples: { sample: ShardSample; entry: DatasetEntry }[] = [];
  for await (const sample of samplesOf(path))
    samples.push({ sample, entry: readSample(path, sample, translator.from) });
  const { entries, counts } = await translateEntries(
    translator,
    samples.map(({ entry }) => entry),
    settings,
  );
  const file = await openFile(path);
  try {
    await writeFileAtomically(out, async (handle) => {
      const archive = pack();
      const written = pipeline(archive, handle.createWriteStream({ autoClose: false }));
      const filled = (async () => {
        for (const [i, { sample, entry }] of samples.entries()) {
          const translated = entries[i];
          if (!translated) continue;
          const [caption] = translated.captions[translator.from]!;
          for (const [ending, member] of sample.files) {
            if (ending === "json" || ending === "txt") continue;
            const bytes = await readBytes(file, member.start, member.length);
            if (bytes.length < member.length) throw invalid(path, "the shard as it was", "a shorter one");
            await addFile(archive, member.name, bytes);
          }
          await addFile(archive, `${sample.key}.txt`, Buffer.from(caption!));
          const json = { ...entry.fields, caption, ...translated };
          await addFile(archive, `${sample.key}.json`, Buffer.from(JSON.stringify(json)));
        }
        archive.finalize();
      })();
      // A failure to fill must end the writing, too.
      filled.catch((error) => archive.destroy(error));
      await Promise.all([written, filled]);
    });
  } finally {
    await file.close();
  }
  const leftOut = entries.filter((entry) => !entry).length;
  return { entries: entries.length, leftOut, counts };
}

/** The same entries give the same bytes. */
async function addFile(archive: Pack, name: string, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    archive.entry({ name, size: bytes.length, mtime: new Date(0), mode: 0o644 }, bytes, (error) =>
      error ? reject(error) : resolve(),
    ),
  );
}
