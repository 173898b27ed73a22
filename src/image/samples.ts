/** PIL's conversions of what is not 8-bit gray or RGB (src/libImaging/Convert.c and Unpack.c). */
import type { Pausable } from "../pausable.js";
import type { RgbImage } from "./pixels.js";

/** Samples as a decoder gives them: [height, width, channels], one byte each or two, the low one first. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** 8-bit CMYK, 0 for no ink: each channel is what the ink lets through of what black lets through. */
export function* cmykToRgb(samples: Samples): Pausable<RgbImage> {
  const { width, height, data } = samples;
  const rgb = new Uint8ClampedArray(width * height * 3);
  yield* eachPixel(samples, 1, (from, to) => {
    const light = 255 - data[from + 3]!;
    for (let ink = 0; ink < 3; ink++) rgb[to + ink] = light - timesOver255(data[from + ink]!, light);
  });
  return { width, height, data: new Uint8Array(rgb.buffer) };
}

/** PIL's MULDIV255: a * b / 255, rounded. */
function timesOver255(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/** 16-bit gray without alpha: values are clipped at 255, not scaled, so that most such pictures turn out white. */
export function* gray16ToRgb(samples: Samples): Pausable<RgbImage> {
  const { width, height, data } = samples;
  const rgb = new Uint8Array(width * height * 3);
  yield* eachPixel(samples, 2, (from, to) => {
    rgb[to] = rgb[to + 1] = rgb[to + 2] = data[from + 1] === 0 ? data[from]! : 255;
  });
  return { width, height, data: rgb };
}

/** Every other 16-bit picture, gray or RGB: the high byte of each sample. */
export function* highBytesToRgb(samples: Samples): Pausable<RgbImage> {
  const { width, height, channels, data } = samples;
  const rgb = new Uint8Array(width * height * 3);
  const step = channels < 3 ? 0 : 2;
  yield* eachPixel(samples, 2, (from, to) => {
    rgb[to] = data[from + 1]!;
    rgb[to + 1] = data[from + step + 1]!;
    rgb[to + 2] = data[from + 2 * step + 1]!;
  });
  return { width, height, data: rgb };
}

/** Visits each pixel with the places of its first sample and of its red byte. */
function* eachPixel(
  { width, height, channels }: Samples,
  bytesPerSample: 1 | 2,
  visit: (from: number, to: number) => void,
): Pausable<void> {
  const step = channels * bytesPerSample;
  for (let pixel = 0; pixel < width * height; pixel++) {
    visit(pixel * step, pixel * 3);
    if (pixel % PIXELS_BETWEEN_PAUSES === 0) yield;
  }
}

const PIXELS_BETWEEN_PAUSES = 4096;
