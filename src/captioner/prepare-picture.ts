import { LingolensError, throwIfCancelled } from "../errors.js";
import { loadPicture, type PictureSource } from "../image/picture-source.js";
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

/** Reads, decodes and preprocesses. What is wrong with the picture is returned; being cancelled is thrown. */
export async function preparePicture(
  picture: NamedPicture,
  preprocessor: PreprocessorConfig,
  { ignoreExif, allowPrivate }: Pick<ResolvedCaptionOptions, "ignoreExif" | "allowPrivate">,
  signal?: AbortSignal,
): Promise<PreparedPicture> {
  const { name } = picture;
  if ("error" in picture) return picture;
  try {
    const options = { ignoreExif, fetch: { allowPrivate }, ...(signal && { signal }) };
    const image = await loadPicture(picture.source, options);
    const { data } = await runInSlices(preprocessing(image, preprocessor));
    return { name, pixelValues: data };
  } catch (error) {
    throwIfCancelled(signal);
    if (error instanceof LingolensError) return { name, error };
    throw error;
  }
}
