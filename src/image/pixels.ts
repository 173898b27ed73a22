import { LingolensError } from "../errors.js";

/** A decoded picture: 8-bit samples, rows from the top, RGB interleaved. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `height * width * 3` bytes: [height, width, RGB]. */
  readonly data: Uint8Array;
}

/** What a browser's canvas gives (`ImageData`): samples interleaved as RGBA. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  /** `height * width * 4` bytes: [height, width, RGBA]. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * Takes a caller's pixels, RGB or RGBA by the length of `data`. Alpha is dropped, not composited, as PIL's
 * `convert("RGB")` does.
 * @throws {LingolensError} `shape-mismatch` when size and data do not fit together.
 */
export function rgbFromPixels(image: RgbaImage | RgbImage): RgbImage {
  const { width, height, data } = image;
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new LingolensError(
      "shape-mismatch",
      `A picture's width and height must be whole numbers from 1; got ${width} x ${height}.`,
    );
  }
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new LingolensError(
      "shape-mismatch",
      "A picture's samples must be a Uint8Array or a Uint8ClampedArray, one byte a sample.",
    );
  }
  const pixels = width * height;
  if (data.length === pixels * 3) {
    return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  }
  if (data.length !== pixels * 4) {
    throw new LingolensError(
      "shape-mismatch",
      `A picture of ${width} x ${height} has ${pixels * 3} bytes as RGB or ${pixels * 4} as RGBA; got ${data.length}.`,
    );
  }
  const rgb = new Uint8Array(pixels * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + 1]!;
    rgb[to + 2] = data[from + 2]!;
  }
  return { width, height, data: rgb };
}
