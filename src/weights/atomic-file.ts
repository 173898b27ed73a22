/**
 * Files and folders that are there whole or not at all, even after a power cut: written aside under a name that starts
 * with `.tmp-`, brought to the disk, then renamed.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { LingolensError } from "../errors.js";

/** Writes or replaces a file. What `write` throws is passed on, and nothing is left behind. */
export async function writeFileAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const aside = temporaryName(path);
  try {
    const file = await open(aside, "wx");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncFolder(dirname(resolve(path)));
}

/**
 * Makes a folder with what `fill` writes into the one it is given. What `fill` throws is passed on, and nothing is
 * left behind.
 * @param commit is given the rename by which the folder comes to be, when all is written, and may throw instead.
 * @throws {LingolensError} `already-exists` where the path holds something already: nothing is ever overwritten.
 */
export async function writeFolderAtomically(
  path: string,
  fill: (folder: string) => Promise<void>,
  commit: (rename: () => Promise<void>) => Promise<void> = (rename) => rename(),
): Promise<void> {
  const parent = dirname(resolve(path));
  await mkdir(parent, { recursive: true });
  // What takes long to fill is not begun in vain.
  const there = await readdir(path).catch(({ code }) => (code === "ENOENT" ? [] : [code]));
  if (there.length > 0) throw alreadyExists(path);
  const aside = temporaryName(path);
  try {
    await mkdir(aside);
    await fill(aside);
    await syncTree(aside);
    // rename() replaces an empty folder and refuses any other.
    await commit(() => rename(aside, path));
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error;
    throw alreadyExists(path, error);
  }
  await syncFolder(parent);
}

function alreadyExists(path: string, cause?: unknown): LingolensError {
  return new LingolensError(
    "already-exists",
    `${path}: expected a new or empty folder, got one that is not. Name another, or remove it first.`,
    { cause },
  );
}

const TEMPORARY_NAME = /^\.tmp-.+-\d+-[0-9a-f]{8}$/;

/**
 * Removes from a folder what a killed process was writing there.
 * @param untouchedFor Milliseconds since it was last written to. Default 0: nobody else may be writing.
 */
export async function removeLeftovers(folder: string, untouchedFor = 0): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!TEMPORARY_NAME.test(name)) continue;
    const path = join(folder, name);
    const written = untouchedFor > 0 ? await stat(path).catch(() => undefined) : undefined;
    if (written && Date.now() - written.mtimeMs < untouchedFor) continue;
    await rm(path, { recursive: true, force: true });
  }
}

function temporaryName(path: string): string {
  const full = resolve(path);
  return join(dirname(full), `.tmp-${basename(full)}-${process.pid}-${randomBytes(4).toString("hex")}`);
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await sync(path, "r+");
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  // Windows has no way to bring a folder's entries to the disk.
  if (process.platform !== "win32") await sync(folder, "r");
}

async function sync(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
