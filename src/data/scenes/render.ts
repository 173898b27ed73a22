/** Draws scenes: antialiased polygons over a background, then noise. */
import type { RgbImage } from "../../image/pixels.js";
import { paintBackground } from "./background.js";
import { SIDE } from "./layout.js";
import { outlineOf } from "./outline.js";
import type { Scene, SceneObject } from "./scene.js";

/** The picture of a scene: always the same bytes. */
export function renderScene(scene: Scene): RgbImage {
  const { size } = scene;
  const canvas = new Float32Array(size * size * 3);
  paintBackground(canvas, size, scene.background);
  // From last to first, as an object that holds another one is named after it.
  for (const object of scene.objects.toReversed()) paintObject(canvas, size, object);
  return { width: size, height: size, data: withNoise(canvas, scene.noise) };
}

/** Rows into which a row of pixels is cut; along a row coverage is exact. */
const SUBROWS = 4;

function paintObject(canvas: Float32Array, size: number, object: SceneObject): void {
  const corners = cornersInPixels(object, size / SIDE);
  const [left, top, width, height] = object.box;
  const coverage = new Float32Array(width);
  for (let y = top; y < top + height; y++) {
    coverage.fill(0);
    for (let subrow = 0; subrow < SUBROWS; subrow++) {
      coverRow(coverage, left, crossings(corners, y + (subrow + 0.5) / SUBROWS));
    }
    for (let x = 0; x < width; x++) {
      const part = coverage[x]! / SUBROWS;
      if (part === 0) continue;
      const at = (y * size + left + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        canvas[at + channel]! += part * (object.rgb[channel]! - canvas[at + channel]!);
      }
    }
  }
}

function cornersInPixels({ kind, radius, tilt, centre }: SceneObject, scale: number): Float64Array {
  return outlineOf(kind, radius, tilt).points.map((value, i) => (value + centre[i & 1]!) * scale);
}

/** Where a row crosses the polygon's sides, from left to right: it is inside from an even one to the next. */
function crossings(corners: Float64Array, row: number): number[] {
  const found: number[] = [];
  let x0 = corners[corners.length - 2]!;
  let y0 = corners[corners.length - 1]!;
  for (let i = 0; i < corners.length; i += 2) {
    const x1 = corners[i]!;
    const y1 = corners[i + 1]!;
    if (y0 <= row !== y1 <= row) found.push(x0 + ((row - y0) / (y1 - y0)) * (x1 - x0));
    x0 = x1;
    y0 = y1;
  }
  return found.sort((a, b) => a - b);
}

/** Adds to every pixel how much of it lies between the crossings; `coverage` starts at pixel `left`. */
function coverRow(coverage: Float32Array, left: number, ends: readonly number[]): void {
  for (let i = 0; i + 1 < ends.length; i += 2) {
    const from = ends[i]! - left;
    const to = ends[i + 1]! - left;
    const first = Math.floor(from);
    const last = Math.min(Math.floor(to), coverage.length - 1);
    if (first === last) {
      coverage[first]! += to - from;
      continue;
    }
    coverage[first]! += first + 1 - from;
    for (let x = first + 1; x < last; x++) coverage[x]! += 1;
    coverage[last]! += to - last;
  }
}

/** Deviation of the sum of two five-bit numbers. */
const SUM_DEVIATION = Math.sqrt((2 * (32 ** 2 - 1)) / 12);

/** Adds noise of a triangular distribution, apart for every channel, and rounds to bytes. */
function withNoise(canvas: Float32Array, { deviation, seed }: Scene["noise"]): Uint8Array {
  const bytes = new Uint8ClampedArray(canvas.length);
  const scale = deviation / SUM_DEVIATION;
  let state = seed | 1;
  for (let at = 0; at < canvas.length; at += 3) {
    // Marsaglia's xorshift32; a multiplication spreads its bits. Each channel takes ten of them.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const bits = Math.imul(state, 0x9e3779b1);
    bytes[at] = canvas[at]! + scale * (((bits >>> 2) & 31) + ((bits >>> 7) & 31) - 31);
    bytes[at + 1] = canvas[at + 1]! + scale * (((bits >>> 12) & 31) + ((bits >>> 17) & 31) - 31);
    bytes[at + 2] = canvas[at + 2]! + scale * (((bits >>> 22) & 31) + ((bits >>> 27) & 31) - 31);
  }
  return new Uint8Array(bytes.buffer);
}
