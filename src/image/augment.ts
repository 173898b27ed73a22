/** Variations of a training picture that leave its captions true. */
import type { RgbImage } from "./pixels.js";

/**
 * A square part of the picture at a random place: between `leastArea` and all of the largest square there is.
 * @param random gives numbers in [0, 1)
 */
export function randomSquare(image: RgbImage, leastArea: number, random: () => number): RgbImage {
  const area = leastArea + (1 - leastArea) * random();
  const size = Math.max(1, Math.round(Math.sqrt(area) * Math.min(image.width, image.height)));
  const left = Math.floor(random() * (image.width - size + 1));
  const top = Math.floor(random() * (image.height - size + 1));
  const data = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const start = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(start, start + size * 3), y * size * 3);
  }
  return { width: size, height: size, data };
}

/** Left and right exchanged. */
export function mirrored({ width, height, data }: RgbImage): RgbImage {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      out.set(data.subarray(from, from + 3), (y * width + width - 1 - x) * 3);
    }
  return { width, height, data: out };
}
