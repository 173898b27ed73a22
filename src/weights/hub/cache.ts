/**
 * The cache of models on disk, shared with Python's huggingface_hub: `models--owner--name/` with `blobs/` (contents by
 * their digests), `snapshots/<commit>/` (links to them by their names) and `refs/` (the commits of branches).
 */
import { copyFile, link, mkdir, readFile, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { writeFileAtomically } from "../atomic-file.js";
import { type HubReference, isCommit } from "./reference.js";

/** Where huggingface_hub keeps its cache, by its own rules. */
export function hubCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = environment;
  const cache =
    HF_HUB_CACHE ||
    HUGGINGFACE_HUB_CACHE ||
    join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"), "hub");
  return cache.replace(/^~(?=$|[/\\])/, () => homedir());
}

/** Name of a model's folder, in the cache and in that of its locks. */
function folderName(name: string): string {
  return `models--${name.replace("/", "--")}`;
}

/** One model's part of the cache. */
export class CachedRepository {
  readonly folder: string;
  readonly #locks: string;

  constructor(
    readonly name: string,
    cache = hubCacheFolder(),
  ) {
    this.folder = join(cache, folderName(name));
    this.#locks = join(cache, ".locks", folderName(name));
  }

  blob(digest: string): string {
    return join(this.folder, "blobs", digest);
  }

  /** The file that whoever writes a blob locks. */
  lock(digest: string): string {
    return join(this.#locks, `${digest}.lock`);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit of a revision as far as the cache knows. */
  async commit({ revision }: HubReference): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const commit = await readFile(join(this.folder, "refs", revision), "utf8").catch(() => "");
    return isCommit(commit.trim()) ? commit.trim() : undefined;
  }

  /** Remembers which commit a branch or tag is at. */
  async recordCommit(reference: HubReference, commit: string): Promise<void> {
    if ((await this.commit(reference)) === commit) return;
    const path = join(this.folder, "refs", reference.revision);
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomically(path, (file) => file.writeFile(commit));
  }

  /** Gives a blob its name in a snapshot. */
  async link(digest: string, commit: string, name: string): Promise<void> {
    const path = join(this.snapshot(commit), name);
    await mkdir(dirname(path), { recursive: true });
    const blob = this.blob(digest);
    await linkFile(blob, relative(dirname(path), blob), path);
  }
}

/**
 * Links `path` to a file, as `target` spells it: symbolically, or where the system does not allow that, hard, or by a
 * copy. What is at `path` already is left.
 */
export async function linkFile(file: string, target: string, path: string): Promise<void> {
  const attempts = [() => symlink(target, path), () => link(file, path), () => copyFile(file, path)];
  for (const [i, attempt] of attempts.entries()) {
    try {
      return await attempt();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
      if (i === attempts.length - 1) throw error;
    }
  }
}
