import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputDropout } from "./input-dropout.js";

const MASK = 99;
const ids = (pictures: number, captions: number, length: number) => ({
  dtype: "int64" as const,
  shape: [pictures, captions, length],
  data: BigInt64Array.from({ length: pictures * captions * length }, (_, i) => BigInt(i % 50)),
});
const key = { seed: 42, step: 3 };
const masked = (rate: number, of: ReturnType<typeof ids>, firstPicture = 0, at = key) =>
  new InputDropout(rate, MASK).apply(of, at, firstPicture).data as BigInt64Array;

describe("word dropout", () => {
  it("masks about the share asked for, and never the start token and the language", () => {
    const all = ids(20, 4, 52);
    const data = masked(0.3, all);
    const rows = Array.from({ length: 80 }, (_, row) => data.subarray(52 * row, 52 * (row + 1)));
    for (const [row, tokens] of rows.entries())
      expect(tokens.slice(0, 2)).toEqual(all.data.slice(52 * row, 52 * row + 2));
    const share = data.filter((id) => id === BigInt(MASK)).length / (80 * 50);
    expect(share).toBeGreaterThan(0.27);
    expect(share).toBeLessThan(0.33);
    data.forEach((id, i) => {
      expect([all.data[i], BigInt(MASK)]).toContain(id);
    });
  });

  it("leaves all as it is without a rate", () => {
    const all = ids(2, 2, 5);
    expect(new InputDropout(0, MASK).apply(all, key, 0)).toBe(all);
  });

  it("decides alike however the pictures are split and the captions padded, and otherwise at another step", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 3, max: 12 }), (split, length) => {
        const whole = masked(0.5, ids(6, 2, 12));
        const places = (data: BigInt64Array, width: number) =>
          Array.from({ length: data.length / width }, (_, row) =>
            [...data.subarray(row * width, row * width + length)].map((id) => id === BigInt(MASK)),
          );
        const part = masked(0.5, ids(6 - split, 2, length), split);
        expect(places(part, length)).toEqual(places(whole, 12).slice(2 * split));
      }),
    );
    expect(masked(0.5, ids(6, 2, 12), 0, { ...key, step: 4 })).not.toEqual(masked(0.5, ids(6, 2, 12)));
  });
});
