/**
 * A hash that pictures share when they look the same: the signs of the lowest frequencies of a small gray picture
 * (pHash; Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Copies of a picture in
 * other sizes and qualities differ in a few of its 64 bits, unrelated pictures in about half.
 */
import type { RgbImage } from "../../image/pixels.js";

const SIDE = 32;
const LOW = 8;

/** @returns 16 hexadecimal digits */
export function perceptualHash(image: RgbImage): string {
  const gray = shrunkToGray(image);
  // [SIDE rows, LOW]: along rows, then [LOW, LOW]: down the columns.
  const across = new Float64Array(SIDE * LOW);
  for (let y = 0; y < SIDE; y++)
    for (let u = 0; u < LOW; u++) {
      let sum = 0;
      for (let x = 0; x < SIDE; x++) sum += gray[y * SIDE + x]! * COSINES[u * SIDE + x]!;
      across[y * LOW + u] = sum;
    }
  const frequencies = new Float64Array(LOW * LOW);
  for (let v = 0; v < LOW; v++)
    for (let u = 0; u < LOW; u++) {
      let sum = 0;
      for (let y = 0; y < SIDE; y++) sum += across[y * LOW + u]! * COSINES[v * SIDE + y]!;
      frequencies[v * LOW + u] = sum;
    }
  // The mean brightness, the first of them, would move the middle.
  const sorted = frequencies.slice(1).sort();
  const middle = sorted[sorted.length >> 1]!;
  const bits = Array.from(frequencies, (value) => (value > middle ? "1" : "0")).join("");
  return BigInt(`0b${bits}`).toString(16).padStart(16, "0");
}

/** cos((2x + 1)uπ / 2N), [LOW, SIDE]. */
const COSINES = Float64Array.from({ length: LOW * SIDE }, (_, i) =>
  Math.cos((((2 * (i % SIDE) + 1) * Math.floor(i / SIDE)) / (2 * SIDE)) * Math.PI),
);

/** Means of the pixels that fall into each cell of a grid. A picture smaller than the grid fills several with one pixel. */
function shrunkToGray({ width, height, data }: RgbImage): Float64Array {
  const gray = new Float64Array(SIDE * SIDE);
  const [lefts, rights] = edges(width);
  const [tops, bottoms] = edges(height);
  for (let row = 0; row < SIDE; row++) {
    const [top, bottom] = [tops[row]!, bottoms[row]!];
    for (let column = 0; column < SIDE; column++) {
      const [left, right] = [lefts[column]!, rights[column]!];
      let [red, green, blue] = [0, 0, 0];
      for (let y = top; y < bottom; y++)
        for (let at = (y * width + left) * 3, end = (y * width + right) * 3; at < end; at += 3) {
          red += data[at]!;
          green += data[at + 1]!;
          blue += data[at + 2]!;
        }
      const sum = 299 * red + 587 * green + 114 * blue;
      gray[row * SIDE + column] = sum / ((right - left) * (bottom - top) * 1000);
    }
  }
  return gray;
}

/** Of every cell along a side, where it starts and where it ends. */
function edges(length: number): [starts: Int32Array, ends: Int32Array] {
  const starts = Int32Array.from({ length: SIDE }, (_, i) => Math.floor((i * length) / SIDE));
  return [starts, starts.map((start, i) => Math.max(start + 1, Math.floor(((i + 1) * length) / SIDE)))];
}
