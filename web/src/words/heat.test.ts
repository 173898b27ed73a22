import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { areaSeen, heatMap, regionOf } from "./heat.js";

const clip = { size: { shortestEdge: 224 }, cropSize: { width: 224, height: 224 } };

describe("heatMap", () => {
  it("lies between 0 and 1, wherever a word looked", () => {
    const attention = fc
      .integer({ min: 1, max: 8 })
      .chain((side) =>
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: side ** 2, maxLength: side ** 2 }),
      );
    fc.assert(
      fc.property(attention, (given) => {
        const { side, values } = heatMap(given);
        expect(values).toHaveLength(side * side);
        expect(values.every((value) => value >= 0 && value <= 1)).toBe(true);
      }),
    );
  });

  it("is brightest in the middle of the patch that was looked at most", () => {
    const attention = new Array<number>(49).fill(0.01);
    attention[2 * 7 + 5] = 0.6;
    const { side, values } = heatMap(attention);
    const brightest = values.indexOf(Math.max(...values));
    expect(Math.floor(((brightest % side) / side) * 7)).toBe(5);
    expect(Math.floor((Math.floor(brightest / side) / side) * 7)).toBe(2);
  });

  it("runs on evenly from patch to patch", () => {
    const { side, values } = heatMap([0, 1, 0, 1]);
    const row = [...values.subarray(0, side)];
    expect(row).toEqual(row.toSorted((a, b) => a - b));
    expect(row[0]).toBeCloseTo(0);
    expect(row.at(-1)).toBeCloseTo(1);
  });

  it("is dark where all is alike", () => {
    expect(Math.max(...heatMap([0.25, 0.25, 0.25, 0.25]).values)).toBe(0);
  });
});

describe("areaSeen", () => {
  const rounded = (...given: Parameters<typeof areaSeen>) =>
    Object.fromEntries(
      Object.entries(areaSeen(...given)).map(([name, share]) => [name, Number(share.toFixed(9))]),
    );

  it("is the middle square of a picture that is cropped", () => {
    expect(rounded(clip, { width: 400, height: 200 })).toEqual({
      left: 0.25,
      top: 0,
      width: 0.5,
      height: 1,
    });
    expect(rounded(clip, { width: 100, height: 100 })).toEqual({ left: 0, top: 0, width: 1, height: 1 });
    expect(rounded({ ...clip, size: { shortestEdge: 256 } }, { width: 100, height: 200 })).toEqual({
      left: 0.0625,
      top: 0.28125,
      width: 0.875,
      height: 0.4375,
    });
  });

  it("is all of a picture that is squeezed", () => {
    const squeezed = { ...clip, size: { width: 224, height: 224 } };
    expect(rounded(squeezed, { width: 300, height: 100 })).toEqual({ left: 0, top: 0, width: 1, height: 1 });
  });
});

describe("regionOf", () => {
  it("names the ninth that was looked at most", () => {
    const at = (row: number, column: number): number[] =>
      Array.from({ length: 144 }, (_, i) => (i === row * 12 + column ? 1 : 0));
    expect(regionOf(at(0, 0))).toBe("top left");
    expect(regionOf(at(5, 6))).toBe("centre");
    expect(regionOf(at(6, 11))).toBe("right");
    expect(regionOf(at(11, 4))).toBe("bottom");
  });
});
