import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import type { Captioner } from "../captioner/captioner.js";
import { resolveLanguages } from "../captioner/languages.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { renderScene } from "../data/scenes/render.js";
import { sceneAt } from "../data/scenes/scene.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { loadPicture, type PictureSource } from "../image/picture-source.js";
import { preprocess } from "../image/preprocess.js";
import { readPreprocessorConfig } from "../image/preprocessor-config.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { type ModelFolder, openModelFolder, writeModelFolder } from "../weights/model-folder.js";
import { quantizeModel } from "./quantize-model.js";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const shared = process.env.LINGOLENS_SHARED;
const e2e = shared && join(shared, "goldens", "tiny-e2e");

let engine: Engine;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  engine = await createNativeEngine();
  folder = await temporaryFolder();
});
afterAll(async () => {
  await engine.close();
  await folder.remove();
});

async function quantized(model: string, name: string, pictures: readonly PictureSource[]): Promise<string> {
  const out = join(folder.path, name);
  await mkdir(out);
  await quantizeModel(engine, await openModelFolder(model), out, { pictures });
  return out;
}

/**
 * Of all tokens of the captions that the first model makes, the share for which both models would choose the same next
 * token.
 */
async function agreement(
  [one, other]: readonly [Captioner, Captioner],
  pictures: readonly PictureSource[],
): Promise<number> {
  let equal = 0;
  let all = 0;
  const lang = resolveLanguages(["all"], { known: [...one.languages], trained: [...one.languages] });
  for (const picture of pictures) {
    const config = readPreprocessorConfig({}, one.config.vision.imageSize);
    const pixelValues = preprocess(await loadPicture(picture), config).data;
    for (const result of await one.caption(picture, { lang, beams: 1 })) {
      if ("error" in result) throw new Error(result.error.message);
      const decoderInputIds = [result.captions[0]!.tokens.slice(0, -1)];
      const best = await Promise.all(
        [one, other].map(async (captioner) => {
          const { shape, data } = await captioner.logits({ pixelValues, decoderInputIds });
          const [, length, vocabulary] = shape as [number, number, number];
          return Array.from({ length }, (_, t) => {
            const row = data.subarray(t * vocabulary, (t + 1) * vocabulary);
            return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
          });
        }),
      );
      // The first token is the language, which is forced.
      for (let t = 1; t < best[0]!.length; t++) {
        all += 1;
        if (best[0]![t] === best[1]![t]) equal += 1;
      }
    }
  }
  expect(all).toBeGreaterThan(200);
  return equal / all;
}

async function compared<T>(
  models: readonly [string, string],
  use: (pair: [Captioner, Captioner]) => Promise<T>,
) {
  const pair = (await Promise.all(models.map((model) => loadCaptioner({ model })))) as [Captioner, Captioner];
  try {
    return await use(pair);
  } finally {
    await Promise.all(pair.map((captioner) => captioner.close()));
  }
}

/** Makes 8 channels behind every norm 50 times as large, and takes it back in the weights that read them. */
async function withLoudChannels(model: ModelFolder, out: string): Promise<void> {
  const parameters = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, weight] of model.weights)
    parameters.set(name, { shape: weight.shape, data: await weight.read() });
  const readers: readonly (readonly [norm: RegExp, weights: readonly string[]])[] = [
    [/self_attn_layer_norm$/, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]],
    [/layer_norm1$/, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]],
    [/encoder_attn_layer_norm$/, ["encoder_attn.q_proj"]],
    [/final_layer_norm$/, ["fc1"]],
    [/layer_norm2$/, ["mlp.fc1"]],
  ];
  let changed = 0;
  for (const name of [...parameters.keys()]) {
    const norm = name.replace(/\.weight$/, "");
    const reader = readers.find(([pattern]) => pattern.test(norm) && name.endsWith(".weight"));
    if (!reader) continue;
    const layer = norm.slice(0, norm.lastIndexOf("."));
    const width = parameters.get(name)!.shape[0]!;
    const loud = (channel: number): number => (channel % Math.floor(width / 8) === 3 ? 50 : 1);
    for (const part of ["weight", "bias"]) {
      const { data } = parameters.get(`${norm}.${part}`)!;
      data.forEach((value, channel) => {
        data[channel] = value * loud(channel);
      });
    }
    for (const weight of reader[1]) {
      const { data } = parameters.get(`${layer}.${weight}.weight`)!;
      data.forEach((value, i) => {
        data[i] = value / loud(i % width);
      });
      changed += 1;
    }
  }
  expect(changed).toBeGreaterThan(10);
  const { readFile } = await import("node:fs/promises");
  const files = [...model.tokenizerFiles].map(async ([name, path]) => [name, await readFile(path)] as const);
  await writeModelFolder(out, {
    config: model.config,
    parameters,
    tokenizerFiles: new Map(await Promise.all(files)),
    preprocessorConfig: model.preprocessorConfig ?? {},
    generationConfig: model.generationConfig ?? {},
  });
}

describe("the bundled model in int8", () => {
  const scenes = Array.from({ length: 24 }, (_, index) =>
    renderScene(sceneAt({ split: "test", seed: 5, index })),
  );
  const pictures = [1, 2, 3, 4, 5, 6].map((i) => join(examples, `scene-${i}.png`));

  it("chooses the same next token in 99 % of all places", async () => {
    const model = await quantized(bundledModelFolder, "scenes-int8", pictures);
    const same = await compared([bundledModelFolder, model], (pair) => agreement(pair, scenes));
    expect(same).toBeGreaterThanOrEqual(0.99);
  });

  it("and in 98 % where 8 channels behind every norm are 50 times as large", async () => {
    const loud = join(folder.path, "loud");
    await withLoudChannels(await openModelFolder(bundledModelFolder), loud);
    const model = await quantized(loud, "loud-int8", pictures);
    const same = await compared([bundledModelFolder, model], (pair) => agreement(pair, scenes));
    expect(same).toBeGreaterThanOrEqual(0.98);
  });
});

describe.skipIf(!e2e || !existsSync(e2e))("tiny-e2e in int8", () => {
  // 98.2 to 99.1 % were measured, by the luck of rounding: this model of 64 channels, trained for minutes, often has two
  // tokens that are almost as likely, and weights rounded alone, with exact inputs, give 99.0 %.
  it("chooses the same next token in 98 % of all places", async () => {
    const photos = join(e2e!, "images");
    const pictures = (await readdir(photos)).map((name) => join(photos, name));
    const form = join(e2e!, "form2-safetensors");
    const model = await quantized(form, "e2e-int8", pictures.slice(0, 6));
    const same = await compared([form, model], (pair) => agreement(pair, pictures));
    expect(same).toBeGreaterThanOrEqual(0.98);
  });
});
