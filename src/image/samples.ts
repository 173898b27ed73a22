/** PIL's conversions of what is not 8-bit gray or RGB (src/libImaging/Convert.c and Unpack.c). */
import type { RgbImage } from "./pixels.js";

/** Samples as a decoder gives them: [height, width, channels], one byte each or two, the low one first. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** 8-bit CMYK, 0 for no ink: each channel is what the ink lets through of what black lets through. */
export function cmykToRgb({ width, height, channels, data }: Samples): RgbImage {
  const rgb = new Uint8ClampedArray(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += channels) {
    const light = 255 - data[from + 3]!;
    for (let ink = 0; ink < 3; ink++) rgb[to++] = light - timesOver255(data[from + ink]!, light);
  }
  return { width, height, data: new Uint8Array(rgb.buffer) };
}

/** PIL's MULDIV255: a * b / 255, rounded. */
function timesOver255(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/** 16-bit gray without alpha: values are clipped at 255, not scaled, so that most such pictures turn out white. */
export function gray16ToRgb({ width, height, channels, data }: Samples): RgbImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 2 * channels, to += 3) {
    rgb.fill(data[from + 1] === 0 ? data[from]! : 255, to, to + 3);
  }
  return { width, height, data: rgb };
}

/** Every other 16-bit picture, gray or RGB: the high byte of each sample. */
export function highBytesToRgb({ width, height, channels, data }: Samples): RgbImage {
  const rgb = new Uint8Array(width * height * 3);
  const step = channels < 3 ? 0 : 2;
  for (let from = 1, to = 0; to < rgb.length; from += 2 * channels, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + step]!;
    rgb[to + 2] = data[from + 2 * step]!;
  }
  return { width, height, data: rgb };
}
