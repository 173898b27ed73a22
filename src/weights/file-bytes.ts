/** Whole stretches of bytes of files, with typed errors. */
import { type FileHandle, open } from "node:fs/promises";
import { LingolensError } from "../errors.js";
import { damaged } from "./safetensors-header.js";

/** Node and Linux both move less than 2 GiB in one call. */
const MAX_TRANSFER = 1 << 30;

/**
 * Opens a file for reading while `use` runs.
 * @throws {LingolensError} `file-not-found`
 */
export async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw new LingolensError(
      "file-not-found",
      `${path}: the file cannot be opened. ${(cause as Error).message}`,
      { cause },
    );
  }
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/**
 * Size in bytes of an open file.
 * @throws {LingolensError} `file-not-found` for a folder and whatever else is no file
 */
export async function fileSize(file: FileHandle, path: string): Promise<number> {
  const stat = await file.stat();
  if (stat.isFile()) return stat.size;
  throw new LingolensError("file-not-found", `${path}: expected a file, got something else.`);
}

/** @throws {LingolensError} `checkpoint-damaged` where the file ends before `into` is full */
export async function readFully(
  file: FileHandle,
  into: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  for (let done = 0; done < into.byteLength; ) {
    const length = Math.min(into.byteLength - done, MAX_TRANSFER);
    const { bytesRead } = await file.read(into, done, length, position + done);
    if (bytesRead === 0) {
      throw damaged(
        path,
        `expected ${into.byteLength} bytes at ${position}, got ${done}: the file has shrunk`,
      );
    }
    done += bytesRead;
  }
}

export async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, MAX_TRANSFER));
    done += bytesWritten;
  }
}

/** @throws {LingolensError} `out-of-memory` */
export function allocate(bytes: number, what: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    throw new LingolensError("out-of-memory", `No memory for the ${bytes} bytes of ${what}.`, { cause });
  }
}
