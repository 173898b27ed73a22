import { mkdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { compileProgram } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import type { CaptionerConfig } from "../model/config.js";
import { removeLeftovers, writeFileAtomically, writeFolderAtomically } from "../weights/atomic-file.js";
import { adamWStep, globalNorm } from "./adamw.js";
import type { TrainingState } from "./checkpoint.js";
import { CheckpointWriter, inRunFolder } from "./checkpoint-writer.js";
import type { TrainingData } from "./data.js";
import { evaluateLoss } from "./evaluate-loss.js";
import { GradientProgram } from "./gradient-program.js";
import { GradientSum, type GradientTotal } from "./gradient-sum.js";
import { logMetrics, type MetricsLine, truncateMetrics } from "./metrics-log.js";
import type { FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import { learningRateAt } from "./schedule.js";
import { SharedLoops } from "./shared-loops.js";
import { lossProgram } from "./train-program.js";

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
  /** When aborted, the step at work is finished and a checkpoint written before the run ends with `cancelled`. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainProgress) => void;
  /** Called with a sentence on what is amiss where the run goes on nevertheless. */
  readonly onWarning?: (message: string) => void;
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

/**
 * Trains to the recipe's last step, then writes `final/`.
 * @throws {LingolensError} `cancelled`, `training-diverged`, `output-unwritable`
 */
export async function train(options: TrainOptions): Promise<void> {
  const { engine, config, recipe, data, state, out, writeModel, signal, onProgress } = options;
  const { progress, memory } = state;
  const threads = options.threads ?? availableParallelism();
  const metrics = join(out, "metrics.jsonl");
  await inRunFolder(out, () => prepareFolder(out, recipe, progress.step));

  const loops = new SharedLoops(threads);
  const partSize = recipe.batchSize / (recipe.workers * recipe.gradientAccumulation);
  const program = await GradientProgram.compile(engine, config, {
    ...recipe,
    trainable: new Set(Object.keys(memory.gradients.tensors)),
    maxTokens: partSize * recipe.languages.length * recipe.maxLength,
    threads: Math.max(1, Math.floor(threads / recipe.workers)),
  });
  const scorer = await compileProgram(engine, lossProgram(config), { threads });
  const gradients = new GradientSum(program, loops, memory, recipe, config);
  const checkpoints = new CheckpointWriter({ out, loops, keep: recipe.keepCheckpoints, writeModel });
  const log = (line: MetricsLine) => inRunFolder(out, () => logMetrics(metrics, line));
  let saved = progress.step;
  let evaluationLoss: number | undefined;
  let window = { since: performance.now(), tokens: 0, pictures: 0 };

  try {
    let pictures = await data.batch(progress.step);
    while (progress.step < recipe.steps) {
      if (signal?.aborted) {
        if (progress.step > saved) await checkpoints.start(state);
        await checkpoints.finish();
        throw stopped(progress.step);
      }
      checkpoints.check();
      const running = gradients.compute(pictures, progress.step);
      // The next pictures are made ready while the engine works on these.
      const upcoming = progress.step + 1 < recipe.steps ? data.batch(progress.step + 1) : Promise.resolve([]);
      upcoming.catch(() => {}); // Whatever fails is thrown where it is waited for.
      const total = await running;
      const { norm, learningRate } = await update(options, loops, total);

      window.tokens += total.tokens;
      window.pictures += pictures.length;
      pictures = await upcoming;

      const seconds = (performance.now() - window.since) / 1000;
      const done = progress.step === recipe.steps;
      const speed = {
        tokensPerSecond: window.tokens / seconds,
        picturesPerSecond: window.pictures / seconds,
      };
      onProgress?.({
        step: progress.step,
        steps: recipe.steps,
        loss: total.lossSum / total.tokens,
        learningRate,
        ...speed,
        secondsLeft: ((recipe.steps - progress.step) * recipe.batchSize) / speed.picturesPerSecond,
        ...(evaluationLoss !== undefined && { evaluationLoss }),
      });

      if (done || progress.step % recipe.logEvery === 0) {
        const { lossSum, tokens, skipped } = progress.sinceLog;
        const loss = lossSum / tokens;
        const line = { step: progress.step, loss, lr: learningRate, gradientNorm: norm, ...speed };
        await log({ ...line, ...(skipped > 0 && { skipped }) });
        progress.sinceLog = { lossSum: 0, tokens: 0, skipped: 0 };
        window = { since: performance.now(), tokens: 0, pictures: 0 };
      }
      const evaluated = data.validationCount > 0 && (done || progress.step % recipe.evaluateEvery === 0);
      if (evaluated) {
        const { parameters } = memory;
        const evaluation = await evaluateLoss({
          ...recipe,
          batchSize: partSize,
          program: scorer,
          parameters,
          config,
          data,
        });
        evaluationLoss = evaluation.loss;
        await log({ step: progress.step, evaluation });
        window.since = performance.now();
      }
      if (done || progress.step % recipe.checkpointEvery === 0) {
        await checkpoints.start(state, evaluated ? evaluationLoss : undefined);
        saved = progress.step;
      }
    }
    await checkpoints.finish();
    const final = join(out, "final");
    await inRunFolder(out, async () => {
      await rm(final, { recursive: true, force: true });
      await writeFolderAtomically(final, (folder) => writeModel(folder, memory.parameters));
    });
  } finally {
    await checkpoints.settled();
    await Promise.all([program.close(), scorer.close(), loops.close()]);
  }
}

/** Makes the run folder what it was at the step that the run goes on from. */
async function prepareFolder(out: string, recipe: Recipe, step: number): Promise<void> {
  await mkdir(join(out, "checkpoints"), { recursive: true });
  await removeLeftovers(out);
  await removeLeftovers(join(out, "checkpoints"));
  await writeFileAtomically(join(out, "recipe.json"), (file) =>
    file.writeFile(`${JSON.stringify(recipe, null, 2)}\n`),
  );
  await truncateMetrics(join(out, "metrics.jsonl"), step);
}

/** The optimiser's step with the summed gradient, or none where that is not finite. */
async function update(
  { recipe, state: { progress, memory }, onWarning }: TrainOptions,
  loops: SharedLoops,
  { lossSum, tokens }: GradientTotal,
): Promise<{ norm: number; learningRate: number }> {
  const learningRate = learningRateAt(progress.step, recipe);
  const norm = (await globalNorm(loops, memory.gradients)) / tokens;
  const { sinceLog } = progress;
  if (Number.isFinite(lossSum) && Number.isFinite(norm)) {
    const clip = recipe.clipNorm > 0 && norm > recipe.clipNorm ? recipe.clipNorm / norm : 1;
    progress.optimizerStep += 1;
    await adamWStep(loops, memory, progress.optimizerStep, recipe, learningRate, clip / tokens);
    progress.skippedInARow = 0;
    progress.sinceLog = {
      ...sinceLog,
      lossSum: sinceLog.lossSum + lossSum,
      tokens: sinceLog.tokens + tokens,
    };
  } else {
    progress.skippedInARow += 1;
    progress.sinceLog = { ...sinceLog, skipped: sinceLog.skipped + 1 };
    const what = Number.isFinite(lossSum) ? "gradient" : "loss";
    onWarning?.(`Step ${progress.step + 1} is skipped, as its ${what} is not a finite number.`);
    if (progress.skippedInARow >= recipe.maxSkippedSteps) throw divergence(progress.step + 1, recipe);
  }
  progress.step += 1;
  return { norm, learningRate };
}

function stopped(step: number): LingolensError {
  return new LingolensError(
    "cancelled",
    `The run was stopped after step ${step}. The same command goes on from there.`,
  );
}

function divergence(step: number, { learningRate, maxSkippedSteps }: Recipe): LingolensError {
  return new LingolensError(
    "training-diverged",
    `The loss or gradient of ${maxSkippedSteps} steps in a row, up to step ${step}, was not a finite number ` +
      `(maxSkippedSteps). Resume from the last checkpoint with a learning rate below ${learningRate} ` +
      "(--set learningRate=…) or with --set clipNorm=1; see that the pictures and the model are sound.",
  );
}
