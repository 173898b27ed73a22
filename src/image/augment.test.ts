import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mirrored, randomSquare } from "./augment.js";
import type { RgbImage } from "./pixels.js";

/** Red says the column, green the row. */
function picture(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set([i % width, Math.floor(i / width), 7], i * 3);
  return { width, height, data };
}

const side = fc.integer({ min: 1, max: 60 });
const share = fc.double({ min: 0, max: 0.999, noNaN: true });

describe("randomSquare", () => {
  it("is a part of the picture, of the area asked for", () => {
    fc.assert(
      fc.property(side, side, share, share, share, share, (width, height, leastArea, ...randoms) => {
        const random = () => randoms.shift()!;
        const square = randomSquare(picture(width, height), leastArea, random);
        const size = square.width;
        expect(square.height).toBe(size);
        expect(size).toBeLessThanOrEqual(Math.min(width, height));
        expect(size + 0.5).toBeGreaterThanOrEqual(Math.sqrt(leastArea) * Math.min(width, height));
        const [left, top] = square.data;
        expect(left! + size).toBeLessThanOrEqual(width);
        expect(top! + size).toBeLessThanOrEqual(height);
        for (let y = 0; y < size; y++)
          for (let x = 0; x < size; x++)
            expect([...square.data.subarray((y * size + x) * 3, (y * size + x + 1) * 3)]).toEqual([
              left! + x,
              top! + y,
              7,
            ]);
      }),
      { numRuns: 50 },
    );
  });
});

describe("mirrored", () => {
  it("exchanges columns, and twice gives the picture again", () => {
    const original = picture(5, 3);
    const other = mirrored(original);
    expect([...other.data.subarray(0, 3)]).toEqual([4, 0, 7]);
    expect(mirrored(other)).toEqual(original);
  });
});
