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
  let hash = 0n;
  for (const value of frequencies) hash = (hash << 1n) | (value > middle ? 1n : 0n);
  return hash.toString(16).padStart(16, "0");
}

/** cos((2x + 1)uπ / 2N), [LOW, SIDE]. */
const COSINES = Float64Array.from({ length: LOW * SIDE }, (_, i) =>
  Math.cos((((2 * (i % SIDE) + 1) * Math.floor(i / SIDE)) / (2 * SIDE)) * Math.PI),
);

/** Means of the pixels that fall into each cell of a grid. A picture smaller than the grid fills several with one pixel. */
function shrunkToGray({ width, height, data }: RgbImage): Float64Array {
  const gray = new Float64Array(SIDE * SIDE);
  const [lefts, tops] = [edges(width), edges(height)];
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++) {
      const [left, right] = lefts[column]!;
      const [top, bottom] = tops[row]!;
      let sum = 0;
      for (let y = top; y < bottom; y++)
        for (let at = (y * width + left) * 3, end = (y * width + right) * 3; at < end; at += 3)
          sum += 299 * data[at]! + 587 * data[at + 1]! + 114 * data[at + 2]!;
      gray[row * SIDE + column] = sum / ((right - left) * (bottom - top) * 1000);
    }
  return gray;
}

function edges(length: number): [number, number][] {
  return Array.from({ length: SIDE }, (_, i) => {
    const start = Math.floor((i * length) / SIDE);
    return [start, Math.max(start + 1, Math.floor(((i + 1) * length) / SIDE))];
  });
}
