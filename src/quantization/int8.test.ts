import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileProgram } from "../engine/compile.js";
import { createNativeEngine } from "../engine/native.js";
import { input, int8Product, multiply } from "../graph/index.js";
import { normalNumbers } from "../model/random.js";
import { chooseInt8 } from "./choose-int8.js";
import { type FloatWeight, fromInt8, int8Error, outputScales, STEPS, toInt8 } from "./int8.js";

function randomWeight(outputs: number, inputs: number, seed: number): FloatWeight {
  const normal = normalNumbers(seed);
  return { data: Float32Array.from({ length: outputs * inputs }, () => normal() * 0.05), outputs, inputs };
}

function randomInputs(rows: number, inputs: number, seed: number): { data: Float32Array; rows: number } {
  const normal = normalNumbers(seed);
  return { data: Float32Array.from({ length: rows * inputs }, normal), rows };
}

const even = (inputs: number): Float32Array => new Float32Array(inputs).fill(1);
const sizes = fc.tuple(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 90 }), fc.nat());

describe("a weight in int8", () => {
  it("comes back within half a step", () => {
    fc.assert(
      fc.property(
        sizes,
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        ([outputs, inputs, seed], unevenness) => {
          const weight = randomWeight(outputs, inputs, seed);
          const smoothing = Float32Array.from({ length: inputs }, (_, i) => unevenness ** (i % 3));
          const scales = { smoothing, scale: outputScales(weight, smoothing) };
          const steps = toInt8(weight, scales);
          expect(Math.max(...steps.map(Math.abs))).toBeLessThanOrEqual(STEPS);
          const back = fromInt8(steps, scales);
          for (let o = 0; o < outputs; o++)
            for (let i = 0; i < inputs; i++) {
              const difference = Math.abs(back[o * inputs + i]! - weight.data[o * inputs + i]!);
              expect(difference).toBeLessThanOrEqual(0.5001 * scales.scale[o]! * smoothing[i]!);
            }
        },
      ),
    );
  });

  it("that is all zero stays zero", () => {
    const weight = { data: new Float32Array(12), outputs: 3, inputs: 4 };
    const scales = { smoothing: even(4), scale: outputScales(weight, even(4)) };
    expect(fromInt8(toInt8(weight, scales), scales)).toEqual(new Float32Array(12));
  });
});

describe("the engine's product", () => {
  it("equals the one in float32 to within the measured error, and a row does not depend on the others", async () => {
    const engine = await createNativeEngine();
    const [outputs, inputs, rows] = [96, 64, 7];
    const x = input("x", "float32", ["rows", inputs]);
    const product = int8Product(
      multiply(x, input("smoothing", "float32", [inputs])),
      input("weight", "int8", [inputs, outputs]),
      input("scale", "float32", [outputs]),
    );
    const program = await compileProgram(engine, { outputs: { y: product } });
    const weight = randomWeight(outputs, inputs, 1);
    const sample = randomInputs(rows, inputs, 2);
    // Rows of very different size, one of nothing.
    sample.data.forEach((value, i) => {
      sample.data[i] = value * [1, 100, 0.001, 0, 1, 1, 1][Math.floor(i / inputs)]!;
    });
    const { scales, error } = chooseInt8([weight], sample)[0]!;
    const run = async (data: Float32Array): Promise<Float32Array> => {
      const { y } = await program.run({
        x: { dtype: "float32", shape: [data.length / inputs, inputs], data },
        smoothing: { dtype: "float32", shape: [inputs], data: scales.smoothing },
        weight: { dtype: "int8", shape: [inputs, outputs], data: toInt8(weight, scales) },
        scale: { dtype: "float32", shape: [outputs], data: scales.scale },
      });
      return y!.data as Float32Array;
    };
    const together = await run(sample.data);
    let difference = 0;
    let total = 0;
    for (let row = 0; row < rows; row++) {
      const own = sample.data.slice(row * inputs, (row + 1) * inputs);
      const alone = await run(own);
      expect(alone).toEqual(together.slice(row * outputs, (row + 1) * outputs));
      for (let o = 0; o < outputs; o++) {
        const exact = own.reduce((sum, value, i) => sum + value * weight.data[o * inputs + i]!, 0);
        difference += (alone[o]! - exact) ** 2;
        total += exact ** 2;
      }
    }
    expect(Math.sqrt(difference / total)).toBeCloseTo(error, 3);
    expect(error).toBeLessThan(0.02);
    await engine.close();
  });
});

describe("the choice of smoothing", () => {
  it("undoes channels that are 50 times as large as the others", () => {
    const weight = randomWeight(200, 128, 3);
    const x = randomInputs(40, 128, 4);
    const plain = chooseInt8([weight], x)[0]!.error;
    const loud = (i: number): number => (i % 16 === 0 ? 50 : 1);
    const uneven = {
      weight: { ...weight, data: weight.data.map((value, at) => value / loud(at % 128)) },
      x: { ...x, data: x.data.map((value, at) => value * loud(at % 128)) },
    };
    const unsmoothed = { smoothing: even(128), scale: outputScales(uneven.weight, even(128)) };
    expect(int8Error(uneven.x, uneven.weight, unsmoothed)).toBeGreaterThan(10 * plain);
    expect(chooseInt8([uneven.weight], uneven.x)[0]!.error).toBeLessThan(1.3 * plain);
  });

  it("is one for all weights of an input", () => {
    const weights = [randomWeight(30, 16, 1), randomWeight(10, 16, 2), randomWeight(30, 16, 3)];
    const choices = chooseInt8(weights, randomInputs(9, 16, 4));
    expect(choices).toHaveLength(3);
    for (const { scales, error } of choices) {
      expect(scales.smoothing).toEqual(choices[0]!.scales.smoothing);
      expect(error).toBeLessThan(0.03);
    }
  });

  it("copes with inputs and weights that are never other than zero", () => {
    const weight = randomWeight(8, 6, 5);
    const x = randomInputs(5, 6, 6);
    weight.data.forEach((_, at) => {
      if (at % 6 === 1) weight.data[at] = 0;
    });
    x.data.forEach((_, at) => {
      if (at % 6 === 2) x.data[at] = 0;
    });
    const { error, scales } = chooseInt8([weight], x)[0]!;
    expect(error).toBeLessThan(0.03);
    expect([...scales.smoothing].every((factor) => Number.isFinite(factor) && factor > 0)).toBe(true);
  });
});
