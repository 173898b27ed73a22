/** The small files of an exported folder. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readPreprocessorConfig } from "../image/preprocessor-config.js";
import type { ModelFolder, RawJson } from "../weights/model-folder.js";

export async function writeJson(out: string, name: string, json: unknown): Promise<void> {
  await writeFile(join(out, name), `${JSON.stringify(json, undefined, 2)}\n`);
}

/** generation_config.json with the model's special tokens, since Hugging Face looks for them there. */
export async function writeGenerationConfig(
  { config, generationConfig }: Pick<ModelFolder, "config" | "generationConfig">,
  out: string,
): Promise<void> {
  const { ids } = config;
  await writeJson(out, "generation_config.json", {
    ...generationConfig,
    bos_token_id: ids.bos,
    decoder_start_token_id: ids.decoderStart,
    eos_token_id: ids.eos,
    pad_token_id: ids.pad,
  });
}

/** Longest caption in tokens where nothing else is said, as everywhere in lingolens. */
const CAPTION_LENGTH = 64;

/** A folder whose settings say how long captions may be, since Hugging Face's 20 tokens would cut many short. */
export function withCaptionLength(
  { config, generationConfig }: ModelFolder,
  settings: RawJson = {},
): Pick<ModelFolder, "config" | "generationConfig"> {
  const max_length = Math.min(CAPTION_LENGTH, config.decoder.maxPositions);
  return { config, generationConfig: { max_length, ...generationConfig, ...settings } };
}

/** preprocessor_config.json with every value in full, since other programs' defaults are not CLIP's. */
export async function writePreprocessorConfig(
  { config, preprocessorConfig }: ModelFolder,
  out: string,
): Promise<void> {
  const { size, cropSize, rescaleFactor, mean, std } = readPreprocessorConfig(
    preprocessorConfig ?? {},
    config.vision.imageSize,
  );
  await writeJson(out, "preprocessor_config.json", {
    image_processor_type: "CLIPImageProcessor",
    do_convert_rgb: true,
    do_resize: true,
    size: "width" in size ? size : { shortest_edge: size.shortestEdge },
    resample: 3, // bicubic
    do_center_crop: true,
    crop_size: cropSize,
    do_rescale: true,
    rescale_factor: rescaleFactor,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  });
}

/** The tokenizer's files as they are. */
export async function copyTokenizer({ tokenizerFiles }: ModelFolder, out: string): Promise<void> {
  // Not copyFile(), which takes a file's being read-only along.
  for (const [name, path] of tokenizerFiles) await writeFile(join(out, name), await readFile(path));
}
