import type { DeviceEngine } from "../../engine/device/device-engine.js";
import type { DeviceProgram } from "../../engine/device/device-program.js";
import type { DeviceTensor } from "../../engine/device/device-tensor.js";
import {
  add,
  divide,
  input,
  multiply,
  type Program,
  sqrt,
  subtract,
  sum,
  type Tensor,
} from "../../graph/index.js";
import type { AdamWOptions } from "../adamw.js";

/** Float32 tensors of a rank and any size; those that are given one name of a size have it alike. */
const tensorOf = (rank: number) => (name: string) =>
  input(
    name,
    "float32",
    Array.from({ length: rank }, (_, axis) => `d${axis}`),
  );
const number = (name: string): Tensor => input(name, "float32", []);

/** The sum of two. */
export function addProgram(rank: number): Program {
  const tensor = tensorOf(rank);
  return { outputs: { sum: add(tensor("before"), tensor("part")) } };
}

/** A number and the squares of a tensor's elements: row by row first, so that many are added at once. */
export function squaresProgram(rank: number): Program {
  const x = tensorOf(rank)("x");
  const rows = sum(multiply(x, x), { axes: [-1] });
  return { outputs: { squares: add(number("before"), sum(rows)) } };
}

/** As `adamWStep`, of one parameter, in float32. */
export function adamWProgram(rank: number, options: AdamWOptions): Program {
  const { beta1, beta2, epsilon, weightDecay } = options;
  const tensor = tensorOf(rank);
  const parameter = tensor("parameter");
  const gradient = multiply(tensor("gradient"), number("scale"));
  const mean = add(multiply(tensor("mean"), beta1), multiply(gradient, 1 - beta1));
  const square = add(multiply(tensor("square"), beta2), multiply(multiply(gradient, gradient), 1 - beta2));
  const deviation = add(sqrt(multiply(square, number("correctSquare"))), epsilon);
  const update = divide(multiply(mean, number("correctMean")), deviation);
  const change = multiply(add(update, multiply(parameter, weightDecay)), number("learningRate"));
  return { outputs: { newParameter: subtract(parameter, change), newMean: mean, newSquare: square } };
}

/** The programs of a kind by their tensors' rank, compiled when first asked for. */
export class ByRank {
  readonly #programs = new Map<number, Promise<DeviceProgram>>();

  constructor(
    private readonly device: DeviceEngine,
    private readonly make: (rank: number) => Program,
  ) {}

  for({ shape }: DeviceTensor): Promise<DeviceProgram> {
    let program = this.#programs.get(shape.length);
    if (!program) {
      program = this.device.compileResident(this.make(shape.length));
      this.#programs.set(shape.length, program);
    }
    return program;
  }

  async close(): Promise<void> {
    const programs = await Promise.allSettled(this.#programs.values());
    await Promise.all(programs.map((one) => (one.status === "fulfilled" ? one.value.close() : undefined)));
  }
}
