import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CaptionerConfig } from "../model/config.js";
import { foldEpsilon, foldLogitsBias, foldProjection } from "./huggingface-folds.js";
import type { Parameters } from "./parameters.js";

const SIZE = 6;
const VOCABULARY = 4;
const config = {
  vision: { hiddenSize: SIZE },
  decoder: { hiddenSize: SIZE, layerNormEps: 1e-6 },
} as CaptionerConfig;

const values = (length: number) =>
  fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: length, maxLength: length });

function parameters(entries: Readonly<Record<string, readonly number[]>>): Parameters {
  return new Map(
    Object.entries(entries).map(([name, data]) => [
      name,
      { shape: [data.length], read: async () => Float32Array.from(data) },
    ]),
  );
}

const dot = (a: readonly number[], b: Float32Array | readonly number[], from = 0): number =>
  a.reduce((sum, value, i) => sum + value * b[from + i]!, 0);

describe("foldLogitsBias", () => {
  const norm = { gain: "model.decoder.layer_norm.weight", shift: "model.decoder.layer_norm.bias" };

  it("gives every token its logit without the bias", async () => {
    await fc.assert(
      fc.asyncProperty(
        values(SIZE * VOCABULARY),
        values(VOCABULARY),
        values(SIZE),
        values(SIZE),
        values(SIZE),
        async (embedding, bias, gain, shift, x) => {
          fc.pre(bias.some((value) => value !== 0));
          const mean = x.reduce((sum, value) => sum + value, 0) / SIZE;
          const normal = x.map((value) => value - mean);
          const folded = await foldLogitsBias({
            config,
            parameters: parameters({
              final_logits_bias: bias,
              "model.shared.weight": embedding,
              [norm.gain]: gain,
              [norm.shift]: shift,
            }),
          });
          const head = await folded.head!.read();
          const [newGain, newShift] = [norm.gain, norm.shift].map((name) => folded.parameters.get(name)!);
          const [g, s] = [await newGain!.read(), await newShift!.read()];
          for (let token = 0; token < VOCABULARY; token++) {
            const before = dot(
              normal.map((value, i) => value * gain[i]! + shift[i]!),
              embedding,
              token * SIZE,
            );
            const after = dot(
              normal.map((value, i) => value * g[i]! + s[i]!),
              head,
              token * SIZE,
            );
            expect(after).toBeCloseTo(before + bias[token]!, 4);
          }
        },
      ),
    );
  });

  it("leaves a model whose bias is zero as it is", async () => {
    const model = { config, parameters: parameters({ final_logits_bias: [0, 0, 0] }) };
    expect(await foldLogitsBias(model)).toEqual(model);
  });
});

describe("foldEpsilon", () => {
  it("makes of norms with 1e-6 norms with 1e-5 of a stream that is larger by √10", async () => {
    const names = [
      "model.shared.weight",
      "model.decoder.embed_positions.weight",
      "model.decoder.layernorm_embedding.bias",
      "model.decoder.layers.1.self_attn.out_proj.weight",
      "model.decoder.layers.1.encoder_attn.out_proj.bias",
      "model.decoder.layers.1.fc2.bias",
      "model.decoder.layers.1.fc1.bias",
      "model.decoder.layers.1.self_attn.q_proj.weight",
      "model.decoder.layer_norm.weight",
      "model.decoder.layer_norm.bias",
      "model.encoder.vision_model.encoder.layers.1.mlp.fc2.weight",
    ];
    const folded = foldEpsilon({
      config,
      parameters: parameters(Object.fromEntries(names.map((name) => [name, [1]]))),
    });
    expect(folded.config.decoder.layerNormEps).toBe(1e-5);
    const factors = await Promise.all(
      names.map(async (name) => (await folded.parameters.get(name)!.read())[0]!),
    );
    const root = Math.fround(Math.sqrt(10));
    const want = [root, root, root, root, root, root, 1, 1, 1 / root, 1 / root, 1];
    for (const [i, factor] of factors.entries()) expect(factor, names[i]).toBeCloseTo(want[i]!, 5);
  });
});

describe("foldProjection", () => {
  it("gives keys of the pictures without the projection", async () => {
    const key = "model.decoder.layers.0.encoder_attn.k_proj";
    await fc.assert(
      fc.asyncProperty(
        values(SIZE * SIZE),
        values(SIZE),
        values(SIZE * SIZE),
        values(SIZE),
        values(SIZE),
        async (projection, projectionBias, matrix, bias, picture) => {
          const { parameters: folded } = foldProjection({
            config,
            parameters: parameters({
              "model.visual_projection.weight": projection,
              "model.visual_projection.bias": projectionBias,
              [`${key}.weight`]: matrix,
              [`${key}.bias`]: bias,
            }),
          });
          const rows = (
            m: readonly number[] | Float32Array,
            b: readonly number[] | Float32Array,
            x: number[],
          ) => Array.from(b, (value, row) => value + dot(x, m, row * SIZE));
          const before = rows(matrix, bias, rows(projection, projectionBias, picture));
          const [m, b] = [folded.get(`${key}.weight`)!, folded.get(`${key}.bias`)!];
          const after = rows(await m.read(), await b.read(), picture);
          for (const [i, value] of after.entries()) expect(value).toBeCloseTo(before[i]!, 3);
          expect([...folded.keys()].filter((name) => name.includes("visual_projection"))).toEqual([]);
        },
      ),
    );
  });
});
