import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { refusal, tinyModel } from "../../test/support/model-folder-fixture.js";
import { initializeParameters, initialPieces } from "../model/initialize.js";
import { originalConfig } from "../model/original.js";
import { bundledModelFolder } from "./bundled-model.js";
import { type ModelFolder, openModelFolder } from "./model-folder.js";
import { joinModels } from "./new-model.js";
import { parameterShapes } from "./parameter-shapes.js";
import { openSafetensors, readTensor } from "./safetensors.js";

const shared = process.env.LINGOLENS_SHARED;

let scratch: string;
let out: string;
let vision: string;
let text: string;
let tests = 0;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lingolens-new-model-"));
});
afterAll(() => rm(scratch, { recursive: true }));
beforeEach(async () => {
  const place = join(scratch, String(tests++));
  [out, vision, text] = [join(place, "out"), join(place, "vision"), join(place, "text")];
  await cp(join(tinyModel, "clip-vision/config.json"), join(vision, "config.json"), { recursive: true });
  await cp(join(tinyModel, "clip-vision/clip-vision.safetensors"), join(vision, "model.safetensors"));
  await cp(join(tinyModel, "mbart-decoder"), text, { recursive: true });
});

async function expectJoined(
  model: ModelFolder,
  visionFile: string,
  textFile: string,
  visionPrefix = "",
): Promise<void> {
  const [clip, mbart] = [await openSafetensors(visionFile), await openSafetensors(textFile)];
  for (const [name, weight] of model.weights) {
    if (name.startsWith("model.visual_projection")) continue;
    const ofClip = name.startsWith("model.encoder.");
    const place = ofClip ? name.replace(/^model\.encoder\.vision_model\./, visionPrefix) : name;
    expect(await weight.read(), name).toEqual((await readTensor(ofClip ? clip : mbart, place)).data);
  }
}

