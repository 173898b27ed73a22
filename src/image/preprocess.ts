/**
 * From a picture to the model's pixel values, as Hugging Face's CLIPImageProcessor: resize the shortest edge with
 * PIL's bicubic, crop the centre, scale to 0..1, normalise by channel.
 */
import { LingolensError } from "../errors.js";
import { type Pausable, runAtOnce } from "../pausable.js";
import type { RgbImage } from "./pixels.js";
import type { PreprocessorConfig } from "./preprocessor-config.js";
import { resizing } from "./resize.js";

/** A preprocessed picture. */
export interface PixelValues {
  readonly width: number;
  readonly height: number;
  /** float32 [3, height, width]. */
  readonly data: Float32Array;
}

/** Resizes, crops, scales and normalises. */
export function preprocess(image: RgbImage, config: PreprocessorConfig): PixelValues {
  return runAtOnce(preprocessing(image, config));
}

/** As `preprocess`, with pauses: a photo of 12 megapixels takes a tenth of a second. */
export function* preprocessing(image: RgbImage, config: PreprocessorConfig): Pausable<PixelValues> {
  const { width, height, data } = yield* resizingAndCropping(image, config);
  return { width, height, data: normalise(data, config) };
}

/** The part of the picture that the model sees, at its size, still as bytes. */
export function resizeAndCrop(image: RgbImage, config: PreprocessorConfig): RgbImage {
  return runAtOnce(resizingAndCropping(image, config));
}

/** As `resizeAndCrop`, with pauses. */
export function* resizingAndCropping(image: RgbImage, config: PreprocessorConfig): Pausable<RgbImage> {
  const { width, height } = resizedSize(image, config.size);
  const crop = config.cropSize;
  const left = Math.floor((width - crop.width) / 2);
  const top = Math.floor((height - crop.height) / 2);
  return yield* resizing(image, { width, height, window: { left, top, ...crop } });
}

function resizedSize(image: RgbImage, size: PreprocessorConfig["size"]): { width: number; height: number } {
  if (!("shortestEdge" in size)) return size;
  const { width, height } = image;
  if (width < 1 || height < 1) {
    throw new LingolensError("shape-mismatch", `A picture has at least one pixel; got ${width} x ${height}.`);
  }
  const short = size.shortestEdge;
  const long = Math.floor((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: short, height: long } : { width: long, height: short };
}

/** (u8 * rescaleFactor - mean) / std in float32, each step rounded as numpy rounds it; HWC becomes CHW. */
function normalise(rgb: Uint8Array, config: PreprocessorConfig): Float32Array {
  const area = rgb.length / 3;
  const out = new Float32Array(rgb.length);
  const table = new Float32Array(256);
  for (let channel = 0; channel < 3; channel++) {
    const mean = Math.fround(config.mean[channel]!);
    const std = Math.fround(config.std[channel]!);
    for (let value = 0; value < 256; value++) {
      table[value] = Math.fround(Math.fround(value * config.rescaleFactor) - mean) / std;
    }
    const plane = out.subarray(channel * area, (channel + 1) * area);
    for (let i = 0, from = channel; i < area; i++, from += 3) plane[i] = table[rgb[from]!]!;
  }
  return out;
}

/** What the model sees as a picture again: `normalise` undone. */
export function pictureOfPixelValues(
  values: Float32Array,
  { cropSize, rescaleFactor, mean, std }: PreprocessorConfig,
): RgbImage {
  const area = values.length / 3;
  const data = new Uint8ClampedArray(values.length);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) {
      const value = values[channel * area + i]!;
      data[3 * i + channel] = (value * std[channel]! + mean[channel]!) / rescaleFactor;
    }
  }
  return { ...cropSize, data: new Uint8Array(data.buffer) };
}
