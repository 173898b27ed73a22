/** `lingolens data pack`: shards to training and validation, and the original's lists of both. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { globFiles, hasWildcard } from "../../image/glob.js";
import { removeLeftovers, writeFileAtomically } from "../../weights/atomic-file.js";
import { withFileLock } from "../../weights/hub/file-lock.js";
import { shardName } from "../download/shard-files.js";
import type { Task } from "../download/task.js";
import { openFile, readBytes } from "../formats/lines.js";
import { readSample, samplesOf } from "../formats/shards.js";
import { addFile, writeTarFile } from "../formats/write-tar.js";
import { agreeOnPlan, type PackPlan, readJson } from "./pack-plan.js";
import {
  inLanguages,
  PACKED_SPLITS,
  type PackedCounts,
  type PackedShard,
  packedFiles,
  packShard,
} from "./pack-shard.js";
import { positionOf, Threshold, type ValidationSize } from "./split.js";
import { tsvRow } from "./tsv-row.js";

export interface PackOptions {
  /** A folder, a file or a pattern of shards. */
  readonly input: string;
  readonly out: string;
  readonly validation: ValidationSize;
  /** Languages whose captions are kept, of pictures that have all of them. Default: all that there are. */
  readonly languages?: readonly string[] | undefined;
  /** Which of several equal commands this is. */
  readonly task: Task;
  readonly signal?: AbortSignal;
  /** Called when a shard is done: how many of those of this task. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface Packed extends PackedShard {
  /** Whether all tasks have done their part, and the validation shards and lists are there. */
  readonly complete: boolean;
}

interface Marker extends PackedShard {
  /** Name, size and time of change of the shard that was divided. */
  readonly source: string;
}

interface Source {
  readonly path: string;
  readonly shard: string;
  readonly source: string;
}

/** Samples of a shard of validation. */
const VALIDATION_SHARD = 1000;
/** Nobody who still writes pauses for so long. */
const ABANDONED = 60 * 60 * 1000;

/**
 * Divides the shards that are not divided yet. Whoever divides the last one joins what belongs together. Whatever ends
 * it, running it again makes the rest.
 * @returns counts of all that is done, by whichever task
 * @throws {LingolensError} `file-not-found`, `dataset-invalid`; `config-invalid` where the folder was begun otherwise;
 * `cancelled`
 */
export async function packDataset(options: PackOptions): Promise<Packed> {
  const { out, task, signal, validation, languages = null, onProgress } = options;
  const sources = await sourcesOf(options);
  await mkdir(join(out, "parts"), { recursive: true });
  const plan = await agreeOnPlan(
    out,
    { validation, languages },
    () => findThreshold(validation, languages, sources, signal),
    signal,
  );
  for (const folder of ["parts", "train", "validation"])
    if (existsSync(join(out, folder))) await removeLeftovers(join(out, folder), ABANDONED);
  const own = sources.filter((_, i) => i % task.taskCount === task.taskIndex);
  for (const [i, source] of own.entries()) {
    throwIfCancelled(signal);
    await packOne(source, out, plan, signal);
    onProgress?.({ done: i + 1, total: own.length });
  }
  const markers = await Promise.all(sources.map((source) => readMarker(out, source)));
  const done = markers.filter((marker) => marker !== undefined);
  const complete = done.length === sources.length;
  if (complete) await joinParts(out, sources, done, signal);
  return { ...sumOf(done), complete };
}

async function packOne(
  source: Source,
  out: string,
  plan: PackPlan,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { marker } = packedFiles(out, source.shard);
  // Another process that was given the same shard waits, and finds it done.
  await withFileLock(
    `${marker}.lock`,
    async () => {
      if (await readMarker(out, source)) return;
      const made = await packShard(source.path, out, source.shard, plan);
      const written: Marker = { source: source.source, ...made };
      await writeFileAtomically(marker, (file) => file.writeFile(JSON.stringify(written)));
    },
    { signal },
  );
  await rm(`${marker}.lock`, { force: true });
}

/** Undefined while the shard is not divided, or has changed since. */
async function readMarker(out: string, { shard, source }: Source): Promise<Marker | undefined> {
  const files = packedFiles(out, shard);
  const marker = await readJson<Marker>(files.marker);
  return marker?.source === source && existsSync(files.shard.train) ? marker : undefined;
}

