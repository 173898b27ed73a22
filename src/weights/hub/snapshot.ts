/** The files of a model on the hub, as a folder on disk: from the cache, or fetched into it. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LingolensError, throwIfCancelled } from "../../errors.js";
import { CachedRepository } from "./cache.js";
import { downloadBlob, exists } from "./download.js";
import { withFileLock } from "./file-lock.js";
import { connectToHub, type HubConnection } from "./http.js";
import { type ModelPart, modelFiles } from "./model-files.js";
import { type HubReference, isCommit } from "./reference.js";
import { type HubFile, type HubRepository, readRepository } from "./repository.js";

export interface HubOptions {
  /** Use what is in the cache, and no network. Default: as HF_HUB_OFFLINE says. */
  readonly offline?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as a download proceeds, and where weights are converted, with bytes. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  /** Told what a person should know, such as the size of a download. Default: the line goes to stderr. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

export interface Snapshot {
  readonly folder: string;
  readonly commit: string;
  /** Names of the files that were asked for. */
  readonly files: readonly string[];
}

/**
 * The parts of a model, at a commit. A branch is asked for its newest commit; without a connection, the one in the
 * cache is used, with a notice.
 * @throws {LingolensError} `file-not-found`, `fetch-failed`, `checkpoint-damaged`, `option-unsupported`, `cancelled`
 */
export async function hubSnapshot(
  reference: HubReference,
  parts: readonly ModelPart[],
  options: HubOptions,
): Promise<Snapshot> {
  const { offline = offlineByEnvironment(), onNotice = toStderr } = options;
  throwIfCancelled(options.signal);
  const cache = new CachedRepository(reference.name);
  const cached = await cachedSnapshot(cache, reference, parts);
  if (cached && (offline || isCommit(reference.revision))) return cached;
  if (offline) throw notCached(cache, reference);
  try {
    return await fetchSnapshot(cache, reference, parts, { ...options, onNotice });
  } catch (error) {
    if (isDiskError(error)) throw cannotWrite(cache.folder, error as Error);
    if (!cached || (error as LingolensError).code !== "fetch-failed") throw error;
    onNotice(`lingolens: using ${reference.name} from the cache. ${(error as Error).message}`);
    return cached;
  }
}

/** Python's rule. */
function offlineByEnvironment({ HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = process.env): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((HF_HUB_OFFLINE || TRANSFORMERS_OFFLINE || "").toUpperCase());
}

/** What the cache has of the parts; undefined where anything is missing. */
async function cachedSnapshot(
  cache: CachedRepository,
  reference: HubReference,
  parts: readonly ModelPart[],
): Promise<Snapshot | undefined> {
  const commit = await cache.commit(reference);
  if (!commit) return undefined;
  const folder = cache.snapshot(commit);
  try {
    const names = await readdir(folder);
    const there = await Promise.all(names.map((name) => exists(join(folder, name))));
    const files = await modelFiles(
      {
        name: reference.name,
        files: new Set(names.filter((_, i) => there[i])),
        read: (name) => readFile(join(folder, name), "utf8"),
      },
      parts,
    );
    return { folder, commit, files };
  } catch {
    return undefined;
  }
}

async function fetchSnapshot(
  cache: CachedRepository,
  reference: HubReference,
  parts: readonly ModelPart[],
  options: HubOptions & { readonly onNotice: (line: string) => void },
): Promise<Snapshot> {
  const { name } = reference;
  const connection = connectToHub(reference, options.signal);
  const repository = await readRepository(connection, reference, options.signal);
  const { commit } = repository;
  const folder = cache.snapshot(commit);
  const download = new Download(cache, connection, repository, options);
  const files = await modelFiles(
    {
      name,
      files: new Set(repository.files.keys()),
      async read(file) {
        await download.file(repository.files.get(file)!);
        return readFile(join(folder, file), "utf8");
      },
    },
    parts,
  );
  const missing: HubFile[] = [];
  for (const file of files) {
    if (!(await exists(join(folder, file)))) missing.push(repository.files.get(file)!);
  }
  if (missing.length > 0) {
    options.onNotice(downloadNotice(cache, repository, missing));
    await download.all(missing);
  }
  await cache.recordCommit(reference, commit);
  return { folder, commit, files };
}

/** One download of some files of a repository, with its progress. */
class Download {
  constructor(
    private readonly cache: CachedRepository,
    private readonly connection: HubConnection,
    private readonly repository: HubRepository,
    private readonly options: HubOptions & { readonly onNotice: (line: string) => void },
  ) {}

  async all(files: readonly HubFile[]): Promise<void> {
    const total = totalBytes(files);
    let before = 0;
    for (const file of files) {
      await this.file(file, (bytes) => this.options.onProgress?.({ done: before + bytes, total }));
      before += file.size;
      this.options.onProgress?.({ done: before, total });
    }
  }

  async file(file: HubFile, onBytes?: (bytes: number) => void): Promise<void> {
    const { cache, connection, options } = this;
    const { commit } = this.repository;
    const { signal, onNotice } = options;
    const blob = cache.blob(file.digest);
    if (!(await exists(blob))) {
      await mkdir(dirname(blob), { recursive: true });
      const url = new URL(
        `${connection.endpoint}/${cache.name}/resolve/${commit}/${encodeURIComponent(file.name)}`,
      );
      const work = async (): Promise<void> => {
        if (await exists(blob)) return;
        await downloadBlob(connection, url, file, blob, { signal, ...(onBytes && { onBytes }) });
      };
      const onWait = (): void =>
        onNotice(`lingolens: another process is downloading ${file.name}; waiting for it`);
      await withFileLock(cache.lock(file.digest), work, { signal, onWait });
    }
    await cache.link(file.digest, commit, file.name);
  }
}

function downloadNotice(
  { name, folder }: CachedRepository,
  { licence }: HubRepository,
  files: readonly HubFile[],
): string {
  const stated = licence ? `licence: ${licence}` : "its model card states no licence";
  return `lingolens: downloading ${name} (${humanBytes(totalBytes(files))}; ${stated}) into ${folder}, once`;
}

function totalBytes(files: readonly HubFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function humanBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}

function notCached({ folder }: CachedRepository, { name, revision }: HubReference): LingolensError {
  return new LingolensError(
    "file-not-found",
    `${name}@${revision} is not in the cache, or not all of it (${folder}), and the network is not used (--offline or ` +
      "HF_HUB_OFFLINE). Run once without that to download it, or name a folder.",
  );
}

/** Whether the disk is at fault, such as one that is full; what goes wrong with connections is a `LingolensError`. */
export function isDiskError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall !== undefined;
}

export function cannotWrite(folder: string, cause: Error): LingolensError {
  return new LingolensError(
    "fetch-failed",
    `The model cannot be written into ${folder}: ${cause.message}. Make room there or grant access, or set HF_HOME and ` +
      "XDG_CACHE_HOME to folders elsewhere; what was fetched is kept.",
    { cause },
  );
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
