import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CaptionerConfig, parseConfig, writeConfig } from "./config.js";

const shared = process.env.LINGOLENS_SHARED;

/** A small config in the original's form, as a fresh object that a test may spoil. */
function seedJson() {
  return {
    model_type: "clip-vision-mbart",
    decoder_start_token_id: 2 as unknown,
    clip_vision_config: {
      model_type: "clip_vision_model",
      hidden_act: "quick_gelu",
      hidden_size: 32,
      image_size: 32,
      intermediate_size: 64,
      layer_norm_eps: 1e-5,
      num_attention_heads: 2,
      num_channels: 3,
      num_hidden_layers: 2,
      patch_size: 8,
    } as Record<string, unknown>,
    mbart_config: {
      model_type: "mbart",
      activation_function: "gelu",
      bos_token_id: 0,
      d_model: 48,
      decoder_attention_heads: 3,
      decoder_ffn_dim: 96,
      decoder_layers: 2,
      dropout: 0.1,
      eos_token_id: 2,
      max_position_embeddings: 64,
      pad_token_id: 1,
      scale_embedding: true,
      vocab_size: 1000,
    } as Record<string, unknown>,
  };
}

/** The same model as Hugging Face writes it. */
function huggingFaceJson() {
  const { clip_vision_config: encoder, mbart_config: decoder } = seedJson();
  return { model_type: "vision-encoder-decoder", encoder, decoder } as Record<string, unknown> & {
    encoder: Record<string, unknown>;
    decoder: Record<string, unknown>;
  };
}

const expected: CaptionerConfig = {
  vision: {
    hiddenSize: 32,
    layers: 2,
    heads: 2,
    intermediateSize: 64,
    imageSize: 32,
    patchSize: 8,
    channels: 3,
    layerNormEps: 1e-5,
    activation: "quick_gelu",
  },
  decoder: {
    hiddenSize: 48,
    layers: 2,
    heads: 3,
    ffnDim: 96,
    vocabularySize: 1000,
    maxPositions: 64,
    layerNormEps: 1e-5,
    activation: "gelu",
    scaleEmbedding: true,
    dropout: 0.1,
  },
  ids: { bos: 0, pad: 1, eos: 2, decoderStart: 2 },
};

const source = { weightsFormat: "safetensors" } as const;

describe("parseConfig", () => {
  it("reads the original's nested form", () => {
    expect(parseConfig(seedJson(), source)).toEqual(expected);
  });

  it("reads Hugging Face's vision-encoder-decoder, with a CLIP vision model or a whole CLIP as encoder", () => {
    const json = huggingFaceJson();
    expect(parseConfig(json, source)).toEqual(expected);
    json.encoder = { model_type: "clip", vision_config: json.encoder };
    expect(parseConfig(json, source)).toEqual(expected);
  });

  it("takes the decoder's LayerNorm epsilon from the config, else from the framework of the weights", () => {
    const json = seedJson();
    const epsOf = (weightsFormat: "safetensors" | "flax" | "pytorch") =>
      parseConfig(json, { weightsFormat }).decoder.layerNormEps;
    expect([epsOf("safetensors"), epsOf("pytorch"), epsOf("flax")]).toEqual([1e-5, 1e-5, 1e-6]);
    json.mbart_config.layer_norm_eps = 3e-6;
    expect([epsOf("safetensors"), epsOf("pytorch"), epsOf("flax")]).toEqual([3e-6, 3e-6, 3e-6]);
  });

  it("finds the start token in the generation config, the config, its decoder, and else takes </s>", () => {
    const json = huggingFaceJson();
    const startOf = (generationConfig?: unknown) =>
      parseConfig(json, { ...source, ...(generationConfig !== undefined && { generationConfig }) }).ids
        .decoderStart;
    expect(startOf()).toBe(2);
    json.decoder.decoder_start_token_id = 5;
    expect(startOf()).toBe(5);
    json.decoder_start_token_id = 6;
    expect(startOf()).toBe(6);
    expect(startOf({ decoder_start_token_id: 7 })).toBe(7);
    expect(startOf({ decoder_start_token_id: null })).toBe(6);
  });

  const refused: [path: string, spoil: (json: ReturnType<typeof seedJson>) => void][] = [
    ["clip_vision_config.hidden_size", (json) => delete json.clip_vision_config.hidden_size],
    ["clip_vision_config.hidden_size", (json) => (json.clip_vision_config.hidden_size = "32")],
    ["clip_vision_config.hidden_size", (json) => (json.clip_vision_config.hidden_size = 1e12)],
    ["clip_vision_config.num_hidden_layers", (json) => (json.clip_vision_config.num_hidden_layers = 2.5)],
    ["clip_vision_config.num_attention_heads", (json) => (json.clip_vision_config.num_attention_heads = 3)],
    ["clip_vision_config.patch_size", (json) => (json.clip_vision_config.patch_size = 7)],
    ["clip_vision_config.num_channels", (json) => (json.clip_vision_config.num_channels = 1)],
    ["clip_vision_config.hidden_act", (json) => (json.clip_vision_config.hidden_act = "relu")],
    ["clip_vision_config.layer_norm_eps", (json) => (json.clip_vision_config.layer_norm_eps = 0)],
    ["clip_vision_config.model_type", (json) => (json.clip_vision_config.model_type = "vit")],
    ["clip_vision_config", (json) => (json.clip_vision_config = [] as never)],
    ["mbart_config", (json) => delete (json as Partial<typeof json>).mbart_config],
    ["mbart_config.d_model", (json) => (json.mbart_config.d_model = -48)],
    ["mbart_config.decoder_layers", (json) => (json.mbart_config.decoder_layers = 0)],
    ["mbart_config.decoder_attention_heads", (json) => (json.mbart_config.decoder_attention_heads = 5)],
    ["mbart_config.activation_function", (json) => (json.mbart_config.activation_function = "swish")],
    ["mbart_config.scale_embedding", (json) => (json.mbart_config.scale_embedding = 1)],
    ["mbart_config.dropout", (json) => (json.mbart_config.dropout = 1.5)],
    ["mbart_config.layer_norm_eps", (json) => (json.mbart_config.layer_norm_eps = "1e-5")],
    ["mbart_config.eos_token_id", (json) => (json.mbart_config.eos_token_id = 1000)],
    ["decoder_start_token_id", (json) => (json.decoder_start_token_id = -1)],
    ["model_type", (json) => (json.model_type = "blip")],
  ];
  it.each(refused)("refuses a wrong %s (%#)", (path, spoil) => {
    const json = seedJson();
    spoil(json);
    expect(() => parseConfig(json, { ...source, fileName: "some/config.json" })).toThrow(
      expect.objectContaining({
        code: "config-invalid",
        message: expect.stringContaining(`some/config.json: ${path}: expected `),
      }),
    );
  });

  it("refuses models of another kind", () => {
    expect(() => parseConfig({ model_type: "bert" }, source)).toThrow(/model_type: expected .* got "bert"/);
    const json = huggingFaceJson();
    json.decoder.cross_attention_hidden_size = 32;
    expect(() => parseConfig(json, source)).toThrow(/decoder.cross_attention_hidden_size/);
  });

  it("answers anything that is no config with a typed error", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(() => parseConfig(json, source)).toThrow(expect.objectContaining({ code: "config-invalid" }));
      }),
    );
  });
});

