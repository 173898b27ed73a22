import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run as commandLine } from "../../test/support/command-line.js";
import { readTensors, tinyModel } from "../../test/support/tiny-model.js";
import { tinyRecipeModel } from "../../test/support/tiny-recipe.js";
import { createBf16Engine } from "../engine/bf16/bf16-engine.js";
import type { HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { parseConfig } from "../model/config.js";
import { initializeParameters } from "../model/initialize.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import { GradientProgram } from "./gradient-program.js";
import { allocateTraining, fillTensor } from "./parameters.js";
import { resolveRecipe } from "./recipe.js";
import { startRun } from "./start-run.js";
import type { CaptionBatch } from "./train-program.js";

const engine = await createBf16Engine().catch(() => undefined);
const native = await createNativeEngine();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-bf16-"));
});
afterAll(async () => {
  await Promise.all([engine?.close(), native.close()]);
  await rm(folder, { recursive: true, force: true });
});

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

const recipe = {
  name: "tiny",
  model: tinyRecipeModel,
  data: { kind: "scenes" },
  languages: ["en", "de"],
  steps: 6,
  batchSize: 4,
  gradientAccumulation: 2,
  workers: 2,
  dropout: 0.1,
  dtype: "bf16",
  learningRate: 1e-2,
  warmupSteps: 2,
  logEvery: 2,
  evaluateEvery: 5,
  evaluateCount: 4,
  captionCount: 0,
  checkpointEvery: 3,
};

describe.skipIf(!engine)("training in bf16", () => {
  it("has float32's loss and gradients, nearly", async () => {
    const json = JSON.parse(await readFile(join(tinyModel, "config.json"), "utf8"));
    const config = parseConfig(json, { weightsFormat: "safetensors" });
    const golden = await readTensors(join(tinyModel, "forward.safetensors"));
    const [pictures, length] = golden.get("labels")!.shape as [number, number];
    const rows = (name: string): HostTensor => ({ ...golden.get(name)!, shape: [pictures, 1, length] });
    const batch: CaptionBatch = {
      pixelValues: golden.get("pixel_values")!,
      decoderInputIds: rows("decoder_input_ids"),
      labels: rows("labels"),
      positions: {
        dtype: "int64",
        shape: [length],
        data: BigInt64Array.from({ length }, (_, i) => BigInt(i)),
      },
    };
    const shapes = parameterShapes(config);
    const memory = allocateTraining(shapes, shapes);
    // As a model begins. The fixture's own weights are so large that its gradients turn with any rounding: with all computed in
    // float32 and nothing but the weights rounded to bf16, cosines are down to 0.57, and 0.86 with products in bf16 instead.
    for (const [name, values] of initializeParameters(config, shapes, 1))
      fillTensor(memory.parameters, name, values);
    const exact = allocateTraining(shapes, shapes).gradients;

    const options = {
      trainable: new Set(shapes.keys()),
      labelSmoothing: 0.1,
      dropout: 0.1,
      inputDropout: 0,
      maskId: 0,
      maxTokens: 1000,
    };
    const place = { seed: 1, step: 0, firstPicture: 0 };
    const inFull = await GradientProgram.compile(native, config, options);
    const full = await inFull.run(memory.parameters, batch, place, exact);
    const inBf16 = await GradientProgram.compile(engine!, config, { ...options, dtype: "bf16" });
    const rounded = await inBf16.run(memory.parameters, batch, place, memory.gradients);
    await Promise.all([inFull.close(), inBf16.close()]);

    expect(rounded.lossSum).not.toBe(full.lossSum);
    expect(Math.abs(rounded.lossSum / full.lossSum - 1)).toBeLessThan(1e-3);
    for (const [name, { data }] of Object.entries(exact.tensors)) {
      const got = memory.gradients.tensors[name]!.data;
      if (name.endsWith("k_proj.bias")) continue; // The true gradient is 0, and what is computed is rounding.
      if (data.every((value) => value === 0))
        expect(
          got.every((value) => value === 0),
          name,
        ).toBe(true);
      else expect(cosine(data, got), name).toBeGreaterThan(0.995);
    }
  });

  it("goes on from a checkpoint to the same bytes", async () => {
    const [whole, resumed] = [join(folder, "whole"), join(folder, "resumed")];
    await startRun(engine!, { recipe: resolveRecipe(recipe), out: whole });
    await cp(whole, resumed, { recursive: true });
    await rm(join(resumed, "final"), { recursive: true });
    await rm(join(resumed, "checkpoints", "step-000006"), { recursive: true });
    let from = 0;
    await startRun(engine!, {
      recipe: resolveRecipe(recipe),
      out: resumed,
      onStart: ({ step }) => {
        from = step;
      },
    });
    expect(from).toBe(3);
    for (const file of await readdir(join(whole, "final")))
      expect(await readFile(join(resumed, "final", file)), file).toEqual(
        await readFile(join(whole, "final", file)),
      );
  });

  it("is refused by an engine that has none", async () => {
    await expect(
      startRun(native, { recipe: resolveRecipe(recipe), out: join(folder, "native") }),
    ).rejects.toMatchObject({ code: "option-unsupported" });
  });

  it("ends without a crash", async () => {
    const path = join(folder, "recipe.json");
    await writeFile(path, JSON.stringify({ ...recipe, steps: 2 }));
    const { code, stderr } = await commandLine(["train", path, "--out", join(folder, "ends")]);
    expect(stderr).not.toContain("Error");
    expect(code).toBe(0);
  }, 60_000);

  it("is refused in one line where the processor has no bf16 products", async () => {
    const { code, stderr } = await commandLine(["train", "scenes", "--dtype", "bf16", "--out", folder], {
      env: { ONEDNN_MAX_CPU_ISA: "AVX512_CORE" },
    });
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toEqual([expect.stringContaining("AMX or AVX512-BF16")]);
  }, 60_000);
});

describe("without a library that can be used", () => {
  it.each([
    ["that is not there", "no-such-library.so"],
    ["that is not one", "broken.so"],
    ["that is another", "libc.so.6"],
  ])(
    "training in bf16 is refused in one line: one %s",
    async (_, name) => {
      const broken = join(folder, "broken.so");
      await writeFile(broken, "not a library");
      const { code, stderr } = await commandLine(["train", "scenes", "--dtype", "bf16", "--out", folder], {
        env: { LINGOLENS_ONEDNN: name === "broken.so" ? broken : name },
      });
      expect(code).toBe(1);
      expect(stderr.trim().split("\n")).toEqual([expect.stringContaining("need the library oneDNN")]);
    },
    60_000,
  );
});
