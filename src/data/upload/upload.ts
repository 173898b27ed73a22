/** `lingolens data upload`: a folder of shards to object storage, restartable and shared like every stage. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { LingolensError } from "../../errors.js";
import type { Task } from "../download/task.js";
import { hashText } from "../hash-text.js";
import { inOrder } from "../in-order.js";
import type { ObjectStore, StoredFile } from "./object-store.js";

export interface UploadOptions {
  /** Folder of shards, with folders in it or without. */
  readonly input: string;
  readonly store: Pick<ObjectStore, "put" | "digestOf">;
  /** What keys begin with: "" or such as "cc12m/". */
  readonly prefix: string;
  /** Which of several equal commands this is. */
  readonly task: Task;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface Uploaded {
  readonly files: number;
  /** Of them those that were not there yet. */
  readonly sent: number;
  /** That were sent. */
  readonly bytes: number;
}

/** Files that are sent at a time. */
const AT_A_TIME = 8;
/** What S3 takes in one piece. */
const LARGEST_OBJECT = 5 * 2 ** 30;

/**
 * Sends the files that the store does not have, a shard's marker after the shard.
 * @returns what became of this task's files
 * @throws {LingolensError} `file-not-found`, `output-unwritable`, `cancelled`
 */
export async function uploadFolder(options: UploadOptions): Promise<Uploaded> {
  const { input, store, prefix, task, signal, onProgress } = options;
  const all = await filesIn(input);
  const own = all.filter((name) => hashText(groupOf(name)) % task.taskCount === task.taskIndex);
  let [files, sent, bytes] = [0, 0, 0];
  for (const names of [own.filter((name) => !isMarker(name)), own.filter(isMarker)]) {
    const results = inOrder(iterate(names), AT_A_TIME, async (name) => {
      const file = await describe(join(input, name));
      const key = prefix + name.split(sep).join("/");
      if ((await store.digestOf(key, signal)) === file.sha256) return 0;
      await store.put(key, file, signal);
      return file.bytes;
    });
    for await (const added of results) {
      files += 1;
      bytes += added;
      if (added > 0) sent += 1;
      onProgress?.({ done: files, total: own.length });
    }
  }
  return { files, sent, bytes };
}

async function* iterate<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

/** What belongs together: the name up to the first dot or `_stats`, so that one task has a shard and its marker. */
function groupOf(name: string): string {
  return name.replace(/(?:_stats)?\.[^/\\]*$/, "");
}

function isMarker(name: string): boolean {
  return /\.(?:done|translated)\.json$/.test(name);
}

/** Finished files, in order; not what is being written, nor locks, nor what packing keeps for itself. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: Error) => {
    throw new LingolensError("file-not-found", `${folder} cannot be read: ${cause.message}.`, { cause });
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((name) => !name.split(sep).some((part) => /^\.|\.lock$|\.next$|^parts$|\.parts$/.test(part)))
    .sort();
}

async function describe(path: string): Promise<StoredFile> {
  const { size } = await stat(path);
  if (size > LARGEST_OBJECT)
    throw new LingolensError(
      "output-unwritable",
      `${path} has ${size} bytes; a store takes ${LARGEST_OBJECT} in one piece. Make smaller shards.`,
    );
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { path, bytes, sha256: hash.digest("hex") };
}
