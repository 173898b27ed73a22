import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeChangedModel } from "../../test/support/changed-model.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../weights/half.js";
import { openModelFolder } from "../weights/model-folder.js";
import { openSafetensors } from "../weights/safetensors.js";
import { exportHuggingFace, type HuggingFaceOptions } from "./huggingface.js";

const shared = process.env.LINGOLENS_SHARED;
const scene = fileURLToPath(new URL("../../examples/scene-1.png", import.meta.url));
let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let tiny: string;

beforeAll(async () => {
  temporary = await temporaryFolder();
  tiny = join(temporary.path, "tiny");
  await writeTinyCaptioner(tiny);
});
afterAll(() => temporary.remove());

async function exported(from: string, name: string, options: HuggingFaceOptions = {}): Promise<string> {
  const out = join(temporary.path, name);
  await mkdir(out);
  await exportHuggingFace(await openModelFolder(from), out, options);
  return out;
}

async function withBoth<T>(a: string, b: string, use: (a: Captioner, b: Captioner) => Promise<T>) {
  const captioners = [await loadCaptioner({ model: a }), await loadCaptioner({ model: b })] as const;
  try {
    return await use(...captioners);
  } finally {
    for (const captioner of captioners) await captioner.close();
  }
}

describe("exportHuggingFace", () => {
  it("keeps the logits of a model with another epsilon and a projection of equal width", async () => {
    const plain = join(temporary.path, "plain");
    await writeChangedModel(tiny, plain, {
      // Large enough that another one would show.
      config: (config) => ({ ...config, decoder: { ...config.decoder, layerNormEps: 1e-2 } }),
      parameter: (name, values) => (name === "final_logits_bias" ? values.fill(0) : values),
    });
    const notices: string[] = [];
    const out = await exported(plain, "plain-hf", { onNotice: (line) => notices.push(line) });
    expect(notices).toEqual([expect.stringContaining("epsilon 0.01")]);
    expect((await openModelFolder(out)).config.decoder.layerNormEps).toBe(1e-5);
    await withBoth(plain, out, async (before, after) => {
      const inputs = {
        pixelValues: Float32Array.from({ length: 3 * 96 * 96 }, (_, i) => Math.sin(i / 50)),
        decoderInputIds: [[2, 335, 10, 20, 30, 40]],
      };
      const [want, got] = [await before.logits(inputs), await after.logits(inputs)];
      const largest = want.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const furthest = want.data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - got.data[i]!)),
        0,
      );
      expect(furthest / largest).toBeLessThan(1e-5);
      const options = { lang: ["en", "fr"], beams: 3 };
      const [wanted, given] = [await before.caption(scene, options), await after.caption(scene, options)];
      const tokens = (results: typeof wanted) => results.map((r) => "captions" in r && r.captions[0]!.tokens);
      expect(tokens(given)).toEqual(tokens(wanted));
    });
  });

  it("gives a bias of the logits an output layer, and says so", async () => {
    const notices: string[] = [];
    const out = await exported(tiny, "biased", { onNotice: (line) => notices.push(line) });
    expect(notices).toEqual([expect.stringContaining("final_logits_bias is not zero")]);
    const { header } = await openSafetensors(join(out, "model.safetensors"));
    expect(header.tensors.get("decoder.lm_head.weight")!.shape).toEqual([341, 32]);
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config.decoder.tie_word_embeddings).toBe(false);
    // What cannot be read back is refused, not taken for another model.
    await expect(openModelFolder(out)).rejects.toMatchObject({ code: "checkpoint-mismatch" });
  });

  it("writes the files that Hugging Face's loaders ask for", async () => {
    const out = await exported(tiny, "files");
    expect((await readdir(out)).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "preprocessor_config.json",
      "sentencepiece.bpe.model",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const json = async (name: string) => JSON.parse(await readFile(join(out, name), "utf8"));
    expect(await json("generation_config.json")).toMatchObject({
      decoder_start_token_id: 2,
      pad_token_id: 1,
    });
    expect(await json("preprocessor_config.json")).toMatchObject({
      size: { shortest_edge: 96 },
      crop_size: { width: 96, height: 96 },
      image_mean: [0.48145466, 0.4578275, 0.40821073],
    });
    expect((await json("tokenizer_config.json")).additional_special_tokens).toHaveLength(6);
  });

  it.each([
    ["fp16", (values: Float32Array) => float16ToFloat32(float32ToFloat16(values))],
    ["bf16", (values: Float32Array) => bfloat16ToFloat32(float32ToBfloat16(values))],
  ] as const)("stores weights as %s", async (dtype, rounded) => {
    const plain = join(temporary.path, `plain-${dtype}`);
    await writeChangedModel(tiny, plain, {
      parameter: (name, values) => (name === "final_logits_bias" ? values.fill(0) : values),
    });
    const out = await exported(plain, dtype, { dtype });
    const name = "model.decoder.layers.0.fc1.weight";
    const [before, after] = [await openModelFolder(plain), await openModelFolder(out)];
    expect(await after.weights.get(name)!.read()).toEqual(rounded(await before.weights.get(name)!.read()));
  });

  it("stops when cancelled", async () => {
    const signal = AbortSignal.abort();
    await expect(exported(tiny, "cancelled", { signal })).rejects.toMatchObject({ code: "cancelled" });
  });

  it("tells how far it is, up to all bytes", async () => {
    const seen: number[] = [];
    let total = 0;
    await exported(tiny, "progress", {
      onProgress: (progress) => {
        seen.push(progress.done);
        total = progress.total;
      },
    });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
  });

  it.skipIf(!shared)("keeps the captions of a trained model, Flax's or PyTorch's", async () => {
    const root = join(shared!, "goldens/tiny-e2e");
    const crops = (await readdir(join(root, "crops"))).map((name) => join(root, "crops", name));
    for (const form of ["form1-seed-flax", "form2-safetensors"]) {
      const from = join(root, form);
      const out = await exported(from, form);
      await withBoth(from, out, async (before, after) => {
        const options = { lang: ["en", "de", "fr", "es"], beams: 4, maxLength: 24 };
        const [want, got] = [await before.caption(crops, options), await after.caption(crops, options)];
        for (const [i, result] of want.entries()) {
          if (!("captions" in result)) throw new Error(result.error.message);
          const [wanted] = result.captions;
          expect(got[i]).toMatchObject({
            lang: result.lang,
            captions: [{ tokens: wanted!.tokens, score: expect.closeTo(wanted!.score, 4) }],
          });
        }
      });
    }
  });
});
