import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.js";

const allHalves = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);

/** The definition of binary16, spelt out. */
function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Nearest neighbour, ties to even, by search among the finite magnitudes in ascending order. */
function nearest(value: number, magnitudes: Float64Array, infinity: number): number {
  const magnitude = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  let low = 0;
  let high = magnitudes.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (magnitudes[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const last = magnitudes.length - 1;
  if (magnitude >= magnitudes[last]!) {
    const overflow = magnitudes[last]! + (magnitudes[last]! - magnitudes[last - 1]!) / 2;
    return sign | (magnitude >= overflow ? infinity : last);
  }
  const below = magnitude - magnitudes[low]!;
  const above = magnitudes[high]! - magnitude;
  if (below !== above) return sign | (below < above ? low : high);
  return sign | (low % 2 === 0 ? low : high);
}

const float16Magnitudes = Float64Array.from({ length: 0x7c00 }, (_, half) => float16Value(half));
const bfloat16Magnitudes = Float64Array.from(bfloat16ToFloat32(allHalves.subarray(0, 0x7f80)));

/** Values around both formats' limits and midpoints as well as anywhere. */
const anyFloat = fc.oneof(
  fc.float({ noNaN: true }),
  fc.float({ noNaN: true, min: -70000, max: 70000 }),
  fc.float({ noNaN: true, min: Math.fround(-(2 ** -13)), max: Math.fround(2 ** -13) }),
  fc.nat(0x7bfe).map((half) => (float16Value(half) + float16Value(half + 1)) / 2),
  fc.constantFrom(-0, 65504, 65519.996, 65520, 2 ** -25, 2 ** -24, 2 ** -14, Number.POSITIVE_INFINITY),
);

describe("float16", () => {
  it("widens every value by the definition", () => {
    const values = float16ToFloat32(allHalves);
    for (const half of allHalves) {
      if (!Object.is(values[half], float16Value(half))) {
        expect(values[half], `bits ${half.toString(16)}`).toBe(float16Value(half));
      }
    }
    expect(values).toHaveLength(1 << 16);
  });

  it("gives every value back unchanged", () => {
    const back = float32ToFloat16(float16ToFloat32(allHalves));
    const changed = allHalves.filter((half) => back[half] !== half);
    // Signalling NaNs become quiet, and nothing else changes.
    expect(changed.every((half) => Number.isNaN(float16Value(half)) && back[half] === (half | 0x200))).toBe(
      true,
    );
    expect(changed).toHaveLength(2 * 511);
  });

  it("rounds to the nearest, ties to even", () => {
    fc.assert(
      fc.property(anyFloat, (value) => {
        expect(float32ToFloat16(Float32Array.of(value))[0]).toBe(nearest(value, float16Magnitudes, 0x7c00));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("bfloat16", () => {
  it("gives every value back unchanged", () => {
    const back = float32ToBfloat16(bfloat16ToFloat32(allHalves));
    const changed = allHalves.filter((half) => back[half] !== half);
    expect(changed.every((half) => (half & 0x7fff) > 0x7f80 && back[half] === (half | 0x40))).toBe(true);
    expect(changed).toHaveLength(2 * 63);
  });

  it("rounds to the nearest, ties to even", () => {
    expect([...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc000))]).toEqual([1, -2]);
    fc.assert(
      fc.property(anyFloat, (value) => {
        const single = Math.fround(value);
        expect(float32ToBfloat16(Float32Array.of(single))[0]).toBe(
          nearest(single, bfloat16Magnitudes, 0x7f80),
        );
      }),
      { numRuns: 2000 },
    );
  });
});
