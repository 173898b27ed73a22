import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run } from "../../../test/support/command-line.js";
import { noGpu, softwareGpu } from "../../../test/support/software-gpu.js";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { tinyRecipeModel } from "../../../test/support/tiny-recipe.js";
import { createNativeEngine } from "../../engine/native.js";
import { oneProcess } from "../collective/one-process.js";
import { type RecipeInput, resolveRecipe } from "../recipe.js";
import { startRun } from "../start-run.js";

/** SwiftShader's compiler takes many seconds for the programs' shaders, in every process. */
const patience = 180_000;

const STEPS = 6;
/** After which the other device, or another process, goes on. */
const HALF = 3;

const recipe: RecipeInput = {
  name: "tiny",
  model: tinyRecipeModel,
  data: { kind: "scenes" },
  languages: ["en", "de"],
  steps: STEPS,
  batchSize: 4,
  gradientAccumulation: 2,
  dropout: 0.1,
  inputDropout: 0.1,
  labelSmoothing: 0.1,
  freeze: ["model.encoder.vision_model.embeddings.*"],
  learningRate: 1e-2,
  warmupSteps: 1,
  clipNorm: 0.5,
  logEvery: 1,
  evaluateEvery: STEPS,
  evaluateCount: 4,
  captionCount: 0,
  checkpointEvery: HALF,
};

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let file: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  file = join(folder.path, "tiny.json");
  await writeFile(file, JSON.stringify(recipe));
});
afterAll(() => folder.remove());

const bytes = (...path: string[]) => readFile(join(folder.path, ...path), "base64");
const train = (out: string, ...options: string[]) => [
  "train",
  file,
  "--out",
  join(folder.path, out),
  ...options,
];

/** A copy of a run, as it was after half of its steps. */
async function halfOf(name: string, copy: string): Promise<void> {
  await cp(join(folder.path, name), join(folder.path, copy), { recursive: true });
  await rm(join(folder.path, copy, "checkpoints", `step-00000${STEPS}`), { recursive: true });
}

async function losses(name: string): Promise<number[]> {
  const lines = jsonLines(await readFile(join(folder.path, name, "metrics.jsonl"), "utf8"));
  return lines.flatMap(({ loss, gradientNorm, evaluation }) => evaluation?.loss ?? [loss, gradientNorm]);
}

async function expectLike(name: string, other: string): Promise<void> {
  const [got, expected] = [await losses(name), await losses(other)];
  expect(got).toHaveLength(2 * STEPS + 1);
  got.forEach((value, i) => {
    expect(Math.abs(value / expected[i]! - 1), `${i}`).toBeLessThanOrEqual(1e-4);
  });
}

describe.skipIf(!softwareGpu)("training on WebGPU, computed by SwiftShader", () => {
  const env = softwareGpu ?? {};
  const onGpu = (name: string) => output(train(name, "--device", "webgpu"), { env, patience });

  beforeAll(async () => {
    await output(train("cpu"));
    await onGpu("gpu");
  }, patience);

  it("has the losses and gradients of training on the processors, and its checkpoints go on there", async () => {
    await expectLike("gpu", "cpu");
    await halfOf("gpu", "gpu-cpu");
    await output(train("gpu-cpu"));
    await expectLike("gpu-cpu", "cpu");
  });

  it(
    "goes on from where the processors were",
    async () => {
      await halfOf("cpu", "cpu-gpu");
      await onGpu("cpu-gpu");
      await expectLike("cpu-gpu", "cpu");
    },
    patience,
  );

  it(
    "goes on from where it was itself with the same bits",
    async () => {
      await halfOf("gpu", "gpu-gpu");
      await onGpu("gpu-gpu");
      for (const name of [
        "final/model.safetensors",
        `checkpoints/step-00000${STEPS}/training-state.safetensors`,
      ])
        expect((await bytes("gpu-gpu", name)) === (await bytes("gpu", name)), name).toBe(true);
    },
    patience,
  );
});

describe.skipIf(!noGpu)("a device that cannot train", () => {
  it.each([
    [["--device", "webgpu"], 1, "engine-unavailable"],
    [["--device", "webgpu", "--dtype", "bf16"], 2, "option-unsupported"],
  ])("is refused in a line: %s", async (options, exit, code) => {
    const { code: got, stderr } = await run(train("refused", ...options), { env: noGpu! });
    expect(got).toBe(exit);
    expect(failures(stderr)).toEqual([expect.stringContaining(`(${code})`)]);
    await expect(bytes("refused", "recipe.json")).rejects.toThrow();
  });
});

it("several ranks are refused on a device before anything is written", async () => {
  const engine = await createNativeEngine();
  const out = join(folder.path, "ranks");
  const two = { ...oneProcess, size: 2 };
  await expect(
    startRun(engine, { recipe: resolveRecipe(recipe), out, device: "webgpu", collective: two }),
  ).rejects.toMatchObject({ code: "option-unsupported", message: expect.stringContaining("2 ranks") });
  await expect(bytes("ranks", "recipe.json")).rejects.toThrow();
  await engine.close();
});
