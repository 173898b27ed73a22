import { readdir, readFile } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

/** A file as it is answered with. */
export interface StaticFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".webp": "image/webp",
  ".avif": "image/avif",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};
const COMPRESSIBLE = /^(?:text\/|application\/(?:json|wasm|manifest)|image\/svg)/;
const compress = promisify(brotliCompress);

/**
 * The files of a folder by their paths in a URL. They are listed once: a request can only name what is on the list,
 * whatever tricks its path tries.
 */
export class StaticFiles {
  readonly #compressed = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

  private constructor(
    private readonly folder: string,
    /** Paths within the folder, with slashes. */
    private readonly paths: ReadonlySet<string>,
  ) {}

  /** Undefined where the folder has no index.html. */
  static async of(folder: string): Promise<StaticFiles | undefined> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const paths = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(join(folder, sep).length));
    const slashed = new Set(paths.map((path) => path.replaceAll(sep, "/")));
    return slashed.has("index.html") ? new StaticFiles(folder, slashed) : undefined;
  }

  async get(path: string, acceptEncoding = ""): Promise<StaticFile | undefined> {
    const wanted = path === "/" ? "index.html" : path.slice(1);
    if (!this.paths.has(wanted)) return undefined;
    const type = TYPES[extname(wanted)] ?? "application/octet-stream";
    // What the build names by its content never changes.
    const hashed = wanted.startsWith("assets/");
    const headers = {
      "content-type": type,
      "cache-control": hashed ? "public, max-age=31536000, immutable" : "no-cache",
      vary: "accept-encoding",
    };
    if (!COMPRESSIBLE.test(type) || !/\bbr\b/.test(acceptEncoding))
      return { headers, body: await this.#read(wanted) };
    let body = this.#compressed.get(wanted);
    if (!body) {
      body = this.#compress(wanted);
      this.#compressed.set(wanted, body);
    }
    return { headers: { ...headers, "content-encoding": "br" }, body: await body };
  }

  /** Compresses the page's own files now, so that the first visitor need not wait for it. */
  async prepare(): Promise<void> {
    for (const path of this.paths) if (!path.endsWith(".wasm")) await this.get(`/${path}`, "br");
  }

  async #read(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await readFile(join(this.folder, path)));
  }

  async #compress(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#read(path);
    // Small files are worth the best level; megabytes of WebAssembly would take minutes.
    const quality = bytes.length < 2 ** 20 ? constants.BROTLI_MAX_QUALITY : 5;
    return new Uint8Array(await compress(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }));
  }
}
