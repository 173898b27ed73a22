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

/** A folder with a model of whatever kind. */
type WeightsFolder = Pick<ModelFolder, "path" | "weights">;

/** How a kind of model is read and rounded. */
interface ModelKind<Folder> {
  readonly open: (path: string) => Promise<Folder>;
  /** Fills a folder with the model in int8. */
  readonly quantize: (out: string, options: Omit<CachedInt8Options, "onNotice">) => Promise<unknown>;
  /** A second line of the notice. Default: none. */
  readonly advice?: string;
}

/**
 * The model with its weights in int8: itself where it has any already.
 * @throws {LingolensError} `cancelled`, and what reading the weights throws
 */
export function int8Model(
  engine: Engine,
  folder: ModelFolder,
  options: CachedInt8Options = {},
): Promise<ModelFolder> {
  const kind: ModelKind<ModelFolder> = {
    open: openModelFolder,
    quantize: (out, rest) => quantizeModel(engine, folder, out, rest),
    advice: "(lingolens export --to int8 --pictures … measures the errors on pictures of yours)",
  };
  return cachedInt8(folder, kind, options);
}

/** `int8Model` of any kind of model. */
export async function cachedInt8<Folder extends WeightsFolder>(
  folder: Folder,
  { open, quantize, advice }: ModelKind<Folder>,
  { onNotice = toStderr, ...options }: CachedInt8Options = {},
): Promise<Folder> {
  if (isInt8(folder)) return folder;
  const place = await cachePlace(folder);
  return withFileLock(
    `${place}.lock`,
    async () => {
      const cached = await openCached(place, open);
      if (cached) return cached;
      onNotice(
        `lingolens: rounding the weights of ${folder.path} to int8 into ${place}, once…` +
          (advice ? `\n           ${advice}` : ""),
      );
      await mkdir(join(place, ".."), { recursive: true });
      await writeFolderAtomically(place, async (aside) => {
        await quantize(aside, options);
      });
      return open(place);
    },
    options.signal && { signal: options.signal },
  );
}

export function isInt8({ weights }: WeightsFolder): boolean {
  return [...weights.values()].some(({ int8 }) => int8 !== undefined);
}

/** A folder for each model and state of its weights. */
async function cachePlace({ path, weights }: WeightsFolder): Promise<string> {
  const real = await realpath(path);
  const hash = createHash("sha256").update(`version ${VERSION}\n${real}\n`);
  const files = new Set([...weights.values()].flatMap(({ location }) => (location ? [location.file] : [])));
  for (const file of files) hash.update(await fileIdentity(file));
  return join(userCacheFolder(), "int8", `${basename(real)}-${hash.digest("hex").slice(0, 16)}`);
}

/** What is in the cache, if it is whole; what is not is removed. */
async function openCached<Folder>(
  place: string,
  open: (path: string) => Promise<Folder>,
): Promise<Folder | undefined> {
  try {
    return await open(place);
  } catch (error) {
    if (!(error instanceof LingolensError)) throw error;
    await rm(place, { recursive: true, force: true });
    return undefined;
  }
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
