import { compileProgram } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { grad } from "./gradient.js";
import { multiply } from "./ops/elementwise.js";
import { sum } from "./ops/reduce.js";
import { type Dimension, evaluateDimension, type Shape, type Sizes } from "./shape.js";
import { input, type Tensor } from "./tensor.js";

export interface DifferenceCheck {
  /** Shapes of the float32 inputs; names in them are sized by `sizes`. */
  readonly shapes: readonly (readonly Dimension[])[];
  readonly sizes?: Sizes;
  /** Further inputs that have no gradient, such as ids. */
  readonly fixed?: Readonly<Record<string, HostTensor>>;
  /** The function under test; `fixed` inputs are built by itself. */
  readonly build: (...inputs: Tensor[]) => Tensor;
  /** Gives numbers in [0, 1). */
  readonly random: () => number;
  /** Values of an input's elements. Default: between −1.5 and 1.5. */
  readonly value?: (random: () => number) => number;
}

/**
 * How far a gradient is from what finite differences say: with weights w and a direction d, both random, compares
 * the graph's ∇Σw·f(x) · d with (Σw·f(x + hd) − Σw·f(x − hd)) / 2h. The result is relative to their size.
 */
export async function gradientError(engine: Engine, check: DifferenceCheck): Promise<number> {
  const { shapes, sizes = new Map(), fixed = {}, build, random, value = (r) => 3 * r() - 1.5 } = check;
  const inputs = shapes.map((shape, i) => input(`x${i}`, "float32", shape));
  const result = build(...inputs);
  const weights = input("weights", "float32", result.shape);
  const loss = sum(multiply(result, weights));
  const gradients = grad(loss, inputs);
  const program = await compileProgram(engine, {
    outputs: { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`g${i}`, gradient])) },
  });

  const known = (shape: Shape) => shape.map((dimension) => evaluateDimension(dimension, sizes));
  const concrete = shapes.map(known);
  const weighting = known(result.shape);
  const fedWeights: HostTensor = {
    dtype: "float32",
    shape: weighting,
    data: filled(weighting, () => 2 * random() - 1),
  };
  const points = concrete.map((shape) => filled(shape, () => value(random)));
  const directions = concrete.map((shape) => filled(shape, () => 2 * random() - 1));
  const run = (step: number) => {
    const moved = points.map((point, i) => ({
      dtype: "float32" as const,
      shape: concrete[i]!,
      data: point.map((x, j) => x + step * directions[i]![j]!),
    }));
    return program.run({
      ...Object.fromEntries(moved.map((tensor, i) => [`x${i}`, tensor])),
      weights: fedWeights,
      ...fixed,
    });
  };
  try {
    const step = 1e-2;
    const lossAt = async (at: number) => (await run(at)).loss!.data[0] as number;
    const numeric = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    const here = await run(0);
    let analytic = 0;
    let size = 1;
    directions.forEach((direction, i) => {
      const gradient = here[`g${i}`]!.data as Float32Array;
      direction.forEach((d, j) => {
        analytic += d * gradient[j]!;
        size += Math.abs(d * gradient[j]!);
      });
    });
    return Math.abs(analytic - numeric) / size;
  } finally {
    await program.close();
  }
}

function filled(shape: readonly number[], value: () => number): Float32Array {
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value);
}
