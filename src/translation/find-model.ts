/** Where the model for a pair of languages is, and which it is. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { LingolensError } from "../errors.js";
import { fileIdentity } from "../weights/file-identity.js";
import { parseReference } from "../weights/hub/reference.js";
import { type HubOptions, hubSnapshot } from "../weights/hub/snapshot.js";
import { type MarianFolder, openMarianFolder } from "../weights/marian-folder.js";

/** Helsinki-NLP's, on the Hugging Face hub. */
export const DEFAULT_MODELS = "Helsinki-NLP/opus-mt-{from}-{to}";

/** A model as captions' provenance names it. */
export interface ModelIdentity {
  /** Its name on the hub, or that of its folder. */
  readonly model: string;
  /** Its commit on the hub, or of a folder a digest of its weights. */
  readonly revision: string;
}

/**
 * Finds a model, and downloads it first if it is of the hub and not in the cache.
 * @param where a folder with models (`opus-mt-en-de`) in it, a model's own folder, or `owner/name[@revision]` of the
 * hub; in all of them `{from}` and `{to}` stand for the languages
 * @throws {LingolensError} `file-not-found`, `fetch-failed`, `option-unsupported`, `cancelled`, and what opening it throws
 */
export async function findModel(
  where: string,
  languages: { readonly from: string; readonly to: string },
  options: HubOptions,
): Promise<ModelIdentity & { readonly folder: MarianFolder }> {
  const name = where.replaceAll("{from}", languages.from).replaceAll("{to}", languages.to);
  const inside = join(name, `opus-mt-${languages.from}-${languages.to}`);
  for (const path of [inside, name]) {
    if (!(await isFolder(path))) continue;
    if (path === name && !(await isFile(join(path, "config.json")))) break;
    const folder = await openMarianFolder(path, options);
    return { folder, model: basename(path), revision: await digestOf(folder) };
  }
  const reference = /^[./~\\]/.test(name) ? undefined : parseReference(name);
  if (!reference || (await isFolder(name)))
    throw new LingolensError(
      "file-not-found",
      `${where}: expected a Marian model for ${languages.from} to ${languages.to}: the folder ${inside}, a model's own ` +
        "folder, or owner/name[@revision] on the Hugging Face hub; found none of them.",
    );
  const snapshot = await hubSnapshot(reference, ["config", "marian-tokenizer", "weights"], options);
  return {
    folder: await openMarianFolder(snapshot.folder, options),
    model: reference.name,
    revision: snapshot.commit,
  };
}

/** Of the files that hold the weights; a folder whose weights were converted has the same as the result. */
async function digestOf({ path, weights }: MarianFolder): Promise<string> {
  const located = [...weights.values()].flatMap(({ location, int8 }) => location ?? int8?.steps ?? []);
  const files = new Set(located.map(({ file }) => file));
  const hash = createHash("sha256");
  for (const file of [...files].sort()) hash.update(await fileIdentity(file));
  if (files.size === 0) hash.update(await fileIdentity(join(path, "config.json")));
  return hash.digest("hex").slice(0, 40);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
