/** What the hub says of a model: its commit, its licence and its files with sizes and digests. */
import { z } from "zod";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { isFileName } from "../shards.js";
import type { HubConnection } from "./http.js";
import { type HubReference, isCommit } from "./reference.js";

export interface HubFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** What the content must hash to; also the blob's name in the cache. */
  readonly digest: string;
  /** SHA-256 of a large file's content (Git LFS), or SHA-1 of a small one as Git's object. */
  readonly algorithm: "sha256" | "git-sha1";
}

export interface HubRepository {
  readonly commit: string;
  /** As its model card states it. */
  readonly licence?: string;
  /** The files at its top, by name. */
  readonly files: ReadonlyMap<string, HubFile>;
}

const infoSchema = z.object({
  sha: z.string().refine(isCommit),
  cardData: z
    .object({ license: z.string().optional().catch(undefined) })
    .optional()
    .catch(undefined),
});

const entrySchema = z.object({
  type: z.literal("file"),
  path: z.string().refine(isFileName),
  size: z.int().min(0),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).optional(),
});

/**
 * Asks the hub.
 * @throws {LingolensError} as `HubConnection.fetch`, and `fetch-failed` for an answer that is not the hub's
 */
export async function readRepository(
  { endpoint, fetch }: HubConnection,
  { name, revision }: HubReference,
  signal?: AbortSignal,
): Promise<HubRepository> {
  // Only here, since most runs find their model in the cache or in a folder.
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const shared = { hubUrl: endpoint, fetch };
  try {
    const info = await modelInfo({ ...shared, name, revision, additionalFields: ["sha", "cardData"] });
    const { sha: commit, cardData } = infoSchema.parse(info);
    const files = new Map<string, HubFile>();
    for await (const entry of listFiles({ ...shared, repo: name, revision: commit })) {
      const { success, data } = entrySchema.safeParse(entry);
      // Folders, and names that lead elsewhere.
      if (!success) continue;
      const { path, size, oid, lfs } = data;
      files.set(path, {
        name: path,
        ...(lfs
          ? { size: lfs.size, digest: lfs.oid, algorithm: "sha256" }
          : { size, digest: oid, algorithm: "git-sha1" }),
      });
    }
    return { commit, files, ...(cardData?.license && { licence: cardData.license }) };
  } catch (cause) {
    throwIfCancelled(signal);
    if (cause instanceof LingolensError) throw cause;
    throw new LingolensError(
      "fetch-failed",
      `${endpoint} did not answer as a Hugging Face hub does when asked about ${name}. Check HF_ENDPOINT, and that no ` +
        "proxy or login page stands between.",
      { cause },
    );
  }
}
