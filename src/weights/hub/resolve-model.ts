/** From what a person calls a model to a folder that holds it. */
import { mkdir, realpath, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../../errors.js";
import { userCacheFolder } from "../../user-cache.js";
import { linkFile } from "./cache.js";
import { exists } from "./download.js";
import type { ModelPart } from "./model-files.js";
import { type HubReference, ORIGINAL, parseReference } from "./reference.js";
import { cannotWrite, type HubOptions, hubSnapshot, isDiskError, type Snapshot } from "./snapshot.js";

/** Models that are published without a tokenizer, and where theirs is, as the model card says. */
const TOKENIZERS: ReadonlyMap<string, HubReference> = new Map([
  [ORIGINAL, { name: "facebook/mbart-large-50", revision: "main" }],
]);

export interface ResolveOptions extends HubOptions {
  /** Whether the weights are needed too. Default true. */
  readonly weights?: boolean;
}

/**
 * The folder of a model: an existing folder of that name; else the model `owner/name[@revision]` of the Hugging Face
 * hub, or `original`, from the cache or downloaded into it.
 * @throws {LingolensError} `file-not-found`, `fetch-failed`, `checkpoint-damaged`, `cancelled`, and
 * `option-unsupported` for a malformed name
 */
export async function resolveModel(
  name: string,
  { weights = true, ...options }: ResolveOptions = {},
): Promise<string> {
  const found = await stat(name).catch(() => undefined);
  if (found?.isDirectory()) return name;
  const reference = parseReference(name);
  if (!reference) throw unknownName(name, found !== undefined);

  const parts: ModelPart[] = weights ? ["config", "weights"] : ["config"];
  const tokenizer = TOKENIZERS.get(reference.name);
  if (!tokenizer) return (await hubSnapshot(reference, [...parts, "tokenizer"], options)).folder;
  // The small one first: where it fails, nothing large was fetched for nothing.
  const small = await hubSnapshot(tokenizer, ["tokenizer"], options);
  const large = await hubSnapshot(reference, parts, options);
  const folder = joinedFolder(reference.name, [large, small]);
  try {
    await joinSnapshots(folder, [large, small]);
  } catch (error) {
    throw isDiskError(error) ? cannotWrite(folder, error as Error) : error;
  }
  return folder;
}

function unknownName(name: string, isFile: boolean): LingolensError {
  const expected =
    "expected a model's folder, owner/name[@revision] of a model on the Hugging Face hub, or original";
  if (isFile) return new LingolensError("file-not-found", `${name} is a file; ${expected}.`);
  const looksLikePath = /^[./~\\]|\\|^[^@]*\/[^@]*\/|^[^/]*$/.test(name);
  return looksLikePath
    ? new LingolensError("file-not-found", `There is no folder ${name}; ${expected}.`)
    : new LingolensError("option-unsupported", `The model's name "${name}" is malformed; ${expected}.`);
}

function joinedFolder(name: string, snapshots: readonly Snapshot[]): string {
  const commits = snapshots.map(({ commit }) => commit.slice(0, 12)).join("+");
  return join(userCacheFolder(), "models", name.replace("/", "--"), commits);
}

/** Fills a folder with the files of several snapshots, which stay as their repositories have them. */
async function joinSnapshots(folder: string, snapshots: readonly Snapshot[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { folder: from, files } of snapshots) {
    for (const file of files) {
      const path = join(folder, file);
      if (await exists(path)) continue;
      // What is left of one whose cache was moved or emptied.
      await rm(path, { force: true });
      const source = await realpath(join(from, file));
      await linkFile(source, source, path);
    }
  }
}
