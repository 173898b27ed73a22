import { LingolensError, throwIfCancelled } from "../errors.js";
import type { PictureSource } from "../image/picture-source.js";
import type { RgbImage } from "../image/pixels.js";
import { preprocessing } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import { runInSlices } from "../pausable.js";
import type { ResolvedCaptionOptions } from "./options.js";

/** A picture with the name that results carry, or what is wrong with it already. */
export type NamedPicture =
  | { readonly name: string; readonly source: PictureSource }
  | { readonly name: string; readonly error: LingolensError };

/** A picture ready for the encoder, or what is wrong with it. */
export type PreparedPicture =
  | { readonly name: string; readonly pixelValues: Float32Array }
  | { readonly name: string; readonly error: LingolensError };

/** How the pixels of a picture are come by: on Node, in a browser. */
export type LoadPicture = (
  source: PictureSource,
  options: PictureReading & { readonly signal?: AbortSignal },
) => Promise<RgbImage>;

type PictureReading = Pick<ResolvedCaptionOptions, "ignoreExif" | "allowPrivate">;

/** Reads, decodes and preprocesses. What is wrong with the picture is returned; being cancelled is thrown. */
export type PreparePicture = (
  picture: NamedPicture,
  options: PictureReading,
  signal?: AbortSignal,
) => Promise<PreparedPicture>;

export function picturePreparation(
  preprocessor: PreprocessorConfig,
  loadPicture: LoadPicture,
): PreparePicture {
  return async (picture, { ignoreExif, allowPrivate }, signal) => {
    const { name } = picture;
    if ("error" in picture) return picture;
    try {
      const options = { ignoreExif, allowPrivate, ...(signal && { signal }) };
      const image = await loadPicture(picture.source, options);
      const { data } = await runInSlices(preprocessing(image, preprocessor));
      return { name, pixelValues: data };
    } catch (error) {
      throwIfCancelled(signal);
      if (error instanceof LingolensError) return { name, error };
      throw error;
    }
  };
}
