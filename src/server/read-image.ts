import { guardedFetch } from "../data/guarded-fetch.js";
import { Turns } from "../engine/turns.js";
import { decodeImage } from "../image/decode.js";
import type { RgbImage } from "../image/pixels.js";
import { resizingAndCropping } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import { runInSlices } from "../pausable.js";
import type { RequestedImage } from "./caption-request.js";
import type { ServerSettings } from "./settings.js";

// What is fetched and what is decoded takes memory, so that only so much of it is done at once, whoever it is for.
const fetching = new Turns(16);
const decoding = new Turns(2);

/** Seconds for a URL. */
const FETCH_DEADLINE = 20;

/**
 * Fetches and decodes a picture, and keeps of it what the model sees: what waits for the model is small, however large
 * the picture was.
 * @throws {LingolensError} what `guardedFetch` and `decodeImage` throw; the signal's reason
 */
export async function readImage(
  { name, source }: RequestedImage,
  preprocessor: PreprocessorConfig,
  { maxBody, maxPixels, allowPrivate }: Pick<ServerSettings, "maxBody" | "maxPixels" | "allowPrivate">,
  { ignoreExif, signal }: { readonly ignoreExif: boolean; readonly signal: AbortSignal },
): Promise<RgbImage> {
  const decode = (bytes: Uint8Array): Promise<RgbImage> =>
    decoding.take(async () => {
      signal.throwIfAborted();
      return shrink(await decodeImage(bytes, { name, ignoreExif, maxPixels }), preprocessor);
    });
  if (source instanceof Uint8Array) return decode(source);
  return withFetched(source.url, { maxBody, allowPrivate }, signal, decode);
}

/**
 * Fetches what is at a URL, which counts as being fetched until it has been used.
 * @throws {LingolensError} what `guardedFetch` throws; the signal's reason
 */
export function withFetched<T>(
  url: string,
  { maxBody, allowPrivate }: Pick<ServerSettings, "maxBody" | "allowPrivate">,
  signal: AbortSignal,
  use: (bytes: Uint8Array) => Promise<T>,
): Promise<T> {
  return fetching.take(async () => {
    signal.throwIfAborted();
    const options = { deadline: FETCH_DEADLINE, maxBytes: maxBody, allowPrivate, signal };
    return use((await guardedFetch(url, options)).bytes);
  });
}

/** Resizes and crops as the captioner will, so that the captioner finds nothing left to do. */
async function shrink(image: RgbImage, preprocessor: PreprocessorConfig): Promise<RgbImage> {
  const { size, cropSize } = preprocessor;
  const resized = "shortestEdge" in size ? { width: size.shortestEdge, height: size.shortestEdge } : size;
  // Where the margin that is cropped later has an odd pixel, its rounding would show if it were cropped in two goes.
  const odd = (resized.width - cropSize.width) % 2 !== 0 || (resized.height - cropSize.height) % 2 !== 0;
  return odd ? image : runInSlices(resizingAndCropping(image, { ...preprocessor, cropSize: resized }));
}
