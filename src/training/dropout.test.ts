import { describe, expect, it } from "vitest";
import { input } from "../graph/index.js";
import { Dropout } from "./dropout.js";
import { threefry, type Words } from "./threefry.js";

const hex = (words: Int32Array) =>
  [...words].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join(" ");

it.each([
  // The known answers of Random123, the authors' library (kat_vectors, threefry4x32 with 20 rounds).
  [[0, 0, 0, 0], [0, 0, 0, 0], "9c6ca96a e17eae66 fc10ecd4 5256a7d8"],
  [[-1, -1, -1, -1], [-1, -1, -1, -1], "2a881696 57012287 f6c7446e a16a6732"],
  [
    [0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89],
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    "59cd1dbb b8879579 86b5d00c ac8b6d84",
  ],
] as [Words, Words, string][])("threefry under key %j at %j", (key, [a, b, c, d], words) => {
  const into = new Int32Array(4);
  threefry(key, a, b, c, d, into);
  expect(hex(into)).toBe(words);
});

describe("masks", () => {
  /** Of two places, 60 wide. */
  function dropoutOf(rate: number): Dropout {
    const dropout = new Dropout(rate);
    const x = input("x", "float32", ["captions*pictures", "length", 60]);
    dropout.apply(dropout.apply(x));
    return dropout;
  }
  const data = (masks: ReturnType<Dropout["masks"]>, place: number) =>
    masks[`dropout.${place}`]!.data as Uint8Array;

  it("keep as many as the rate says, each place others", () => {
    const masks = dropoutOf(0.1).masks({ seed: 1, step: 2 }, 0, [8, 4, 50]);
    const [a, b] = [data(masks, 0), data(masks, 1)];
    expect(a).toHaveLength(8 * 4 * 50 * 60);
    const kept = (mask: Uint8Array) => mask.reduce((sum, x) => sum + x, 0) / mask.length;
    // Of 96,000 the deviation of the share is 0.001.
    expect(Math.abs(kept(a) - 0.9)).toBeLessThan(0.004);
    expect(Math.abs(kept(b) - 0.9)).toBeLessThan(0.004);
    // Two independent masks drop an element both in one of a hundred cases.
    const both = a.reduce((sum, x, i) => sum + (x === 0 && b[i] === 0 ? 1 : 0), 0) / a.length;
    expect(Math.abs(both - 0.01)).toBeLessThan(0.002);
  });

  it("are of a picture's place in the step, however it is split and padded", () => {
    const dropout = dropoutOf(0.5);
    const key = { seed: 3, step: 4 };
    const whole = data(dropout.masks(key, 0, [6, 3, 10]), 1);
    const part = data(dropout.masks(key, 4, [2, 2, 7]), 1);
    for (let picture = 0; picture < 2; picture++)
      for (let caption = 0; caption < 2; caption++)
        for (let position = 0; position < 7; position++) {
          const inWhole = (((picture + 4) * 3 + caption) * 10 + position) * 60;
          const inPart = ((picture * 2 + caption) * 7 + position) * 60;
          expect(part.subarray(inPart, inPart + 60)).toEqual(whole.subarray(inWhole, inWhole + 60));
        }
  });

  it("are none without a rate", () => {
    const x = input("x", "float32", ["captions*pictures", "length", 60]);
    const dropout = new Dropout(0);
    expect(dropout.apply(x)).toBe(x);
    expect(dropout.masks({ seed: 1, step: 1 }, 0, [1, 1, 1])).toEqual({});
  });
});
