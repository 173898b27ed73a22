/** Translates a dataset's captions: shard by shard, or a list of captions piece by piece. */
import { existsSync } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { DatasetBlock } from "../data/dataset.js";
import type { Task } from "../data/download/task.js";
import { captionLines } from "../data/formats/caption-lines.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { globFiles, hasWildcard } from "../image/glob.js";
import { removeLeftovers } from "../weights/atomic-file.js";
import { withFileLock } from "../weights/hub/file-lock.js";
import { joinFiles, translateBlock } from "./translate-lines.js";
import { translateShard } from "./translate-shard.js";
import { addCounts, type CaptionSettings } from "./translated-captions.js";
import {
  agreeOnPlan,
  comparePlans,
  readMarker,
  sourceName,
  type TranslatedMarker,
  type TranslationPlan,
  writeMarker,
} from "./translation-plan.js";
import { Translator, type TranslatorOptions } from "./translator.js";

export interface TranslateDatasetOptions
  extends Omit<TranslatorOptions, "from" | "remembered">,
    Omit<CaptionSettings, "beams"> {
  /** A folder, a file or a pattern of shards; a `captions.jsonl` or its folder. */
  readonly input: string;
  /** Folder of the translated shards; folder or file of the translated list. */
  readonly out: string;
  readonly from: string;
  readonly beams: number;
  /** Which of several equal commands this is. */
  readonly task: Task;
  /** Called when a shard or piece is done: how many of those of this task, and entries so far. */
  readonly onProgress?: (progress: DatasetProgress) => void;
  /** What translates. Default: a translator of Marian models. */
  readonly translator?: Translator;
}

export interface DatasetProgress {
  readonly done: number;
  readonly total: number;
  readonly entries: number;
}

export interface TranslatedDataset extends Omit<TranslatedMarker, "source"> {
  /** Whether all tasks have done their part. */
  readonly complete: boolean;
}

/** A shard, or a piece of a list. */
interface Part {
  readonly out: string;
  /** What its marker must name. */
  readonly source: string;
  translate(translator: Translator, settings: CaptionSettings): Promise<Omit<TranslatedMarker, "source">>;
}

/** Nobody who still writes pauses for so long. */
const ABANDONED = 60 * 60 * 1000;

/**
 * Translates what is not translated yet. Files appear whole, and a marker beside each says that it is done; the same
 * command again does what is missing.
 * @returns counts of all that is done, by whichever task
 * @throws {LingolensError} `file-not-found`, `dataset-invalid`, `option-unsupported`; `config-invalid` where the output
 * was begun with other options; `cancelled`; what finding the models throws
 */
export async function translateDataset(options: TranslateDatasetOptions): Promise<TranslatedDataset> {
  const { task, signal, onProgress, from, to, beams, person, dtype = "fp32" } = options;
  if (to.includes(from))
    throw new LingolensError(
      "option-unsupported",
      `The captions are in "${from}" already; leave it out of --to.`,
    );
  const layout = await layoutOf(options);
  const translator = options.translator ?? (await Translator.create({ ...options, remembered: undefined }));
  try {
    const models: Record<string, TranslationPlan["models"][string]> = {};
    for (const lang of to) models[lang] = await translator.model(lang, signal);
    const plan: TranslationPlan = { from, to, models, dtype, beams, person };
    const { finished } = layout;
    if (finished) {
      comparePlans(options.out, finished.plan ?? plan, plan);
      return { ...finished, complete: true };
    }
    await agreeOnPlan(layout.folder, plan);
    await removeLeftovers(layout.folder, ABANDONED);
    const own = layout.parts.filter((_, i) => i % task.taskCount === task.taskIndex);
    let entries = 0;
    for (const [i, part] of own.entries()) {
      throwIfCancelled(signal);
      // Another process that was given the same part waits, and finds it done.
      const marker = await withFileLock(
        `${part.out}.lock`,
        async () => {
          const before = await readMarker(part.out, part.source);
          if (before && existsSync(part.out)) return before;
          const made = await part.translate(translator, { to, beams, person, signal });
          const written = { source: part.source, ...made };
          await writeMarker(part.out, written);
          return written;
        },
        { signal },
      );
      await rm(`${part.out}.lock`, { force: true });
      entries += marker.entries;
      onProgress?.({ done: i + 1, total: own.length, entries });
    }
    return await sumUp(layout, plan);
  } finally {
    if (!options.translator) await translator.close();
  }
}

