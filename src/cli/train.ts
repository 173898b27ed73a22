import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { duration } from "../duration.js";
import { createBf16Engine } from "../engine/bf16/bf16-engine.js";
import type { Device } from "../engine/device/device-kind.js";
import { createNativeEngine } from "../engine/native.js";
import { LingolensError } from "../errors.js";
import { didYouMean } from "../nearest-name.js";
import { formerNames, recipes } from "../recipes/index.js";
import type { Ranks } from "../training/collective/collective.js";
import { joinRanks } from "../training/collective/join-ranks.js";
import { type Recipe, resolveRecipe } from "../training/recipe.js";
import { startRun } from "../training/start-run.js";
import type { TrainProgress } from "../training/train.js";
import { collect, deviceOption, interruptSignal, offlineOption, threadsOption } from "./arguments.js";
import { downloadBar, progressBar } from "./progress-bar.js";

const EXAMPLES = `
Examples:
  lingolens train scenes --out runs/scenes
  lingolens train scenes --set steps=100 --set batchSize=16
  lingolens train fine-tune --set data.path=my-pictures --set 'languages=["en","it"]'
  lingolens train fine-tune --set model.path=original --set data.path=my-pictures --out runs/photos
  lingolens train cc12m --dtype bf16
  lingolens train cc12m --device webgpu
  lingolens train runs/scenes/recipe.json --out runs/again
  mpirun -n 4 --bind-to none lingolens train cc12m --out runs/cc12m

--set takes the keys of a recipe (docs/training.md): steps, batchSize, learningRate, seed, checkpointEvery, …; keys
within others are written with a dot. The same command goes on where a stopped run ended, bit for bit. In the run
folder: recipe.json, metrics.jsonl, checkpoints/, and final/, a model folder.`;

interface Flags {
  readonly set?: readonly string[];
  readonly resume: string;
  readonly out?: string;
  readonly dtype?: Recipe["dtype"];
  readonly offline?: boolean;
  readonly threads?: number;
  readonly device: Device;
  readonly json?: boolean;
}

export function trainCommand(): Command {
  return new Command("train")
    .description("train a model by a recipe")
    .argument("<recipe>", `${Object.keys(recipes).join(", ")}, or the path of a recipe.json`)
    .option("--set <key=value>", "change a value of the recipe; may be repeated", collect)
    .option("--resume <from>", "auto, never, or the path of a checkpoint", "auto")
    .option("--out <folder>", "run folder (default: runs/<recipe>)")
    .addOption(
      new Option(
        "--dtype <type>",
        "how matrices are multiplied (the recipe's dtype); auto: in bf16 where the model is large and this machine can",
      ).choices(["auto", "fp32", "bf16"]),
    )
    .addOption(offlineOption())
    .addOption(threadsOption())
    .addOption(deviceOption())
    .option("--json", "print the last step and the model's folder as JSON")
    .addHelpText("after", EXAMPLES)
    .action(trainByRecipe);
}

