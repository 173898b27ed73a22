import { afterAll, beforeAll, expect, it } from "vitest";
import { compileProgram, type HostTensors } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { input, slice, type Tensor } from "../graph/index.js";
import { type SearchedGraph, searchStep } from "./search-step.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const HYPOTHESES = 3;

it.each([
  { widths: [4096, 4096, 2170], k: 10, edits: 2 },
  { widths: [2048, 1031], k: 12, edits: 0 },
  { widths: [1200, 1100, 1300], k: 5, edits: 7 },
  { widths: [1024, 1024, 60], k: 50, edits: 3 },
  { widths: [1600, 300], k: 200, edits: 1 },
])("finds in $widths.length parts what it finds in one: $k of $widths", async ({ widths, k, edits }) => {
  const vocabulary = widths.reduce((sum, width) => sum + width);
  const feeds: HostTensors = {
    hidden: float32([1, 1, HYPOTHESES, 1], () => 0),
    logits: float32([HYPOTHESES, vocabulary], (i) => 40 * Math.sin(i * 7919 + 3) + 1e-3 * (i % 13)),
    wanted: int64([HYPOTHESES], (i) => i),
    k: int64([k]),
    // Beginnings and ends of the parts among them.
    edited: int64([HYPOTHESES, edits], (i) => ([0, vocabulary - 1, ...widths][i] ?? i * 97) % vocabulary),
  };
  const run = async (parts: readonly number[]): Promise<HostTensors> => {
    const outputs = searchStep(logitsInParts(parts), { cross: [], crossBias: input("none", "float32", [1]) });
    const program = await compileProgram(engine, { outputs });
    const results = await program.run(feeds);
    await program.close();
    return results;
  };
  const [whole, inParts] = [await run([vocabulary]), await run(widths)];
  expect(inParts.topIds!.data).toEqual(whole.topIds!.data);
  expect(inParts.topLogits!.data).toEqual(whole.topLogits!.data);
  expect(inParts.editedLogits!.data).toEqual(whole.editedLogits!.data);
  for (let row = 0; row < HYPOTHESES; row++)
    expect(inParts.logSumExp!.data[row]).toBeCloseTo(whole.logSumExp!.data[row] as number, 4);
});

/** A model without layers, whose logits are an input. */
function logitsInParts(widths: readonly number[]): SearchedGraph {
  const vocabularySize = widths.reduce((sum, width) => sum + width);
  return {
    config: { decoder: { layers: 0, heads: 1, hiddenSize: 1, vocabularySize }, ids: { pad: 0 } },
    decode: () => ({
      lastHiddenState: input("hidden", "float32", ["pictures", "searches", "length", 1]),
      own: [],
    }),
    headBlocks: () => {
      const logits = input("logits", "float32", ["hypotheses", vocabularySize]);
      let start = 0;
      return widths.map((width): Tensor => {
        start += width;
        return slice(logits, 1, start - width, start);
      });
    },
  };
}

function float32(shape: readonly number[], value: (i: number) => number): HostTensor {
  return { dtype: "float32", shape, data: Float32Array.from({ length: count(shape) }, (_, i) => value(i)) };
}

function int64(shape: readonly number[], value: (i: number) => number = () => 0): HostTensor {
  const data = BigInt64Array.from({ length: count(shape) }, (_, i) => BigInt(value(i)));
  return { dtype: "int64", shape, data };
}

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
