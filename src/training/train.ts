import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DeviceEngine } from "../engine/device/device-engine.js";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import type { CaptionerConfig } from "../model/config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { removeLeftovers, writeFileAtomically, writeFolderAtomically } from "../weights/atomic-file.js";
import type { RawJson } from "../weights/model-folder.js";
import type { TrainingState } from "./checkpoint.js";
import { CheckpointWriter, inRunFolder } from "./checkpoint-writer.js";
import { anyRank, type Collective, shareOf, sumOverRanks, threadsOfRank } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";
import { compareRanks } from "./compare-ranks.js";
import type { TrainingData } from "./data.js";
import { DeviceLearner } from "./device/device-learner.js";
import { Evaluator } from "./evaluator.js";
import type { GradientTotal } from "./gradient-program.js";
import { HostLearner } from "./host-learner.js";
import type { Learner } from "./learner.js";
import type { FlatTensors } from "./parameters.js";
import type { Recipe } from "./recipe.js";
import type { DecidedRecipe } from "./run-dtype.js";
import { RunLog } from "./run-log.js";
import { writeRunReport } from "./run-report.js";
import { learningRateAt } from "./schedule.js";
import { SharedLoops } from "./shared-loops.js";

export interface TrainOptions {
  /** Trains where there is no device. */
  readonly engine: Engine;
  /** The GPU that trains. Default: the engine does. */
  readonly device?: DeviceEngine;
  readonly config: CaptionerConfig;
  readonly recipe: DecidedRecipe;
  readonly data: TrainingData;
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  /** generation_config.json. */
  readonly generationConfig: RawJson;
  /** The processes that train together. Default: this one alone. */
  readonly collective?: Collective;
  /** Where training starts or goes on from, with this rank's share of the moments; changed in place. */
  readonly state: TrainingState;
  /** The run folder. */
  readonly out: string;
  /** Writes the model folder's files: weights, config, tokenizer. */
  readonly writeModel: (folder: string, parameters: FlatTensors) => Promise<void>;
  /** Default: the processors that this process may use, or its share of them where others of its ranks do. */
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
 *
 * Of several ranks, each computes the gradient of its share of every batch's pictures, and updates its share of the
 * parameters; all have all parameters after every step. Rank 0 evaluates and writes while the others wait. At the run's end
 * all leave the collective; what ends it early on all ranks alike is thrown by rank 0, and the others return.
 * @throws {LingolensError} `cancelled`, `training-diverged`, `ranks-differ`, `output-unwritable`
 */
export async function train(options: TrainOptions): Promise<void> {
  const { engine, config, recipe, data, state, out, writeModel, signal, onProgress } = options;
  const { progress, memory } = state;
  const collective = options.collective ?? oneProcess;
  const leads = collective.rank === 0;
  /** Ends the run on all ranks, which have come to the same. */
  const end = async (error: LingolensError): Promise<void> => {
    await collective.close();
    if (leads) throw error;
  };
  const threads = options.threads ?? threadsOfRank(collective);
  if (leads) await inRunFolder(out, () => prepareFolder(out, recipe));

  const log = leads ? await RunLog.open(out, progress.step) : undefined;
  const loops = new SharedLoops(threads);
  const own = shareOf(recipe.batchSize, collective);
  const partSize = recipe.batchSize / (collective.size * recipe.workers * recipe.gradientAccumulation);
  const shared = { config, recipe, memory, maskId: options.tokenizer.maskId, partSize };
  const learner: Learner = options.device
    ? await DeviceLearner.create(options.device, shared)
    : await HostLearner.create(engine, { ...shared, collective, loops, threads });
  const evaluation = await learner.evaluation();
  const evaluator = new Evaluator(evaluation, { ...options, batchSize: partSize });
  const partTokens = Math.round((partSize * recipe.languages.length * recipe.maxLength) / 2);
  const ownSpeed = await learner.productSpeed(partTokens);
  const [productSpeed] = (await sumOverRanks(collective, [ownSpeed])) as [number];
  const keep = recipe.keepCheckpoints;
  const checkpoints = new CheckpointWriter({ out, loops, collective, keep, writeModel });
  let saved = progress.step;
  let evaluationLoss: number | undefined;
  let window = newWindow();

  try {
    const samplePictures = leads ? await evaluator.samplePictures() : [];
    await log?.pictures(progress.step, samplePictures);
    let pictures = await data.batch(progress.step, own);
    while (progress.step < recipe.steps) {
      if (await anyRank(collective, signal?.aborted === true)) {
        if (progress.step > saved) {
          await learner.bringHome();
          await checkpoints.start(state);
        }
        await checkpoints.finish();
        return await end(stopped(progress.step));
      }
      checkpoints.check();
      const running = learner.gradient(pictures, progress.step, own.start);
      // The next pictures are made ready while the engine works on these.
      const next = progress.step + 1;
      const upcoming = next < recipe.steps ? data.batch(next, own) : Promise.resolve([]);
      upcoming.catch(() => {}); // Whatever fails is thrown where it is waited for.
      const total = await running;
      const { norm, learningRate } = await update(options, learner, total);
      if (progress.skippedInARow >= recipe.maxSkippedSteps)
        return await end(divergence(progress.step, recipe));
      if (collective.size > 1 && progress.step % recipe.checkEvery === 0) {
        const difference = await compareRanks(collective, loops, memory.parameters, progress.step);
        if (difference) return await end(difference);
      }

      window.tokens += total.tokens;
      window.operations += total.operations;
      window.pictures += recipe.batchSize;
      pictures = await upcoming;

      const seconds = (performance.now() - window.since) / 1000;
      const done = progress.step === recipe.steps;
      const speed = {
        tokensPerSecond: window.tokens / seconds,
        picturesPerSecond: window.pictures / seconds,
        productShare: window.operations / seconds / productSpeed,
      };
      if (leads)
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
        await log?.step(progress.step, { ...line, ...(skipped > 0 && { skipped }) });
        progress.sinceLog = { lossSum: 0, tokens: 0, skipped: 0 };
        window = newWindow();
      }
      const evaluated =
        leads && data.validationCount > 0 && (done || progress.step % recipe.evaluateEvery === 0);
      if (evaluated) {
        const scores = await evaluator.run();
        evaluationLoss = scores.loss;
        await log?.evaluation(progress.step, scores);
        window.since = performance.now();
      }
      if (done || progress.step % recipe.checkpointEvery === 0) {
        await learner.bringHome();
        await checkpoints.start(state, evaluated ? evaluationLoss : undefined);
        saved = progress.step;
      }
    }
    await checkpoints.finish();
    if (leads) {
      await inRunFolder(out, () => writeRunReport(out, recipe, samplePictures));
      const final = join(out, "final");
      await inRunFolder(out, async () => {
        await rm(final, { recursive: true, force: true });
        await writeFolderAtomically(final, (folder) => writeModel(folder, memory.parameters));
      });
    }
    await collective.close();
  } finally {
    await checkpoints.settled();
    await Promise.all([learner.close(), evaluation.close(), loops.close(), log?.close()]);
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
  { recipe, state: { progress }, collective = oneProcess, onWarning }: TrainOptions,
  learner: Learner,
  { lossSum, tokens }: GradientTotal,
): Promise<{ norm: number; learningRate: number }> {
  const learningRate = learningRateAt(progress.step, recipe);
  const norm = (await learner.norm()) / tokens;
  const { sinceLog } = progress;
  if (Number.isFinite(lossSum) && Number.isFinite(norm)) {
    const clip = recipe.clipNorm > 0 && norm > recipe.clipNorm ? recipe.clipNorm / norm : 1;
    progress.optimizerStep += 1;
    await learner.update(progress.optimizerStep, learningRate, clip / tokens);
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
    if (collective.rank === 0)
      onWarning?.(`Step ${progress.step + 1} is skipped, as its ${what} is not a finite number.`);
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
