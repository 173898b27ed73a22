/** Brings one file from the hub into the cache: goes on where an earlier try stopped, and keeps only what hashes right. */
import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { access, open, rename, rm } from "node:fs/promises";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { connectionFailed, type HubConnection } from "./http.js";
import type { HubFile } from "./repository.js";

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told how many of the file's bytes are there. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Downloads `url` to the path of a blob. What has come so far lies beside it as `.incomplete`.
 * @throws {LingolensError} `checkpoint-damaged` where the content is not what the hub's list promised, `fetch-failed`,
 * `cancelled`
 */
export async function downloadBlob(
  connection: HubConnection,
  url: URL,
  file: HubFile,
  blob: string,
  options: DownloadOptions = {},
): Promise<void> {
  const incomplete = `${blob}.incomplete`;
  try {
    await fetchRest(connection, url, file, incomplete, options);
    await verify(file, incomplete, options.signal);
  } catch (error) {
    if ((error as LingolensError).code === "checkpoint-damaged") await rm(incomplete, { force: true });
    throw error;
  }
  try {
    await rename(incomplete, blob);
  } catch (error) {
    // Without a lock, another process may have finished first.
    if (!(await exists(blob))) throw error;
  }
}

async function fetchRest(
  { fetch }: HubConnection,
  url: URL,
  file: HubFile,
  incomplete: string,
  { signal, onBytes }: DownloadOptions,
): Promise<void> {
  // Written at positions, never appended: where two processes write at once, both write the same.
  const output = await open(incomplete, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    let { size: position } = await output.stat();
    if (position > file.size) position = 0;
    while (position < file.size) {
      const start = position;
      const range = start > 0 ? { range: `bytes=${start}-` } : undefined;
      const answer = await fetch(url, { headers: { "accept-encoding": "identity", ...range } });
      // A server that knows no ranges sends all of it again.
      if (answer.status !== 206) position = 0;
      const received = position;
      let broken: unknown;
      try {
        for await (const chunk of answer.body ?? []) {
          if (position + chunk.length > file.size)
            throw damaged(file, `more than its ${file.size} bytes came`);
          await output.write(chunk, 0, chunk.length, position);
          position += chunk.length;
          onBytes?.(position);
        }
      } catch (error) {
        throwIfCancelled(signal);
        if (error instanceof LingolensError || isFileError(error)) throw error;
        broken = error;
      }
      // A connection that broke after it had brought something is taken up where it broke.
      if (position <= Math.max(start, received))
        throw connectionFailed(url, broken ?? new Error("the answer was empty"));
    }
    await output.truncate(file.size);
    await output.sync();
  } finally {
    await output.close();
  }
}

async function verify(file: HubFile, path: string, signal: AbortSignal | undefined): Promise<void> {
  const hash = createHash(file.algorithm === "sha256" ? "sha256" : "sha1");
  if (file.algorithm === "git-sha1") hash.update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    throwIfCancelled(signal);
    hash.update(chunk);
  }
  const digest = hash.digest("hex");
  if (digest === file.digest) return;
  throw damaged(file, `expected the ${file.algorithm} digest ${file.digest}, got ${digest}`);
}

function damaged({ name }: HubFile, what: string): LingolensError {
  return new LingolensError(
    "checkpoint-damaged",
    `${name} is not the file that the hub lists: ${what}. It was not kept. Run the same again; if that does not help, ` +
      "something between here and the hub changes files, such as a proxy.",
  );
}

/** Errors of the disk, such as one that is full, are not the connection's. */
function isFileError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall === "write";
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
