import { mkdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { compileProgram } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { scoreOutputs } from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import { removeLeftovers, writeFileAtomically, writeFolderAtomically } from "../weights/atomic-file.js";
import { adamWStep, globalNorm } from "./adamw.js";
import { saveCheckpoint, type TrainingState } from "./checkpoint.js";
import type { TrainingData } from "./data.js";
import { evaluateLoss } from "./evaluate-loss.js";
import { GradientSum } from "./gradient-sum.js";
import { logMetrics, truncateMetrics } from "./metrics-log.js";
import type { FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { learningRateAt } from "./schedule.js";
import { trainProgram } from "./train-program.js";

export interface TrainOptions {
  readonly engine: Engine;
  readonly config: CaptionerConfig;
  readonly recipe: Recipe;
  readonly data: TrainingData;
  /** Where training starts or goes on from; changed in place. */
  readonly state: TrainingState;
  /** The run folder. */
  readonly out: string;
  /** Writes the model folder's files: weights, config, tokenizer. */
  readonly writeModel: (folder: string, parameters: FlatTensors) => Promise<void>;
  /** Default: the processors that this process may use. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainProgress) => void;
}

export interface TrainProgress {
  /** Steps done, and in all. */
  readonly step: number;
  readonly steps: number;
  /** Mean loss a token of the last step. */
  readonly loss: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
  readonly picturesPerSecond: number;
  readonly secondsLeft: number;
  /** Of the last evaluation, if there was one. */
  readonly evaluationLoss?: number;
}

/** Trains to the recipe's last step, then writes `final/`. */
export async function train(options: TrainOptions): Promise<void> {
  const { engine, config, recipe, data, state, out, writeModel, signal, onProgress } = options;
  const threads = options.threads ?? availableParallelism();
  const metrics = join(out, "metrics.jsonl");
  await mkdir(join(out, "checkpoints"), { recursive: true });
  await removeLeftovers(out);
  await removeLeftovers(join(out, "checkpoints"));
  await writeFileAtomically(join(out, "recipe.json"), (file) =>
    file.writeFile(`${JSON.stringify(recipe, null, 2)}\n`),
  );
  await truncateMetrics(metrics, state.step);

  const program = await compileProgram(engine, trainProgram(config, recipe.labelSmoothing), {
    threads: Math.max(1, Math.floor(threads / recipe.workers)),
  });
  const scorer = await compileProgram(engine, { outputs: scoreOutputs(config, "pixelValues") }, { threads });
  const gradients = new GradientSum(program, state.parameters, recipe, config);
  const writeState = (folder: string) => writeModel(folder, state.parameters);
  let evaluationLoss: number | undefined;
  let window = { since: performance.now(), tokens: 0, pictures: 0 };

  try {
    let pictures = await data.batch(state.step);
    while (state.step < recipe.steps) {
      throwIfCancelled(signal);
      const running = gradients.compute(pictures);
      // The next pictures are made ready while the engine works on these.
      const upcoming = state.step + 1 < recipe.steps ? data.batch(state.step + 1) : Promise.resolve([]);
      upcoming.catch(() => {}); // Whatever fails is thrown where it is waited for.
      const { lossSum, tokens } = await running;
      if (!Number.isFinite(lossSum)) throw divergence(state.step, recipe);

      const norm = globalNorm(gradients.sum) / tokens;
      const clip = recipe.clipNorm > 0 && norm > recipe.clipNorm ? recipe.clipNorm / norm : 1;
      const learningRate = learningRateAt(state.step, recipe);
      adamWStep(state.parameters.flat, gradients.sum, state.optimizer, recipe, learningRate, clip / tokens);
      state.step += 1;

      state.sinceLog.lossSum += lossSum;
      state.sinceLog.tokens += tokens;
      window.tokens += tokens;
      window.pictures += pictures.length;
      pictures = await upcoming;

      const seconds = (performance.now() - window.since) / 1000;
      const done = state.step === recipe.steps;
      const speed = {
        tokensPerSecond: window.tokens / seconds,
        picturesPerSecond: window.pictures / seconds,
      };
      const secondsLeft = ((recipe.steps - state.step) * recipe.batchSize) / speed.picturesPerSecond;
      const shown = { step: state.step, loss: lossSum / tokens, learningRate, ...speed, secondsLeft };
      onProgress?.({
        ...shown,
        steps: recipe.steps,
        ...(evaluationLoss !== undefined && { evaluationLoss }),
      });

      if (done || state.step % recipe.logEvery === 0) {
        const loss = state.sinceLog.lossSum / state.sinceLog.tokens;
        await logMetrics(metrics, { step: state.step, loss, lr: learningRate, gradientNorm: norm, ...speed });
        state.sinceLog = { lossSum: 0, tokens: 0 };
        window = { since: performance.now(), tokens: 0, pictures: 0 };
      }
      if (data.validationCount > 0 && (done || state.step % recipe.evaluateEvery === 0)) {
        const parameters = state.parameters.tensors;
        const evaluation = await evaluateLoss({ ...recipe, program: scorer, parameters, config, data });
        evaluationLoss = evaluation.loss;
        await logMetrics(metrics, { step: state.step, evaluation });
        window.since = performance.now();
      }
      if (done || state.step % recipe.checkpointEvery === 0) {
        await saveCheckpoint(out, state, writeState, recipe.keepCheckpoints);
        window.since = performance.now();
      }
    }
    const final = join(out, "final");
    await rm(final, { recursive: true, force: true });
    await writeFolderAtomically(final, writeState);
  } finally {
    await Promise.all([program.close(), scorer.close()]);
  }
}

function divergence(step: number, { learningRate }: Recipe): LingolensError {
  return new LingolensError(
    "training-diverged",
    `The loss of step ${step} is not a number. Resume from the last checkpoint with a learning rate below ` +
      `${learningRate} (--set learningRate=…) or with --set clipNorm=1.`,
  );
}
