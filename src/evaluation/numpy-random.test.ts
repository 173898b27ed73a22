import { describe, expect, it } from "vitest";
import { numpyChoices } from "./numpy-random.js";

describe("numpyChoices", () => {
  // np.random.default_rng(12345).choice(below, size=…).tolist(), NumPy 2.4.6.
  it.each([
    [50, [34, 11, 39, 15, 10, 39, 32, 33, 49, 19, 41, 16]],
    [10_000, [6992, 2273, 7886, 3167, 2041, 7973, 6426, 6762, 9884, 3911, 8394, 3328]],
    // So near 2³² that many draws are refused.
    [3_000_000_000, [2097645094, 682008066, 2365940964, 950275018, 2392096371, 2028764011]],
    [1, [0, 0, 0]],
  ])("draws NumPy's numbers below %i", (below, expected) => {
    const draw = numpyChoices(12345, below);
    expect(expected.map(draw)).toEqual(expected);
  });

  it("draws the same for as long as you like", () => {
    const draw = numpyChoices(12345, 7);
    const numbers = Array.from({ length: 100_000 }, draw);
    expect(numbers.reduce((sum, number) => sum + number)).toBe(299_535);
    expect(numbers.slice(-5)).toEqual([0, 0, 4, 4, 2]);
  });
});
