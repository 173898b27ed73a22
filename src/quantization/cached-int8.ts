/** A model in int8, made once of one in float32 and kept in the user's cache as a model folder. */
import { createHash } from "node:crypto";
import { mkdir, realpath, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { userCacheFolder } from "../user-cache.js";
import { writeFolderAtomically } from "../weights/atomic-file.js";
import { fileIdentity } from "../weights/file-identity.js";
import { withFileLock } from "../weights/hub/file-lock.js";
import { type ModelFolder, openModelFolder } from "../weights/model-folder.js";
import { type QuantizeOptions, quantizeModel } from "./quantize-model.js";

export interface CachedInt8Options extends Omit<QuantizeOptions, "pictures"> {
  /** Told in one line that the weights are being rounded. Default: the line goes to stderr. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/** Changed when the rounding changes, so that older results are made anew. */
const VERSION = 1;

/**
 * The model with its weights in int8: itself where it has any already.
 * @throws {LingolensError} `cancelled`, and what reading the weights throws
 */
export async function int8Model(
  engine: Engine,
  folder: ModelFolder,
  { onNotice = toStderr, ...options }: CachedInt8Options = {},
): Promise<ModelFolder> {
  if (isInt8(folder)) return folder;
  const place = await cachePlace(folder);
  return withFileLock(
    `${place}.lock`,
    async () => {
      const cached = await openCached(place);
      if (cached) return cached;
      onNotice(
        `lingolens: rounding the weights of ${folder.path} to int8 into ${place}, once…\n` +
          "           (lingolens export --to int8 --pictures … measures the errors on pictures of yours)",
      );
      await mkdir(join(place, ".."), { recursive: true });
      await writeFolderAtomically(place, async (aside) => {
        await quantizeModel(engine, folder, aside, options);
      });
      return openModelFolder(place);
    },
    options.signal && { signal: options.signal },
  );
}

export function isInt8({ weights }: ModelFolder): boolean {
  return [...weights.values()].some(({ int8 }) => int8 !== undefined);
}

/** A folder for each model and state of its weights. */
async function cachePlace({ path, weights }: ModelFolder): Promise<string> {
  const real = await realpath(path);
  const hash = createHash("sha256").update(`version ${VERSION}\n${real}\n`);
  const files = new Set([...weights.values()].flatMap(({ location }) => (location ? [location.file] : [])));
  for (const file of files) hash.update(await fileIdentity(file));
  return join(userCacheFolder(), "int8", `${basename(real)}-${hash.digest("hex").slice(0, 16)}`);
}

/** What is in the cache, if it is whole; what is not is removed. */
async function openCached(place: string): Promise<ModelFolder | undefined> {
  try {
    return await openModelFolder(place);
  } catch (error) {
    if (!(error instanceof LingolensError)) throw error;
    await rm(place, { recursive: true, force: true });
    return undefined;
  }
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