async function sumUp(layout: Layout, plan: TranslationPlan): Promise<TranslatedDataset> {
  const markers = await Promise.all(layout.parts.map(({ out, source }) => readMarker(out, source)));
  const done = markers.filter((marker) => marker !== undefined);
  const sum = {
    entries: done.reduce((total, { entries }) => total + entries, 0),
    leftOut: done.reduce((total, { leftOut }) => total + leftOut, 0),
    counts: addCounts(done.map(({ counts }) => counts)),
  };
  const complete = done.length === markers.length;
  if (complete) await layout.finish(sum, plan);
  return { ...sum, complete };
}

interface Layout {
  /** Where parts and the plan are. */
  readonly folder: string;
  readonly parts: readonly Part[];
  /** What an earlier command has finished. */
  readonly finished?: TranslatedMarker;
  /** Called when all parts are there. */
  finish(sum: Omit<TranslatedMarker, "source">, plan: TranslationPlan): Promise<void>;
}

async function layoutOf({ input, out }: TranslateDatasetOptions): Promise<Layout> {
  const found = await stat(input).catch(() => undefined);
  if (found?.isDirectory() && existsSync(join(input, "captions.jsonl")))
    return linesLayout(join(input, "captions.jsonl"), out);
  if (found?.isFile() && input.endsWith(".jsonl")) return linesLayout(input, out);
  const shards = found?.isDirectory()
    ? (await readdir(input)).filter((name) => name.endsWith(".tar")).map((name) => join(input, name))
    : found?.isFile() && input.endsWith(".tar")
      ? [input]
      : !found && hasWildcard(input)
        ? (await globFiles(input)).filter((name) => name.endsWith(".tar"))
        : [];
  if (shards.length === 0)
    throw new LingolensError(
      "file-not-found",
      `${input}: expected shards (*.tar) or captions.jsonl, as a folder, a file or a pattern; found none.`,
    );
  const parts = shards.sort().map(async (path): Promise<Part> => {
    const target = join(out, basename(path));
    refuseSame(path, target);
    return {
      out: target,
      source: await sourceName(path),
      translate: (translator, settings) => translateShard(translator, path, target, settings),
    };
  });
  return { folder: out, parts: await Promise.all(parts), finish: async () => {} };
}

async function linesLayout(path: string, given: string): Promise<Layout> {
  const out = given.endsWith(".jsonl") ? given : join(given, "captions.jsonl");
  refuseSame(path, out);
  const source = await sourceName(path);
  const folder = `${out}.parts`;
  const finished = existsSync(out) ? await readMarker(out, source) : undefined;
  const parts: Part[] = [];
  for await (const block of captionLines(path)) parts.push(blockPart(block, parts.length, folder, source));
  return {
    folder,
    parts,
    ...(finished && { finished }),
    async finish(sum, plan) {
      await withFileLock(`${out}.lock`, async () => {
        // Whoever was last may have been two.
        if (!existsSync(folder)) return;
        await mkdir(dirname(resolve(out)), { recursive: true });
        await joinFiles(
          parts.map((part) => part.out),
          out,
        );
        await writeMarker(out, { source, ...sum, plan });
        await rm(folder, { recursive: true });
      });
      await rm(`${out}.lock`, { force: true });
    },
  };
}

function blockPart(block: DatasetBlock, index: number, folder: string, source: string): Part {
  const out = join(folder, `${`${index}`.padStart(5, "0")}.jsonl`);
  return {
    out,
    source,
    translate: (translator, settings) => translateBlock(translator, block, out, settings),
  };
}

function refuseSame(input: string, out: string): void {
  if (resolve(input) === resolve(out))
    throw new LingolensError(
      "option-unsupported",
      `${out}: expected another place than the captions that are translated. Name one with --out.`,
    );
}
