/** What a run was asked for, and what tells it from others. */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  type CaptionOptions,
  type ResolvedCaptionOptions,
  resolveCaptionOptions,
} from "../captioner/options.js";
import { LingolensError } from "../errors.js";
import { fileIdentity } from "../weights/file-identity.js";
import { ORIGINAL_SEARCH } from "./original-results.js";

/** How captions are made when they are to be evaluated: one a language. */
export type SearchOptions = Omit<CaptionOptions, "lang" | "numCaptions" | "attention" | "logProbs">;

/** Like the original, these may be chosen: they say how the machine works, not how the model searches. */
const FREE_LIKE_ORIGINAL: readonly string[] = ["batchSize", "ignoreExif", "allowPrivate"];

/**
 * @param languages mBART codes
 * @throws {LingolensError} `option-unsupported`, also for a search that is not the original's where that is asked for
 */
export function evaluationSearch(
  search: SearchOptions,
  languages: readonly string[],
  like?: "original",
): ResolvedCaptionOptions {
  const options = { batchSize: 8, ...search, lang: [...languages] };
  if (!like) return resolveCaptionOptions(options);
  const fixed: Readonly<Record<string, unknown>> = ORIGINAL_SEARCH;
  const other = Object.entries(search).find(
    ([name, value]) => !FREE_LIKE_ORIGINAL.includes(name) && value !== undefined && value !== fixed[name],
  );
  if (other)
    throw new LingolensError(
      "option-unsupported",
      `Like the original, captions are searched with beams ${ORIGINAL_SEARCH.beams} and maxLength ` +
        `${ORIGINAL_SEARCH.maxLength} alone; got ${other[0]} ${JSON.stringify(other[1])}. Leave one of the two out.`,
    );
  return resolveCaptionOptions({ ...options, ...ORIGINAL_SEARCH });
}

/** What tells a model folder's content, and how it is computed with, from others. */
export async function modelIdentity(folder: string, dtype = "as stored"): Promise<string> {
  const hash = createHash("sha256").update(dtype);
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    if ((await stat(path)).isFile()) hash.update(`\n${name} ${await fileIdentity(path)}`);
  }
  return hash.digest("hex");
}
