import type { Engine } from "../engine/engine.js";
import type { CaptionerConfig } from "../model/config.js";
import { adamWStep, globalNorm } from "./adamw.js";
import type { CaptionedPicture } from "./batch.js";
import type { Collective } from "./collective/collective.js";
import { type EvaluationPrograms, hostEvaluation } from "./evaluation-programs.js";
import { GradientProgram, type GradientTotal } from "./gradient-program.js";
import { GradientSum } from "./gradient-sum.js";
import type { Learner } from "./learner.js";
import { shareOfMemory, type TrainingMemory } from "./parameters.js";
import { measureProductSpeed } from "./product-speed.js";
import type { DecidedRecipe } from "./run-dtype.js";
import { roundFrozen, roundGathered, roundParameters, type SharedLoops } from "./shared-loops.js";

export interface HostLearnerOptions {
  readonly config: CaptionerConfig;
  readonly recipe: DecidedRecipe;
  readonly memory: TrainingMemory;
  readonly collective: Collective;
  readonly loops: SharedLoops;
  readonly threads: number;
  /** The token that dropped inputs become. */
  readonly maskId: number;
  /** Pictures whose gradient is computed at a time. */
  readonly partSize: number;
}

/** Trains on this machine's processors, in the training memory itself: with other ranks, each its share. */
export class HostLearner implements Learner {
  readonly #sum: GradientSum;

  private constructor(
    private readonly engine: Engine,
    private readonly options: HostLearnerOptions,
    private readonly program: GradientProgram,
  ) {
    const { loops, memory, recipe, config, collective } = options;
    this.#sum = new GradientSum(program, loops, memory, recipe, config, collective);
  }

  static async create(engine: Engine, options: HostLearnerOptions): Promise<HostLearner> {
    const { config, recipe, memory, loops, threads, maskId, partSize } = options;
    const program = await GradientProgram.compile(engine, config, {
      ...recipe,
      maskId,
      trainable: new Set(Object.keys(memory.gradients.tensors)),
      maxTokens: partSize * recipe.languages.length * recipe.maxLength,
      threads: Math.max(1, Math.floor(threads / recipe.workers)),
    });
    roundFrozen(memory);
    await roundParameters(loops, memory.parameters);
    return new HostLearner(engine, options, program);
  }

  gradient(pictures: readonly CaptionedPicture[], step: number, first: number): Promise<GradientTotal> {
    return this.#sum.compute(pictures, step, first);
  }

  norm(): Promise<number> {
    const { loops, collective } = this.options;
    return globalNorm(loops, this.#own().gradients, collective);
  }

  async update(step: number, learningRate: number, scale: number): Promise<void> {
    const { loops, memory, recipe, collective } = this.options;
    await adamWStep(loops, this.#own(), step, recipe, learningRate, scale);
    for (const stretch of memory.parameters.stretches) await collective.allGather(stretch);
    if (collective.size > 1) await roundGathered(loops, memory.parameters, collective);
  }

  #own() {
    return shareOfMemory(this.options.memory, this.options.collective);
  }

  async bringHome(): Promise<void> {}

  evaluation(): Promise<EvaluationPrograms> {
    const { config, memory, threads } = this.options;
    return hostEvaluation(this.engine, config, memory.parameters, threads);
  }

  productSpeed(rows: number): Promise<number> {
    const { config, recipe, threads } = this.options;
    return measureProductSpeed(this.engine, config, rows, { threads, dtype: recipe.dtype });
  }

  close(): Promise<void> {
    return this.program.close();
  }
}