describe("joinModels", () => {
  it("takes CLIP's vision model and mBART's decoder as they are, and draws the projection", async () => {
    const made = await joinModels({ vision, text, out, seed: 5 });
    const model = await openModelFolder(out);
    await expectJoined(
      model,
      join(vision, "model.safetensors"),
      join(text, "model.safetensors"),
      "vision_model.",
    );
    const shapes = parameterShapes(model.config);
    const drawn = initializeParameters(model.config, shapes, 5);
    for (const name of ["model.visual_projection.weight", "model.visual_projection.bias"])
      expect(await model.weights.get(name)!.read()).toEqual(drawn.get(name));
    expect(drawn.get("model.visual_projection.weight")!.some((value) => value !== 0)).toBe(true);
    expect(made).toMatchObject({ config: model.config, parameters: 134_808, tokenizerFiles: [] });
    expect(model.config).toMatchObject({
      vision: { hiddenSize: 32, imageSize: 32 },
      decoder: { hiddenSize: 48, layerNormEps: 1e-5 },
      ids: { decoderStart: 2 },
    });
    expect(model.preprocessorConfig).toMatchObject({ crop_size: 32 });
  });

  it("takes the tokenizer and the settings of the picture along", async () => {
    await cp(join(bundledModelFolder, "tokenizer_config.json"), join(text, "tokenizer_config.json"));
    await cp(join(bundledModelFolder, "sentencepiece.bpe.model"), join(text, "sentencepiece.bpe.model"));
    const settings = { crop_size: 32, size: 40, image_mean: [0.5, 0.5, 0.5] };
    await writeFile(join(vision, "preprocessor_config.json"), JSON.stringify(settings));
    const made = await joinModels({ vision, text, out, seed: 0 });
    const model = await openModelFolder(out);
    expect(made.tokenizerFiles).toEqual(["sentencepiece.bpe.model", "tokenizer_config.json"]);
    expect([...model.tokenizerFiles.keys()]).toEqual(made.tokenizerFiles);
    expect(model.preprocessorConfig).toEqual(settings);
    await writeFile(join(vision, "preprocessor_config.json"), JSON.stringify({ ...settings, crop_size: 30 }));
    await expect(joinModels({ vision, text, out: `${out}2`, seed: 0 })).rejects.toMatchObject({
      code: "config-invalid",
    });
  });

  it("says what does not fit", async () => {
    await expect(joinModels({ vision: text, text, out, seed: 0 })).rejects.toMatchObject(
      refusal("config-invalid", "encoder.model_type"),
    );
    await expect(joinModels({ vision, text: vision, out, seed: 0 })).rejects.toMatchObject(
      refusal("config-invalid", "decoder.model_type"),
    );
    await cp(join(tinyModel, "model.safetensors"), join(text, "model.safetensors"));
    const error = joinModels({ vision, text, out, seed: 0 });
    await expect(error).rejects.toMatchObject(
      refusal("checkpoint-mismatch", "Not of this model: model.visual_projection"),
    );
    await rm(join(text, "config.json"));
    await expect(joinModels({ vision, text, out, seed: 0 })).rejects.toMatchObject(
      refusal("file-not-found", "config.json"),
    );
  });

  it("does not begin where the folder is taken, and leaves nothing when cancelled", async () => {
    await mkdir(out, { recursive: true });
    await writeFile(join(out, "mine.txt"), "");
    const calls: number[] = [];
    const onProgress = ({ done }: { done: number }) => void calls.push(done);
    await expect(joinModels({ vision, text, out, seed: 0, onProgress })).rejects.toMatchObject({
      code: "already-exists",
    });
    expect(calls).toEqual([]);
    const signal = AbortSignal.abort();
    await expect(joinModels({ vision, text, out: `${out}2`, seed: 0, signal })).rejects.toMatchObject({
      code: "cancelled",
    });
    await expect(readFile(join(`${out}2`, "config.json"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it.skipIf(!shared)("reads the folders as PyTorch and transformers 4 and 5 wrote them", async () => {
    const golden = join(shared!, "goldens/tiny-model");
    await rm(join(vision, "model.safetensors"));
    await cp(join(golden, "clip-vision/pytorch_model.bin"), join(vision, "pytorch_model.bin"));
    await rm(join(text, "model.safetensors"));
    await cp(join(golden, "mbart-decoder/pytorch_model.bin"), join(text, "pytorch_model.bin"));
    await joinModels({ vision, text, out, seed: 0 });
    const twins = [
      join(golden, "clip-vision/clip-vision.safetensors"),
      join(golden, "mbart-decoder/model.safetensors"),
    ] as const;
    await expectJoined(await openModelFolder(out), ...twins, "vision_model.");

    const generated = join(shared!, "fixtures/checkpoints/tiny-generated");
    const [clip5, mbart5] = [join(generated, "clip-vision"), join(generated, "mbart")];
    await joinModels({ vision: clip5, text: mbart5, out: `${out}5`, seed: 0 });
    await expectJoined(
      await openModelFolder(`${out}5`),
      join(clip5, "model.safetensors"),
      join(mbart5, "model.safetensors"),
    );
  });
});

describe("a model of the original's size", () => {
  it("has as many parameters as the published one", () => {
    const sizes = [...parameterShapes(originalConfig).values()].map((shape) => shape.reduce((a, b) => a * b));
    expect(sizes.reduce((a, b) => a + b)).toBe(
      // CLIP's vision model, projection, embedding with bias, mBART's positions, norms and layers
      87_456_000 + 787_456 + 256_055_296 + 250_054 + 1_050_624 + 4_096 + 12 * 16_796_672,
    );
  });

  it("is drawn piece by piece, in any order, as all at once", async () => {
    const { config } = await openModelFolder(tinyModel);
    const shapes = parameterShapes(config);
    const whole = initializeParameters(config, shapes, 9);
    const pieces = [...initialPieces(config, shapes, 9)].reverse();
    for (const [name, make] of pieces)
      expect(Float32Array.from([...make()].flatMap((piece) => [...piece])), name).toEqual(whole.get(name));
  });
});
