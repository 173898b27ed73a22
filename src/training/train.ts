import { mkdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { removeLeftovers, writeFileAtomically, writeFolderAtomically } from "../weights/atomic-file.js";
import type { RawJson } from "../weights/model-folder.js";
import { adamWStep, globalNorm } from "./adamw.js";
import type { TrainingState } from "./checkpoint.js";
import { CheckpointWriter, inRunFolder } from "./checkpoint-writer.js";
import type { TrainingData } from "./data.js";
import { Evaluator } from "./evaluator.js";
import { GradientProgram, type GradientTotal } from "./gradient-program.js";
import { GradientSum } from "./gradient-sum.js";
import type { FlatTensors } from "./parameters.js";
import { measureProductSpeed } from "./product-speed.js";
import type { Recipe } from "./recipe.js";
import { RunLog } from "./run-log.js";
import { writeRunReport } from "./run-report.js";
import { learningRateAt } from "./schedule.js";
import { SharedLoops } from "./shared-loops.js";

export interface TrainOptions {
  readonly engine: Engine;
  readonly config: CaptionerConfig;
  readonly recipe: Recipe;
  readonly data: TrainingData;
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  /** generation_config.json. */
  readonly generationConfig: RawJson;
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
  /** Of the step's mean gradient, before clipping. */
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
  readonly picturesPerSecond: number;
  /** Operations of matrix products a second, over what the engine does in a product by itself. */
  readonly productShare: number;
  readonly secondsLeft: number;
  /** Of the last evaluation, if there was one. */
  readonly evaluationLoss?: number;
}

/**
 * Trains to the recipe's last step, then writes `report.html` and `final/`.
 * @throws {LingolensError} `cancelled`, `training-diverged`, `output-unwritable`
 */
export async function train(options: TrainOptions): Promise<void> {
  const { engine, config, recipe, data, state, out, writeModel, signal, onProgress } = options;
  const { progress, memory } = state;
  const threads = options.threads ?? availableParallelism();
  await inRunFolder(out, () => prepareFolder(out, recipe));

  const log = await RunLog.open(out, progress.step);
  const loops = new SharedLoops(threads);
  const partSize = recipe.batchSize / (recipe.workers * recipe.gradientAccumulation);
  const program = await GradientProgram.compile(engine, config, {
    ...recipe,
    maskId: options.tokenizer.maskId,
    trainable: new Set(Object.keys(memory.gradients.tensors)),
    maxTokens: partSize * recipe.languages.length * recipe.maxLength,
    threads: Math.max(1, Math.floor(threads / recipe.workers)),
  });
  const evaluator = await Evaluator.compile(engine, {
    ...options,
    parameters: memory.parameters,
    batchSize: partSize,
    threads,
  });
  const partTokens = Math.round((partSize * recipe.languages.length * recipe.maxLength) / 2);
  const productSpeed = await measureProductSpeed(engine, config, partTokens, threads);
  const gradients = new GradientSum(program, loops, memory, recipe, config);
  const checkpoints = new CheckpointWriter({ out, loops, keep: recipe.keepCheckpoints, writeModel });
  let saved = progress.step;
  let evaluationLoss: number | undefined;
  let window = newWindow();

  try {
    const samplePictures = await evaluator.samplePictures();
    await log.pictures(progress.step, samplePictures);
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
      window.operations += total.operations;
      window.pictures += pictures.length;
      pictures = await upcoming;

      const seconds = (performance.now() - window.since) / 1000;
      const done = progress.step === recipe.steps;
      const speed = {
        tokensPerSecond: window.tokens / seconds,
        picturesPerSecond: window.pictures / seconds,
        productShare: window.operations / seconds / productSpeed,
      };
      onProgress?.({
        step: progress.step,
        steps: recipe.steps,
        loss: total.lossSum / total.tokens,
        learningRate,
        gradientNorm: norm,
        ...speed,
        secondsLeft: ((recipe.steps - progress.step) * recipe.batchSize) / speed.picturesPerSecond,
        ...(evaluationLoss !== undefined && { evaluationLoss }),
      });

      if (done || progress.step % recipe.logEvery === 0) {
        const { lossSum, tokens, skipped } = progress.sinceLog;
        const loss = lossSum / tokens;
        const line = { loss, lr: learningRate, gradientNorm: norm, ...speed };
        await log.step(progress.step, { ...line, ...(skipped > 0 && { skipped }) });
        progress.sinceLog = { lossSum: 0, tokens: 0, skipped: 0 };
        window = newWindow();
      }
      const evaluated = data.validationCount > 0 && (done || progress.step % recipe.evaluateEvery === 0);
      if (evaluated) {
        const evaluation = await evaluator.run();
        evaluationLoss = evaluation.loss;
        await log.evaluation(progress.step, evaluation);
        window.since = performance.now();
      }
      if (done || progress.step % recipe.checkpointEvery === 0) {
        await checkpoints.start(state, evaluated ? evaluationLoss : undefined);
        saved = progress.step;
      }
    }
    await checkpoints.finish();
    await inRunFolder(out, () => writeRunReport(out, recipe, samplePictures));
    const final = join(out, "final");
    await inRunFolder(out, async () => {
      await rm(final, { recursive: true, force: true });
      await writeFolderAtomically(final, (folder) => writeModel(folder, memory.parameters));
    });
  } finally {
    await checkpoints.settled();
    await Promise.all([program.close(), evaluator.close(), loops.close(), log.close()]);
  }
}

/** What the speeds of a few steps are counted over. */
function newWindow() {
  return { since: performance.now(), tokens: 0, pictures: 0, operations: 0 };
}

async function prepareFolder(out: string, recipe: Recipe): Promise<void> {
  await mkdir(join(out, "checkpoints"), { recursive: true });
  await removeLeftovers(out);
  await removeLeftovers(join(out, "checkpoints"));
  await writeFileAtomically(join(out, "recipe.json"), (file) =>
    file.writeFile(`${JSON.stringify(recipe, null, 2)}\n`),
  );
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
