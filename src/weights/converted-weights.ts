/**
 * Weights in float32 and with our names, made once of a checkpoint that has them otherwise, and kept in the user's
 * cache: a folder for each model's folder, with `model.safetensors` and `source.json`, which says what it was made of.
 */
import { createHash } from "node:crypto";
import { mkdir, realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LingolensError } from "../errors.js";
import { userCacheFolder } from "../user-cache.js";
import { removeLeftovers, writeFileAtomically } from "./atomic-file.js";
import { fileIdentity } from "./file-identity.js";
import { withFileLock } from "./hub/file-lock.js";
import { readJsonObject } from "./json-file.js";
import { float32Sources, type ParameterSource, type WritingOptions } from "./parameter-source.js";
import { openSafetensors, type SafetensorsFile, writeSafetensors } from "./safetensors.js";

export interface ConversionOptions extends WritingOptions {
  /** Told in one line that a conversion begins. Default: the line goes to stderr. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/** Changed when the conversion changes, so that older results are made anew. */
const VERSION = 1;
/** Nobody who still writes pauses for so long. */
const ABANDONED = 60 * 60 * 1000;

/**
 * The parameters in float32, from the cache or converted into it. Another process may do the same: one of them waits,
 * or, where the system has no locks, the one that is done last replaces the other's equal file.
 *
 * @param folder The model's folder.
 * @param files Those that the parameters are read from.
 * @throws {LingolensError} `cache-unwritable`, `cancelled`, and what reading the parameters throws
 */
export async function convertedWeights(
  folder: string,
  files: readonly string[],
  parameters: ReadonlyMap<string, ParameterSource>,
  options: ConversionOptions = {},
): Promise<SafetensorsFile> {
  const place = await cachePlace(folder);
  const source = await sourceIdentity(files);
  const cached = await openCached(place, source, parameters);
  if (cached) return cached;
  try {
    await mkdir(place, { recursive: true });
    return await withFileLock(
      join(place, "lock"),
      async () => {
        const meanwhile = await openCached(place, source, parameters);
        if (meanwhile) return meanwhile;
        await removeLeftovers(place, ABANDONED);
        notify(files, place, options);
        const path = join(place, "model.safetensors");
        await writeSafetensors(path, float32Sources(parameters, options));
        const json = { folder, source, converted: await fileIdentity(path) };
        await writeFileAtomically(join(place, "source.json"), (file) =>
          writeFile(file, `${JSON.stringify(json, null, 2)}\n`),
        );
        return openSafetensors(path);
      },
      options,
    );
  } catch (error) {
    throw unwritable(error, place);
  }
}

async function cachePlace(folder: string): Promise<string> {
  const path = await realpath(folder);
  const digest = createHash("sha256").update(path).digest("hex").slice(0, 16);
  return join(userCacheFolder(), "converted", `${basename(path)}-${digest}`);
}

/** Changes whenever one of the files does. */
async function sourceIdentity(files: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(`version ${VERSION}\n`);
  for (const file of files) {
    const { mtimeMs } = await stat(file);
    hash.update(`${basename(file)} ${mtimeMs} ${await fileIdentity(file)}\n`);
  }
  return hash.digest("hex");
}

/** What is in the cache, if it is what was put there, was made of the same source and has these parameters. */
async function openCached(
  place: string,
  source: string,
  parameters: ReadonlyMap<string, ParameterSource>,
): Promise<SafetensorsFile | undefined> {
  try {
    const record = await readJsonObject(join(place, "source.json"), "checkpoint-damaged");
    if (record?.source !== source) return undefined;
    const path = join(place, "model.safetensors");
    if ((await fileIdentity(path)) !== record.converted) return undefined;
    const file = await openSafetensors(path);
    const found = [...file.header.tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`);
    const wanted = [...parameters].map(([name, { shape }]) => `${name} F32 ${shape}`);
    return found.sort().join("\n") === wanted.sort().join("\n") ? file : undefined;
  } catch (error) {
    // Whatever is wrong with it, it is made anew.
    if (error instanceof LingolensError) return undefined;
    throw error;
  }
}

function notify(files: readonly string[], place: string, { onNotice = toStderr }: ConversionOptions): void {
  const [first] = files;
  const name = files.length > 1 ? `${files.length} files of ${dirname(first!)}` : first;
  onNotice(`lingolens: converting ${name} to float32 safetensors in ${place}, once…`);
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}

const UNWRITABLE = ["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOTDIR", "EEXIST"];

function unwritable(error: unknown, place: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof LingolensError || !UNWRITABLE.includes(code ?? "")) return error;
  return new LingolensError(
    "cache-unwritable",
    `${place}: the converted weights cannot be written. ${message} Make room there or let yourself write, or set ` +
      "XDG_CACHE_HOME to another folder.",
    { cause: error },
  );
}
