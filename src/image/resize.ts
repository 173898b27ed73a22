/**
 * Pillow's bicubic resize, byte for byte (src/libImaging/Resample.c, 8-bit path): an antialiasing filter that
 * widens with the reduction, fixed-point weights, a horizontal pass rounded to bytes, then a vertical one.
 */
import { type Pausable, runAtOnce } from "../pausable.js";
import { type FilterTaps, filterColumns, filterRow, ONE } from "./filter-rows.js";
import type { RgbImage } from "./pixels.js";

/** A rectangle in pixels of the resized picture. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface ResizeOptions {
  /** Width and height of the whole resized picture. */
  readonly width: number;
  readonly height: number;
  /**
   * The only part that is computed and returned; it must lie within the resized picture. Its bytes are those that
   * a crop after the resize would give, at a cost that does not grow with the part thrown away. Default: all of it.
   */
  readonly window?: Window;
}

/**
 * Resizes with Pillow's `Resampling.BICUBIC`. An axis whose length does not change is copied, as Pillow does; where nothing
 * changes at all, it is the same picture.
 */
export function resizeBicubic(image: RgbImage, options: ResizeOptions): RgbImage {
  return runAtOnce(resizing(image, options));
}

/** As `resizeBicubic`, with a pause after every row. */
export function* resizing(image: RgbImage, options: ResizeOptions): Pausable<RgbImage> {
  const { width, height } = options;
  const { left, top, ...size } = options.window ?? { left: 0, top: 0, width, height };
  const isWhole = size.width === width && size.height === height;
  if (isWhole && width === image.width && height === image.height) return image;
  if (image.height > 100 * image.width && height < image.height && width !== image.width) {
    // Pillow's exception, made for speed: a tall strip that gets shorter goes through the vertical pass first.
    const window = { left: 0, top, width: image.width, height: size.height };
    const shorter = yield* resizing(image, { width: image.width, height, window });
    return yield* resizing(shorter, { width, height: size.height, window: { ...size, left, top: 0 } });
  }
  const columns = filterTaps(image.width, width, left, size.width);
  const rows = filterTaps(image.height, height, top, size.height);

  // Only the source rows that some output row reads go through the horizontal pass.
  const firstRow = rows.starts[0]!;
  const endRow = rows.starts[size.height - 1]! + rows.counts[size.height - 1]!;
  const [sourceBytes, rowBytes] = [image.width * 3, size.width * 3];
  const across = new Uint8Array((endRow - firstRow) * rowBytes);
  for (let y = firstRow; y < endRow; y++) {
    const to = (y - firstRow) * rowBytes;
    filterRow(
      image.data.subarray(y * sourceBytes, (y + 1) * sourceBytes),
      columns,
      across.subarray(to, to + rowBytes),
    );
    yield;
  }
  const data = new Uint8Array(size.height * rowBytes);
  for (let i = 0; i < size.height; i++) {
    const from = (rows.starts[i]! - firstRow) * rowBytes;
    const source = across.subarray(from, from + rows.counts[i]! * rowBytes);
    filterColumns(source, rows, i, data.subarray(i * rowBytes, (i + 1) * rowBytes));
    yield;
  }
  return { ...size, data };
}

/** Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` for outputs `first` to `first + count - 1`. */
function filterTaps(inputSize: number, outputSize: number, first: number, count: number): FilterTaps {
  if (inputSize === outputSize) return copyingTaps(first, count);
  const scale = inputSize / outputSize;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  const unnormalised = new Float64Array(stride);
  const inverse = 1 / filterScale;

  for (let i = 0; i < count; i++) {
    const center = (first + i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const taps = Math.min(Math.trunc(center + support + 0.5), inputSize) - start;
    let sum = 0;
    for (let x = 0; x < taps; x++) {
      const weight = bicubic((x + start - center + 0.5) * inverse);
      unnormalised[x] = weight;
      sum += weight;
    }
    for (let x = 0; x < taps; x++) {
      const weight = sum === 0 ? unnormalised[x]! : unnormalised[x]! / sum;
      weights[i * stride + x] = Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * ONE);
    }
    starts[i] = start;
    counts[i] = taps;
  }
  return { starts, counts, weights, stride };
}

/** An axis that keeps its length: weight 1 on the sample itself, which the rounding below gives back unchanged. */
function copyingTaps(first: number, count: number): FilterTaps {
  return {
    starts: Int32Array.from({ length: count }, (_, i) => first + i),
    counts: new Int32Array(count).fill(1),
    weights: new Int32Array(count).fill(ONE),
    stride: 1,
  };
}

/** Keys' cubic convolution with a = -0.5 (Keys 1981), in Pillow's order of operations. */
function bicubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}
