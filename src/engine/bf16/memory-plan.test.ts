import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planMemory } from "./memory-plan.js";

const span = fc
  .record({ bytes: fc.nat(10_000), first: fc.nat(40), length: fc.nat(12) })
  .map(({ bytes, first, length }) => ({ bytes, first, last: first + length }));

describe("a memory plan", () => {
  it("keeps apart what is needed at one time, aligned and within its size", () => {
    fc.assert(
      fc.property(fc.array(span, { maxLength: 60 }), (spans) => {
        const { offsets, total } = planMemory(spans);
        spans.forEach((a, i) => {
          expect(offsets[i]! % 64).toBe(0);
          if (a.bytes > 0) expect(offsets[i]! + a.bytes).toBeLessThanOrEqual(total);
          spans.slice(0, i).forEach((b, j) => {
            const together = a.first <= b.last && b.first <= a.last && a.bytes > 0 && b.bytes > 0;
            const apart = offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!;
            expect(!together || apart).toBe(true);
          });
        });
      }),
    );
  });

  it("uses memory again that is needed no longer", () => {
    const chain = Array.from({ length: 100 }, (_, i) => ({ bytes: 640, first: i, last: i + 1 }));
    expect(planMemory(chain).total).toBe(2 * 640);
  });

  it("joins what lies side by side", () => {
    const small = [0, 1, 2].map((i) => ({ bytes: 64, first: i, last: 2 }));
    expect(planMemory([...small, { bytes: 192, first: 3, last: 3 }]).total).toBe(192);
  });
});
