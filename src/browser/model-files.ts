import { LingolensError, throwIfCancelled } from "../errors.js";

export interface FileOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called as bytes arrive, of the weights or from the cache at once. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  /** Keep the files in the browser's cache, and take them from there. Default true. */
  readonly cache?: boolean | undefined;
}

/** Files of a model folder that the page is served, or that were kept from an earlier visit. */
export class ModelFiles {
  constructor(
    /** URL of the folder, with a slash at its end. */
    private readonly base: string,
    private readonly options: FileOptions,
  ) {}

  /** The bytes of a file, or undefined where there is none. */
  async read(name: string, onBytes?: FileOptions["onProgress"]): Promise<Uint8Array | undefined> {
    const { signal, cache = true } = this.options;
    throwIfCancelled(signal);
    const url = new URL(name, this.base).href;
    const store = cache ? await openStore() : undefined;
    const kept = await store?.match(url);
    if (kept) return this.#bytes(kept, onBytes);
    const response = await this.#fetch(url);
    if (response.status === 404) return undefined;
    if (!response.ok)
      throw new LingolensError("fetch-failed", `${url}: the server answered ${response.status}.`);
    const bytes = await this.#bytes(response, onBytes);
    // Whole or not at all: what was cut short has thrown before this.
    await store?.put(url, new Response(bytes as Uint8Array<ArrayBuffer>)).catch(() => {}); // The cache may be full.
    return bytes;
  }

  /** @throws {LingolensError} `file-not-found` where there is none, besides what `read` throws */
  async require(name: string, onBytes?: FileOptions["onProgress"]): Promise<Uint8Array> {
    const bytes = await this.read(name, onBytes);
    if (bytes) return bytes;
    throw new LingolensError("file-not-found", `${new URL(name, this.base)}: there is no such file.`);
  }

  async #fetch(url: string): Promise<Response> {
    const { signal } = this.options;
    try {
      return await fetch(url, signal ? { signal } : {});
    } catch (cause) {
      throwIfCancelled(signal);
      throw new LingolensError("fetch-failed", `${url} cannot be fetched: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  async #bytes(response: Response, onBytes: FileOptions["onProgress"]): Promise<Uint8Array> {
    const { signal } = this.options;
    const chunks: Uint8Array[] = [];
    const length = Number(response.headers.get("content-length")) || 0;
    let done = 0;
    const reader = response.body!.getReader();
    for (;;) {
      throwIfCancelled(signal);
      const { value, done: ended } = await reader.read();
      if (ended) break;
      chunks.push(value);
      done += value.length;
      onBytes?.({ done, total: Math.max(length, done) });
    }
    const bytes = new Uint8Array(done);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

/** The browser's cache; absent where the page is not in a secure context or forbids storage. */
async function openStore(): Promise<Cache | undefined> {
  try {
    return await globalThis.caches?.open("lingolens-models");
  } catch {
    return undefined;
  }
}
