import type { View } from "../captioning/caption.js";

/** Places in each direction that a patch becomes. */
const FINER = 10;

/**
 * A grid of patches as a smooth map from 0, where a word looked least, to 1, where it looked most.
 * @param attention [side · side], row by row
 */
export function heatMap(attention: readonly number[]): { side: number; values: Float32Array } {
  const patches = Math.round(Math.sqrt(attention.length));
  const least = Math.min(...attention);
  const range = Math.max(...attention) - least || 1;
  const grid = attention.map((value) => (value - least) / range);
  const side = patches * FINER;
  const values = new Float32Array(side * side);
  const taps = Array.from({ length: side }, (_, i) => tapsAt((i + 0.5) / FINER - 0.5, patches));
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (const row of taps[y]!)
        for (const column of taps[x]!)
          sum += row.weight * column.weight * grid[row.index * patches + column.index]!;
      values[y * side + x] = Math.min(1, Math.max(0, sum));
    }
  return { side, values };
}

/** Neighbours of a place between the centres of patches, weighted as by Catmull and Rom (1974); the edge goes on beyond itself. */
function tapsAt(place: number, patches: number): { index: number; weight: number }[] {
  const first = Math.floor(place) - 1;
  return [0, 1, 2, 3].map((i) => {
    const distance = Math.abs(place - (first + i));
    const weight =
      distance < 1
        ? 1.5 * distance ** 3 - 2.5 * distance ** 2 + 1
        : -0.5 * distance ** 3 + 2.5 * distance ** 2 - 4 * distance + 2;
    return { index: Math.min(patches - 1, Math.max(0, first + i)), weight };
  });
}

/** The part of a picture that the model sees, as fractions of its width and height. */
export function areaSeen(
  { size, cropSize }: View,
  picture: { readonly width: number; readonly height: number },
): { left: number; top: number; width: number; height: number } {
  const scale =
    "shortestEdge" in size ? size.shortestEdge / Math.min(picture.width, picture.height) : undefined;
  const resized =
    scale === undefined
      ? (size as { width: number; height: number })
      : { width: picture.width * scale, height: picture.height * scale };
  const width = Math.min(1, cropSize.width / resized.width);
  const height = Math.min(1, cropSize.height / resized.height);
  return { left: (1 - width) / 2, top: (1 - height) / 2, width, height };
}

/** The names of the nine parts of what the model sees. */
export const REGIONS = [
  "top left",
  "top",
  "top right",
  "left",
  "centre",
  "right",
  "bottom left",
  "bottom",
  "bottom right",
] as const;
export type Region = (typeof REGIONS)[number];

/** The part that a word looked at most, for those who do not see the map. */
export function regionOf(attention: readonly number[]): Region {
  const patches = Math.round(Math.sqrt(attention.length));
  const sums = new Array<number>(9).fill(0);
  attention.forEach((value, i) => {
    const row = Math.floor((Math.floor(i / patches) * 3) / patches);
    const column = Math.floor(((i % patches) * 3) / patches);
    sums[row * 3 + column]! += value;
  });
  return REGIONS[sums.indexOf(Math.max(...sums))]!;
}
