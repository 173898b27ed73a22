import type { CaptionerConfig } from "../model/config.js";
import { type CaptionedPicture, makeBatch } from "./batch.js";
import { type Collective, sumOverRanks } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import { addTotals, type GradientProgram, type GradientTotal, nothing } from "./gradient-program.js";
import { allocateFlat, type FlatTensors, type ParameterShapes, type TrainingMemory } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { addLoop, type SharedLoops } from "./shared-loops.js";

/**
 * The gradient of a step's summed loss, into this rank's share of `memory.gradients`. A rank's pictures are split in equal
 * parts: each of some workers takes one after the other. Their sums, and those of the ranks, are added in one order, so that
 * equal steps give equal bits.
 */
export class GradientSum {
  readonly #workers: readonly FlatTensors[];
  /** The gradient of one part, where a worker has several. */
  readonly #parts: readonly FlatTensors[];

  constructor(
    private readonly program: GradientProgram,
    private readonly loops: SharedLoops,
    private readonly memory: TrainingMemory,
    private readonly recipe: Recipe,
    private readonly config: CaptionerConfig,
    private readonly collective: Collective = oneProcess,
  ) {
    const shapes: ParameterShapes = new Map(
      Object.entries(memory.gradients.tensors).map(([name, { shape }]) => [name, shape]),
    );
    const others = Array.from({ length: recipe.workers - 1 }, () => allocateFlat(shapes));
    this.#workers = [memory.gradients, ...others];
    this.#parts =
      recipe.gradientAccumulation > 1 ? this.#workers.map(() => allocateFlat(shapes)) : this.#workers;
  }

  /**
   * @param pictures this rank's
   * @param step the optimiser step that they are of
   * @param first where in that step's pictures they begin
   * @returns the total of all ranks
   */
  async compute(pictures: readonly CaptionedPicture[], step: number, first = 0): Promise<GradientTotal> {
    const share = pictures.length / this.recipe.workers;
    const totals = await Promise.all(
      this.#workers.map((_, worker) => {
        const start = worker * share;
        return this.#work(worker, pictures.slice(start, start + share), step, first + start);
      }),
    );
    const [sum, ...others] = this.#workers as [FlatTensors, ...FlatTensors[]];
    for (const other of others) await this.loops.run(addLoop, [sum, other]);
    for (const stretch of sum.stretches) await this.collective.reduceScatter(stretch);
    const own = totals.reduce(addTotals);
    const [lossSum, tokens, operations] = (await sumOverRanks(this.collective, [
      own.lossSum,
      own.tokens,
      own.operations,
    ])) as [number, number, number];
    return { lossSum, tokens, operations };
  }

  async #work(
    worker: number,
    pictures: readonly CaptionedPicture[],
    step: number,
    first: number,
  ): Promise<GradientTotal> {
    const { gradientAccumulation, maxLength, seed } = this.recipe;
    const sum = this.#workers[worker]!;
    const part = this.#parts[worker]!;
    const size = pictures.length / gradientAccumulation;
    let total = nothing;
    if (part !== sum) for (const stretch of sum.stretches) stretch.fill(0);
    for (let start = 0; start < pictures.length; start += size) {
      const batch = makeBatch(pictures.slice(start, start + size), this.config, maxLength);
      const place = { seed, step, firstPicture: first + start };
      total = addTotals(total, await this.program.run(this.memory.parameters, batch, place, part));
      if (part !== sum) await this.loops.run(addLoop, [sum, part]);
    }
    return total;
  }
}
