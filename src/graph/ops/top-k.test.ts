import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compileProgram } from "../../engine/compile.js";
import type { Engine } from "../../engine/engine.js";
import { createNativeEngine } from "../../engine/native.js";
import { input, topK } from "../index.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

/** Of widths that are gone through one by one, that blocks of 16 or fewer make up, and that they do not. */
it.each([1, 7, 1000, 1024, 1030, 2170, 4096, 4099])("finds the k largest of %i elements", async (width) => {
  const outputs = topK(input("x", "float32", ["rows", width]), input("k", "int64", ["k"]));
  const program = await compileProgram(engine, { outputs });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: width }),
      fc.integer(),
      async (rows, k, seed) => {
        const data = distinct(rows * width, seed);
        const { values, indices } = await program.run({
          x: { dtype: "float32", shape: [rows, width], data },
          k: { dtype: "int64", shape: [k], data: new BigInt64Array(k) },
        });
        for (let row = 0; row < rows; row++) {
          const own = data.subarray(row * width, (row + 1) * width);
          const order = [...own.keys()].sort((a, b) => own[b]! - own[a]!).slice(0, k);
          const part = [row * k, (row + 1) * k] as const;
          expect([...(indices!.data as BigInt64Array).slice(...part)].map(Number)).toEqual(order);
          expect([...(values!.data as Float32Array).slice(...part)]).toEqual(order.map((i) => own[i]));
        }
      },
    ),
    { numRuns: 20 },
  );
  await program.close();
});

it("gives equal elements each its own place", async () => {
  const outputs = topK(input("x", "float32", ["rows", 2048]), input("k", "int64", ["k"]));
  const program = await compileProgram(engine, { outputs });
  const data = new Float32Array(2048).map((_, i) => (i % 100 === 0 ? 1 : 0));
  const { indices } = await program.run({
    x: { dtype: "float32", shape: [1, 2048], data },
    k: { dtype: "int64", shape: [21], data: new BigInt64Array(21) },
  });
  const found = [...(indices!.data as BigInt64Array)].map(Number).sort((a, b) => a - b);
  expect(found).toEqual(Array.from({ length: 21 }, (_, i) => i * 100));
  await program.close();
});

/** Numbers around zero in an order that the seed decides, none twice. */
function distinct(count: number, seed: number): Float32Array {
  const data = Float32Array.from({ length: count }, (_, i) => i - count / 2);
  let state = seed | 1;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const j = (state >>> 8) % (i + 1);
    [data[i], data[j]] = [data[j]!, data[i]!];
  }
  return data;
}
