import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { type FetchOptions, guardedFetch } from "../data/guarded-fetch.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { type DecodeOptions, decodeImage } from "./decode.js";
import { type RgbaImage, type RgbImage, rgbFromPixels } from "./pixels.js";

/**
 * What a caller may give for a picture: a path, an http(s) URL, the bytes of a file, a `Blob` of them, or pixels such
 * as `ImageData`.
 */
export type PictureSource = string | Uint8Array | Blob | RgbaImage | RgbImage;

export interface PictureOptions extends DecodeOptions {
  /** Limits of fetching a URL. Default: those of `guardedFetch`. */
  readonly fetch?: Omit<FetchOptions, "signal">;
  readonly signal?: AbortSignal;
}

/** Most bytes of a picture file that are read: 512 MiB, which is all the default pixels uncompressed. */
const MAX_FILE_BYTES = 512 * 2 ** 20;

/**
 * Loads a picture. `options.name` defaults to the path or URL.
 * @throws {LingolensError} `file-not-found`, what `guardedFetch`, `decodeImage` and `rgbFromPixels` throw, and
 * `cancelled`.
 */
export async function loadPicture(source: PictureSource, options: PictureOptions = {}): Promise<RgbImage> {
  throwIfCancelled(options.signal);
  if (typeof source === "string") {
    const bytes = isUrl(source)
      ? (await guardedFetch(source, { ...options.fetch, ...(options.signal && { signal: options.signal }) }))
          .bytes
      : await readPictureFile(source);
    return decodeImage(bytes, { name: source, ...options });
  }
  if (source instanceof Blob) return decodeImage(await readLimited(source.stream(), "The picture"), options);
  return source instanceof Uint8Array ? decodeImage(source, options) : rgbFromPixels(source);
}

/** Whether a picture's name is a URL; one of another scheme than http and https fails when it is fetched. */
export function isUrl(name: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(name);
}

async function readPictureFile(path: string): Promise<Uint8Array> {
  try {
    if ((await stat(path)).isDirectory()) {
      throw new LingolensError("unreadable-image", `${path} is not a picture: it is a folder.`);
    }
    return await readLimited(createReadStream(path), path);
  } catch (error) {
    if (error instanceof LingolensError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") {
      const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
      throw new LingolensError("file-not-found", `${shown} does not exist.`, { cause: error });
    }
    throw new LingolensError("unreadable-image", `${path} cannot be read: ${message}.`, { cause: error });
  }
}

/**
 * Reads a stream to its end, such as a file or standard input.
 * @throws {LingolensError} `image-too-large` above 512 MiB.
 */
export async function readLimited(stream: AsyncIterable<Uint8Array>, name: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_FILE_BYTES) {
      throw new LingolensError(
        "image-too-large",
        `${name} has more than the ${MAX_FILE_BYTES} bytes that are read.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