async function trainByRecipe(
  name: string,
  { set = [], resume, out, dtype, offline, threads, device, json }: Flags,
): Promise<void> {
  const recipe = resolveRecipe(await findRecipe(name), dtype ? [...set, `dtype=${dtype}`] : set);
  const folder = out ?? join("runs", recipe.name);
  const collective = joinRanks();
  const leads = collective.rank === 0;
  const rank = nameOf(collective);
  const engine = await (recipe.dtype === "bf16" ? createBf16Engine() : createNativeEngine());
  const show = leads ? progressDisplay(recipe) : undefined;
  const download = leads ? downloadBar() : undefined;
  let last: TrainProgress | undefined;
  // mpirun hands SIGUSR2 on to its processes, and Slurm sends it before the time is up where it is asked to.
  const signal = interruptSignal(["SIGUSR2"]);
  signal.addEventListener("abort", () => {
    if (leads)
      process.stderr.write(
        "\nStopping: the step is finished and a checkpoint written. Interrupt again to leave now.\n",
      );
  });
  try {
    await startRun(engine, {
      recipe,
      out: folder,
      resume,
      collective,
      signal,
      openBf16: createBf16Engine,
      hub: { offline, ...(download && { onProgress: download.update }) },
      ...(threads !== undefined && { threads }),
      ...(device !== "cpu" && { device }),
      onStart: ({ step, threads, parameters, trainable, dtype, device }) => {
        if (!leads) return;
        download?.stop();
        const from = step > 0 ? `going on from step ${step}` : "from the start";
        process.stderr.write(
          `Training ${recipe.name}, ${millions(parameters)} M parameters` +
            `${trainable < parameters ? `, ${millions(trainable)} M of them trained` : ""}` +
            `${dtype === "bf16" ? ", in bf16" : ""}, ${from}, into ${folder}` +
            `${collective.size > 1 ? `, ${collective.size} ranks with ${threads} threads each` : ""}` +
            `${device ? `, on ${device}` : ""}\n`,
        );
        show?.start(step);
      },
      onWarning: (message) => process.stderr.write(`Warning: ${rank}${message}\n`),
      onProgress: (progress) => {
        last = progress;
        show?.update(progress);
      },
    });
  } catch (error) {
    if (error instanceof LingolensError && rank !== "")
      throw new LingolensError(error.code, `${rank}${error.message}`, { cause: error });
    throw error;
  } finally {
    download?.stop();
    show?.stop();
    await engine.close();
  }
  if (!leads) return;
  const final = join(folder, "final");
  if (json)
    process.stdout.write(`${JSON.stringify({ step: recipe.steps, loss: last?.loss, model: final })}\n`);
  else process.stdout.write(`Done: the model is in ${final}\n`);
}

/** What begins a rank's messages, so that they can be told from the others'; nothing where there is but one. */
function nameOf({ rank, size }: Ranks): string {
  return size > 1 ? `Rank ${rank} of ${size}, on ${hostname()}: ` : "";
}

const millions = (count: number): string => (count / 1e6).toFixed(1);

async function findRecipe(name: string): Promise<unknown> {
  const builtIn = recipes[formerNames[name] ?? name];
  if (builtIn) return builtIn;
  if (!name.endsWith(".json"))
    throw new LingolensError(
      "option-unsupported",
      `There is no recipe "${name}".${didYouMean(name, Object.keys(recipes))} Recipes: ` +
        `${Object.keys(recipes).join(", ")}, or the path of a recipe.json.`,
    );
  try {
    return JSON.parse(await readFile(name, "utf8"));
  } catch (cause) {
    throw new LingolensError(
      "config-invalid",
      `${name} cannot be read as a recipe: ${(cause as Error).message}.`,
      { cause },
    );
  }
}

interface ProgressDisplay {
  start(step: number): void;
  update(progress: TrainProgress): void;
  stop(): void;
}

/** The share is of the speed of a matrix product by itself. */
const FIGURES =
  "loss {loss}  lr {rate}  gradient {norm}  {speed} tokens/s, {share} % of product speed  {left} left  {evaluation}";

/** A bar on a terminal; elsewhere a line every so often, for logs. */
function progressDisplay({ steps, logEvery }: Recipe): ProgressDisplay {
  const bar = progressBar(`{bar} {value}/{total}  ${FIGURES}`);
  const values = ({ loss, tokensPerSecond, secondsLeft, evaluationLoss, ...progress }: TrainProgress) => ({
    loss: loss.toFixed(4),
    rate: progress.learningRate.toExponential(1),
    norm: progress.gradientNorm.toPrecision(3),
    share: Math.round(100 * progress.productShare),
    speed: Math.round(tokensPerSecond),
    left: duration(secondsLeft),
    evaluation: evaluationLoss === undefined ? "" : `evaluation ${evaluationLoss.toFixed(4)}`,
  });
  const nothingYet = { loss: "–", rate: "–", norm: "–", speed: "–", share: "–", left: "–", evaluation: "" };
  return {
    start: (step) => bar?.start(steps, step, nothingYet),
    update(progress) {
      if (bar) bar.update(progress.step, values(progress));
      else if (progress.step % (10 * logEvery) === 0 || progress.step === steps) {
        const named: Readonly<Record<string, unknown>> = values(progress);
        const figures = FIGURES.replace(/\{(\w+)\}/g, (_, name) => String(named[name]));
        process.stderr.write(`step ${progress.step}/${steps}  ${figures}\n`);
      }
    },
    stop: () => bar?.stop(),
  };
}
