import type { CompiledProgram } from "../engine/compile.js";
import type { CaptionerConfig } from "../model/config.js";
import { type CaptionedPicture, countTokens, makeBatch } from "./batch.js";
import { allocateFlat, type FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { gradientName } from "./train-program.js";

interface Total {
  lossSum: number;
  tokens: number;
}

/**
 * The gradient of a step's summed loss. Its pictures are split in equal parts: each of some workers takes one after
 * the other, and their sums are added in one order, so that equal steps give equal bits.
 */
export class GradientSum {
  readonly #workers: readonly FlatTensors[];
  /** The gradient of one part, where a worker has several. */
  readonly #parts: readonly FlatTensors[];

  constructor(
    private readonly program: CompiledProgram,
    private readonly parameters: FlatTensors,
    private readonly recipe: Recipe,
    private readonly config: CaptionerConfig,
  ) {
    const shapes = new Map(Object.entries(parameters.tensors).map(([name, { shape }]) => [name, shape]));
    const allocateEach = () => Array.from({ length: recipe.workers }, () => allocateFlat(shapes));
    this.#workers = allocateEach();
    this.#parts = recipe.gradientAccumulation > 1 ? allocateEach() : this.#workers;
  }

  /** The result of the last `compute`, in the order of the parameters' memory. */
  get sum(): Float32Array {
    return this.#workers[0]!.flat;
  }

  async compute(pictures: readonly CaptionedPicture[]): Promise<Total> {
    const share = pictures.length / this.recipe.workers;
    const totals = await Promise.all(
      this.#workers.map((_, worker) =>
        this.#work(worker, pictures.slice(worker * share, (worker + 1) * share)),
      ),
    );
    for (const { flat } of this.#workers.slice(1)) addInto(this.sum, flat);
    return totals.reduce((a, b) => ({ lossSum: a.lossSum + b.lossSum, tokens: a.tokens + b.tokens }));
  }

  async #work(worker: number, pictures: readonly CaptionedPicture[]): Promise<Total> {
    const { gradientAccumulation, maxLength } = this.recipe;
    const sum = this.#workers[worker]!;
    const part = this.#parts[worker]!;
    const into = Object.fromEntries(
      Object.entries(part.tensors).map(([name, { data }]) => [gradientName(name), data]),
    );
    const size = pictures.length / gradientAccumulation;
    const total = { lossSum: 0, tokens: 0 };
    if (part !== sum) sum.flat.fill(0);
    for (let start = 0; start < pictures.length; start += size) {
      const batch = makeBatch(pictures.slice(start, start + size), this.config, maxLength);
      const { lossSum } = await this.program.run({ ...this.parameters.tensors, ...batch }, into);
      total.lossSum += lossSum!.data[0] as number;
      total.tokens += countTokens(batch, this.config.ids.pad);
      if (part !== sum) addInto(sum.flat, part.flat);
    }
    return total;
  }
}

function addInto(sum: Float32Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
}