describe("writeConfig", () => {
  const size = fc.integer({ min: 1, max: 64 });
  const eps = fc.double({ min: 1e-12, max: 1, noNaN: true });
  const anyConfig: fc.Arbitrary<CaptionerConfig> = fc
    .record({
      vision: fc.record({
        layers: size,
        heads: size,
        intermediateSize: size,
        patchSize: size,
        channels: fc.constant(3 as const),
        layerNormEps: eps,
        activation: fc.constantFrom("quick_gelu" as const, "gelu" as const),
      }),
      decoder: fc.record({
        layers: size,
        heads: size,
        ffnDim: size,
        vocabularySize: fc.integer({ min: 10, max: 300_000 }),
        maxPositions: size,
        layerNormEps: eps,
        activation: fc.constant("gelu" as const),
        scaleEmbedding: fc.boolean(),
        dropout: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      ids: fc.record({ bos: fc.nat(9), pad: fc.nat(9), eos: fc.nat(9), decoderStart: fc.nat(9) }),
      multiples: fc.tuple(size, size, size),
    })
    .map(({ vision, decoder, ids, multiples: [visionWidth, patches, decoderWidth] }) => ({
      vision: { ...vision, hiddenSize: vision.heads * visionWidth, imageSize: vision.patchSize * patches },
      decoder: { ...decoder, hiddenSize: decoder.heads * decoderWidth },
      ids,
    }));

  it("writes what parseConfig reads back unchanged, whatever the weights are stored as", () => {
    fc.assert(
      fc.property(anyConfig, fc.constantFrom("safetensors", "flax", "pytorch"), (config, weightsFormat) => {
        const written: unknown = JSON.parse(JSON.stringify(writeConfig(config)));
        expect(parseConfig(written, { weightsFormat })).toEqual(config);
      }),
    );
  });
});

describe.skipIf(!shared)("published configs", () => {
  const read = (path: string): unknown => JSON.parse(readFileSync(join(shared!, path), "utf8"));
  const tinyEndToEnd = "goldens/tiny-e2e";

  it("reads the golden model's", () => {
    const config = parseConfig(read("goldens/tiny-model/config.json"), source);
    expect(config).toEqual({ ...expected, decoder: { ...expected.decoder, dropout: 0 } });
  });

  it("reads the original's and both Hugging Face spellings of one model to the same value", () => {
    expect(existsSync(join(shared!, tinyEndToEnd))).toBe(true);
    const [original, ...others] = ["form2-safetensors", "form3-hf-ved", "form3b-hf-ved-4x-names"].map(
      (form) => parseConfig(read(`${tinyEndToEnd}/${form}/config.json`), source),
    );
    expect(original!.vision).toMatchObject({
      hiddenSize: 48,
      layers: 3,
      heads: 4,
      imageSize: 64,
      patchSize: 16,
    });
    for (const other of others) expect(other).toEqual(original);
  });
});
