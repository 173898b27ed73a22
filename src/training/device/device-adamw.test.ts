import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference } from "../../../test/support/tiny-model.js";
import { compileProgram } from "../../engine/compile.js";
import type { Engine, HostTensor } from "../../engine/engine.js";
import { createNativeEngine } from "../../engine/native.js";
import { adamWStep } from "../adamw.js";
import { SharedLoops } from "../shared-loops.js";
import { adamWProgram, squaresProgram } from "./device-adamw.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
const numbers = fc.infiniteStream(fc.float({ min: -100, max: 100, noNaN: true }));

function tensor(shape: readonly number[], values: fc.Stream<number>): HostTensor & { data: Float32Array } {
  const count = shape.reduce((a, b) => a * b, 1);
  return { dtype: "float32", shape, data: Float32Array.from([...values.take(count)]) };
}
const scalar = (value: number): HostTensor => ({
  dtype: "float32",
  shape: [],
  data: Float32Array.of(value),
});

it("is the step that the processors take, of a tensor of any shape", async () => {
  const loops = new SharedLoops(1);
  await fc.assert(
    fc.asyncProperty(
      ...([shapes, numbers, numbers, numbers, numbers] as const),
      fc.integer({ min: 1, max: 1000 }),
      async (shape, parameters, gradients, means, squares, step) => {
        const [parameter, gradient, mean] = [parameters, gradients, means].map((values) =>
          tensor(shape, values),
        ) as [ReturnType<typeof tensor>, ReturnType<typeof tensor>, ReturnType<typeof tensor>];
        const square = tensor(shape, squares);
        square.data.set(square.data.map(Math.abs));
        const program = await compileProgram(engine, adamWProgram(shape.length, options), { threads: 1 });
        const { newParameter, newMean, newSquare } = await program.run({
          ...{ parameter, gradient, mean, square },
          scale: scalar(0.25),
          learningRate: scalar(0.1),
          correctMean: scalar(1 / (1 - options.beta1 ** step)),
          correctSquare: scalar(1 / (1 - options.beta2 ** step)),
        });
        await program.close();

        const stretch = ({ data }: typeof mean) => ({ stretches: [data] });
        const memory = { parameters: stretch(parameter), gradients: stretch(gradient) };
        const moments = { mean: stretch(mean), square: stretch(square) };
        await adamWStep(loops, { ...memory, ...moments }, step, options, 0.1, 0.25);
        for (const [got, { data }] of [
          [newParameter, parameter],
          [newMean, mean],
          [newSquare, square],
        ] as const)
          expect(maxAbsoluteDifference(got!.data as Float32Array, data)).toBeLessThanOrEqual(
            1e-6 * Math.max(1, maxAbsolute(data)),
          );
      },
    ),
    { numRuns: 30 },
  );
});

it("adds up squares of tensors of any shape", async () => {
  await fc.assert(
    fc.asyncProperty(shapes, numbers, async (shape, values) => {
      const x = tensor(shape, values);
      const program = await compileProgram(engine, squaresProgram(shape.length), { threads: 1 });
      const { squares } = await program.run({ before: scalar(7), x });
      await program.close();
      const expected = x.data.reduce((sum, value) => sum + value * value, 7);
      expect((squares!.data[0] as number) / expected).toBeCloseTo(1, 5);
    }),
    { numRuns: 30 },
  );
});
