/** Hugging Face's `preprocessor_config.json`, as far as CLIP's picture processor goes. */
import { z } from "zod";
import { LingolensError } from "../errors.js";

/** How a picture becomes pixel values; what is not named here is always done as CLIPImageProcessor does. */
export interface PreprocessorConfig {
  /** The size before the crop: of the shortest edge, the other in proportion, or of both edges. */
  readonly size: { readonly shortestEdge: number } | { readonly width: number; readonly height: number };
  /** The size of the centre crop, which the model sees. It fits within `size`. */
  readonly cropSize: { readonly width: number; readonly height: number };
  /** Samples 0..255 are multiplied by it. */
  readonly rescaleFactor: number;
  /** Of R, G and B after rescaling. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** CLIP's own values (openai/clip-vit-base-patch32) for a model that sees `imageSize` x `imageSize` pixels. */
export function clipPreprocessorConfig(imageSize: number): PreprocessorConfig {
  return {
    size: { shortestEdge: imageSize },
    cropSize: { width: imageSize, height: imageSize },
    rescaleFactor: 1 / 255,
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  };
}

/** Bounds what a config can make us allocate: 3 x 4096 x 4096 float32 are 200 MB. */
const LARGEST_EDGE = 4096;
const BICUBIC = 3;

const edge = z.int().min(1).max(LARGEST_EDGE);
const bothEdges = z.strictObject({ width: edge, height: edge });
const perChannel = z.tuple([z.number(), z.number(), z.number()]);
const fileSchema = z.object({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_convert_rgb: z.literal(true).nullish(),
  do_resize: z.literal(true).nullish(),
  do_center_crop: z.boolean().nullish(),
  do_rescale: z.boolean().nullish(),
  do_normalize: z.boolean().nullish(),
  do_pad: z.literal(false).nullish(),
  size: z.union([edge, z.strictObject({ shortest_edge: edge }), bothEdges]).nullish(),
  crop_size: z.union([edge, bothEdges]).nullish(),
  resample: z.literal(BICUBIC).nullish(),
  rescale_factor: z.number().positive().nullish(),
  image_mean: perChannel.nullish(),
  image_std: perChannel.refine((std) => std.every((s) => s > 0), "must be above 0").nullish(),
});
type PreprocessorFile = z.infer<typeof fileSchema>;

/**
 * Reads the parsed JSON of a `preprocessor_config.json`; a field that is absent or null takes CLIP's value for
 * `imageSize`, the edge in pixels that the vision model was built for.
 * @throws {LingolensError} `config-invalid` for a value that is malformed or that asks for another transform than
 * CLIP's, and for a crop that is not `imageSize` x `imageSize`.
 */
export function readPreprocessorConfig(json: unknown, imageSize: number): PreprocessorConfig {
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const field = issue.path.join(".");
    throw invalid(
      field === ""
        ? `expected a JSON object (${issue.message})`
        : `${field} is ${show(json, issue.path)}, which is not supported (${issue.message})`,
    );
  }
  const file = parsed.data;
  const type = file.image_processor_type ?? file.feature_extractor_type;
  if (type != null && !/^CLIP(ImageProcessor|FeatureExtractor)/.test(type)) {
    throw invalid(
      `the picture processor is ${JSON.stringify(type)}; only CLIP's (CLIPImageProcessor) is supported`,
    );
  }

  const clip = clipPreprocessorConfig(imageSize);
  const size = readSize(file, clip);
  const cropSize = readCropSize(file, size, clip);
  if (cropSize.width !== imageSize || cropSize.height !== imageSize) {
    throw invalid(
      `it makes pictures of ${cropSize.width} x ${cropSize.height}, and the vision model sees ` +
        `${imageSize} x ${imageSize}; crop_size must be its image_size`,
    );
  }
  return {
    size,
    cropSize,
    rescaleFactor: file.do_rescale === false ? 1 : (file.rescale_factor ?? clip.rescaleFactor),
    mean: file.do_normalize === false ? [0, 0, 0] : (file.image_mean ?? clip.mean),
    std: file.do_normalize === false ? [1, 1, 1] : (file.image_std ?? clip.std),
  };
}

/** A plain number is the shortest edge, as CLIP's processors of every age read it. */
function readSize({ size }: PreprocessorFile, clip: PreprocessorConfig): PreprocessorConfig["size"] {
  if (size == null) return clip.size;
  if (typeof size === "number") return { shortestEdge: size };
  return "shortest_edge" in size ? { shortestEdge: size.shortest_edge } : size;
}

function readCropSize(
  file: PreprocessorFile,
  size: PreprocessorConfig["size"],
  clip: PreprocessorConfig,
): PreprocessorConfig["cropSize"] {
  if (file.do_center_crop === false) {
    if ("width" in size) return size;
    throw invalid(
      "do_center_crop is false while size gives only the shortest edge: pictures would differ in size; " +
        'set do_center_crop to true, or size to {"height": …, "width": …}',
    );
  }
  const crop = file.crop_size;
  const cropSize = typeof crop === "number" ? { width: crop, height: crop } : (crop ?? clip.cropSize);
  const least = "width" in size ? size : { width: size.shortestEdge, height: size.shortestEdge };
  if (cropSize.width > least.width || cropSize.height > least.height) {
    throw invalid(
      `crop_size ${cropSize.width} x ${cropSize.height} is larger than the resized picture, ` +
        `which may be ${least.width} x ${least.height}`,
    );
  }
  return cropSize;
}

function show(json: unknown, path: readonly PropertyKey[]): string {
  let value = json as Record<PropertyKey, unknown> | undefined;
  for (const key of path) value = value?.[key] as typeof value;
  const text = JSON.stringify(value) ?? "absent";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function invalid(what: string): LingolensError {
  return new LingolensError("config-invalid", `preprocessor_config.json: ${what}.`);
}
