import type { LoadPicture } from "../captioner/prepare-picture.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { rgbFromPixels } from "../image/pixels.js";

/**
 * A picture by URL, a `Blob` such as a file that was dropped, the bytes of a file, or pixels. The browser decodes it;
 * what is transparent loses its colour on the way, which is all that differs from Node.
 */
export const loadPicture: LoadPicture = async (source, { ignoreExif, signal }) => {
  throwIfCancelled(signal);
  const blob = await blobOf(source, signal);
  if (!(blob instanceof Blob)) return rgbFromPixels(blob);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: ignoreExif ? "none" : "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch (cause) {
    throw new LingolensError(
      "unreadable-image",
      `The picture cannot be decoded: ${(cause as Error).message} Expected a JPEG, PNG, WebP, GIF or AVIF.`,
      { cause },
    );
  }
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    return rgbFromPixels(context.getImageData(0, 0, width, height));
  } finally {
    bitmap.close();
  }
};

async function blobOf(
  source: Parameters<LoadPicture>[0],
  signal?: AbortSignal,
): Promise<Blob | Exclude<Parameters<LoadPicture>[0], string | Uint8Array | Blob>> {
  if (source instanceof Uint8Array) return new Blob([source as Uint8Array<ArrayBuffer>]);
  if (typeof source !== "string") return source;
  let response: Response;
  try {
    response = await fetch(source, signal ? { signal } : {});
  } catch (cause) {
    throwIfCancelled(signal);
    throw new LingolensError("fetch-failed", `${source} cannot be fetched: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!response.ok)
    throw new LingolensError("fetch-failed", `${source}: the server answered ${response.status}.`);
  return response.blob();
}
