/** A `captions.jsonl` with its captions translated, a piece of a megabyte at a time, which are joined in the end. */
import { createReadStream } from "node:fs";
import type { DatasetBlock, DatasetEntry } from "../data/dataset.js";
import { writeFileAtomically } from "../weights/atomic-file.js";
import { type CaptionSettings, translateEntries } from "./translated-captions.js";
import type { TranslatedMarker } from "./translation-plan.js";
import type { Translator } from "./translator.js";

/**
 * Writes the lines of a piece, whole or not at all.
 * @throws {LingolensError} `dataset-invalid`, and what translating throws
 */
export async function translateBlock(
  translator: Translator,
  block: DatasetBlock,
  out: string,
  settings: CaptionSettings,
): Promise<Omit<TranslatedMarker, "source">> {
  const lines: DatasetEntry[] = [];
  for await (const entry of block.entries()) lines.push(entry);
  const { entries, counts } = await translateEntries(translator, lines, settings);
  const written = lines.flatMap(({ image, fields }, i) =>
    entries[i] ? [`${JSON.stringify({ image, ...fields, ...entries[i] })}\n`] : [],
  );
  await writeFileAtomically(out, (file) => file.writeFile(written.join("")));
  return { entries: entries.length, leftOut: entries.filter((entry) => !entry).length, counts };
}

/** Puts files one behind the other into one, which is there whole or not at all. */
export async function joinFiles(parts: readonly string[], out: string): Promise<void> {
  await writeFileAtomically(out, async (file) => {
    for (const part of parts) for await (const chunk of createReadStream(part)) await file.write(chunk);
  });
}