async function sourcesOf({ input, out }: PackOptions): Promise<Source[]> {
  const found = await stat(input).catch(() => undefined);
  const paths = found?.isDirectory()
    ? (await readdir(input)).filter((name) => name.endsWith(".tar")).map((name) => join(input, name))
    : found?.isFile()
      ? [input]
      : hasWildcard(input)
        ? await globFiles(input)
        : [];
  const shards = paths.filter((path) => path.endsWith(".tar")).sort();
  if (shards.length === 0)
    throw new LingolensError(
      "file-not-found",
      `${input}: expected shards (*.tar), as a folder, a file or a pattern; found none. data download and data ` +
        "import make them.",
    );
  const names = new Set<string>();
  return Promise.all(
    shards.map(async (path) => {
      const shard = basename(path, ".tar");
      if (names.has(shard) || resolve(path) === resolve(packedFiles(out, shard).shard.train))
        throw new LingolensError(
          "option-unsupported",
          `${path}: expected shards of different names that are not in ${join(out, "train")}, where they are ` +
            "written. Rename them, or name another --out.",
        );
      names.add(shard);
      const { size, mtimeMs } = await stat(path);
      return { path, shard, source: `${basename(path)} ${size} ${mtimeMs}` };
    }),
  );
}

async function findThreshold(
  validation: ValidationSize,
  languages: PackPlan["languages"],
  sources: readonly Source[],
  signal: AbortSignal | undefined,
): Promise<number> {
  if ("share" in validation) return validation.share;
  const threshold = new Threshold(validation.pictures);
  for (const { path } of sources) {
    throwIfCancelled(signal);
    for await (const sample of samplesOf(path)) {
      const entry = inLanguages(readSample(path, sample, "en"), languages);
      if (entry) threshold.add(positionOf(entry));
    }
  }
  return threshold.value;
}

/** Joins the validation samples to shards, and the parts of the lists; does nothing where that has been done. */
async function joinParts(
  out: string,
  sources: readonly Source[],
  markers: readonly Marker[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = join(out, "pack.done.json");
  const digest = createHash("sha256").update(JSON.stringify(markers)).digest("hex");
  await withFileLock(
    join(out, ".pack.lock"),
    async () => {
      if ((await readJson<{ digest: string }>(path))?.digest === digest) return;
      await rm(path, { force: true });
      const shards = await joinValidation(out, sources, signal);
      for (const split of PACKED_SPLITS)
        await writeFileAtomically(join(out, `${split}.tsv`), async (file) => {
          await file.writeFile(tsvRow(["image_file", "caption", "url", "lang_id"]));
          for (const { shard } of sources)
            await file.writeFile(await readFile(packedFiles(out, shard).list[split]));
        });
      const done = { digest, ...sumOf(markers), validationShards: shards };
      await writeFileAtomically(path, (file) => file.writeFile(JSON.stringify(done)));
    },
    { signal },
  );
}

/** @returns how many shards there are then */
async function joinValidation(
  out: string,
  sources: readonly Source[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const folder = join(out, "validation");
  await mkdir(folder, { recursive: true });
  const samples = validationSamples(out, sources);
  let shards = 0;
  for (let next = await samples.next(); !next.done; shards++) {
    throwIfCancelled(signal);
    await writeTarFile(join(folder, `${shardName(shards)}.tar`), async (archive) => {
      for (let i = 0; i < VALIDATION_SHARD && !next.done; i++) {
        for (const [name, bytes] of next.value) await addFile(archive, name, bytes);
        next = await samples.next();
      }
    });
  }
  // Of what was there before, with more pictures.
  for (const name of await readdir(folder))
    if (/^\d{5,}\.tar$/.test(name) && Number.parseInt(name, 10) >= shards) await rm(join(folder, name));
  return shards;
}

async function* validationSamples(
  out: string,
  sources: readonly Source[],
): AsyncGenerator<(readonly [name: string, bytes: Uint8Array])[], void, undefined> {
  for (const { shard } of sources) {
    const path = packedFiles(out, shard).shard.validation;
    const file = await openFile(path);
    try {
      for await (const { files } of samplesOf(path)) {
        const members: (readonly [string, Uint8Array])[] = [];
        for (const { name, start, length } of files.values())
          members.push([name, await readBytes(file, start, length)]);
        yield members;
      }
    } finally {
      await file.close();
    }
  }
}

function sumOf(parts: readonly PackedShard[]): PackedShard {
  const sum = (of: (part: PackedShard) => number) => parts.reduce((total, part) => total + of(part), 0);
  const counts = (split: (typeof PACKED_SPLITS)[number]): PackedCounts => ({
    pictures: sum((part) => part[split].pictures),
    captions: sum((part) => part[split].captions),
  });
  return {
    train: counts("train"),
    validation: counts("validation"),
    leftOut: sum(({ leftOut }) => leftOut),
  };
}
