import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference, readTensors } from "../../test/support/tiny-model.js";
import { compileProgram, type HostTensors } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { BeamSearch } from "../generation/beam-search.js";
import { DecoderSession } from "../generation/decoder-session.js";
import { generate } from "../generation/generate.js";
import { GreedySearch } from "../generation/greedy-search.js";
import { HostStepMemory } from "../generation/host-step-memory.js";
import { input, reshape, type Tensor } from "../graph/index.js";
import { openMarianFolder } from "../weights/marian-folder.js";
import { MarianGraph, marianDecodeOutputs, marianEncodeOutputs, sinusoids } from "./marian.js";
import { type MarianConfig, parseMarianConfig, writeMarianConfig } from "./marian-config.js";

const tinyMarian = fileURLToPath(new URL("../../test/fixtures/marian-tiny/", import.meta.url));

/** A case of generate.json: arguments of Hugging Face's `generate` and what it gave for four sentences. */
interface GoldenCase {
  readonly params: {
    readonly num_beams: number;
    readonly max_length: number;
    readonly min_length?: number;
    readonly early_stopping?: boolean | "never";
    readonly length_penalty?: number;
    readonly forced_eos_token_id: number;
    readonly no_repeat_ngram_size?: number;
    readonly num_return_sequences?: number;
    readonly bad_words_ids: number[][];
  };
  readonly sequences: number[][];
  readonly sequences_scores: number[] | null;
}

let engine: Engine;
let config: MarianConfig;
let weights: HostTensors;
let golden: Map<string, HostTensor>;

beforeAll(async () => {
  engine = await createNativeEngine();
  const folder = await openMarianFolder(tinyMarian);
  config = folder.config;
  const read = [...folder.weights].map(async ([name, { shape, read }]) => {
    return [name, { dtype: "float32", shape, data: await read() }] as const;
  });
  weights = Object.fromEntries(await Promise.all(read));
  golden = await readTensors(join(tinyMarian, "forward.safetensors"));
});
afterAll(() => engine.close());

const counted = (length: number): HostTensor => {
  return { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) };
};

describe("MarianMT computes what Hugging Face computes", () => {
  it("at every hidden state and in the logits", async () => {
    const graph = new MarianGraph(config);
    const encoded = graph.encode(input("ids", "int64", ["pictures", "source"]));
    const decoded = graph.decode({
      ids: input("decoderInputIds", "int64", ["pictures", 1, "length"]),
      positions: input("positions", "int64", ["length"]),
      ...encoded,
    });
    const outputs: Record<string, Tensor> = {
      ...Object.fromEntries(encoded.hiddenStates.map((x, i) => [`encoder_hidden_states.${i}`, x])),
      ...Object.fromEntries(decoded.hiddenStates.map((x, i) => [`decoder_hidden_states.${i}`, x])),
      logits: graph.head(reshape(decoded.lastHiddenState, ["pictures*length", config.hiddenSize])),
    };
    const ids = golden.get("input_ids")!;
    const decoderIds = golden.get("decoder_input_ids")!;
    const [sentences, length] = decoderIds.shape as [number, number];
    const program = await compileProgram(engine, { outputs });
    const results = await program.run({
      ...weights,
      ids,
      sourcePositions: counted(ids.shape[1]!),
      decoderInputIds: { ...decoderIds, shape: [sentences, 1, length] },
      positions: counted(length),
    });
    await program.close();
    const mask = golden.get("attention_mask")!.data as BigInt64Array;
    expect([...mask].some((bit) => bit === 0n)).toBe(true);
    for (const name of Object.keys(outputs)) {
      const expected = golden.get(name)!.data as Float32Array;
      const got = results[name]!.data as Float32Array;
      expect(got.length, name).toBe(expected.length);
      // What the encoder makes of padding is nobody's business.
      const width = name.startsWith("encoder") ? config.hiddenSize : expected.length / mask.length;
      const seen = (x: Float32Array): Float32Array =>
        x.filter((_, i) => !name.startsWith("encoder") || mask[Math.floor(i / width)] === 1n);
      const tolerance = name === "logits" ? 1e-3 : 1e-4 * maxAbsolute(expected);
      expect(maxAbsoluteDifference(seen(got), seen(expected)), name).toBeLessThanOrEqual(tolerance);
    }
  });

  it("with the same table of positions", () => {
    const expected = golden.get("sinusoid_first48")!;
    const [positions, width] = expected.shape as [number, number];
    expect(maxAbsoluteDifference(sinusoids(positions, width), expected.data as Float32Array)).toBeLessThan(
      1e-6,
    );
  });
});

it("gives the tokens and scores of transformers 5.18 in every case", async () => {
  const { cases } = JSON.parse(await readFile(join(tinyMarian, "generate.json"), "utf8"));
  const encode = await compileProgram(engine, { outputs: marianEncodeOutputs(config) });
  const decode = await compileProgram(engine, { outputs: marianDecodeOutputs(config) });
  const ids = golden.get("input_ids")!;
  const cross = await encode.run({ ...weights, ids, sourcePositions: counted(ids.shape[1]!) });
  const withWeights = {
    ...decode,
    run: (feeds: HostTensors, into?: Parameters<typeof decode.run>[1]) =>
      decode.run({ ...weights, ...feeds }, into),
  };
  const trimmed = (tokens: readonly number[]): readonly number[] =>
    tokens.slice(0, tokens.findLastIndex((id) => id !== config.ids.pad) + 1);
  for (const { params, sequences, sequences_scores } of cases as GoldenCase[]) {
    const name = JSON.stringify(params);
    const options = {
      beams: params.num_beams,
      numCaptions: params.num_return_sequences ?? 1,
      lengthPenalty: params.length_penalty ?? 1,
      earlyStopping: params.early_stopping ?? false,
      minLength: params.min_length ?? 0,
      maxLength: params.max_length,
      noRepeatNgramSize: params.no_repeat_ngram_size ?? 0,
      repetitionPenalty: 1,
      bannedSequences: params.bad_words_ids,
      eosId: config.ids.eos,
      prompt: [config.ids.decoderStart],
      forcedEosId: params.forced_eos_token_id,
    };
    const searches = Array.from({ length: ids.shape[0]! }, () => [
      options.beams === 1 ? new GreedySearch(options) : new BeamSearch(options),
    ]);
    await generate(
      new DecoderSession(config, new HostStepMemory(withWeights, config.decoder, cross, 1)),
      searches,
    );
    const results = searches.flatMap(([search]) => search!.results());
    expect(
      results.map(({ tokens }) => trimmed(tokens)),
      name,
    ).toEqual(sequences.map(trimmed));
    results.forEach(({ score }, i) => {
      if (sequences_scores) expect(Math.abs(score - sequences_scores[i]!), name).toBeLessThanOrEqual(1e-4);
    });
  }
  expect(cases.length).toBeGreaterThan(10);
  await encode.close();
  await decode.close();
});

describe("the config", () => {
  it("survives being written", () => {
    expect(parseMarianConfig(writeMarianConfig(config))).toEqual(config);
  });

  it("takes what generation_config.json says before its own", () => {
    const json = { ...writeMarianConfig(config), forced_eos_token_id: 3 };
    const generationConfig = { forced_eos_token_id: 5, bad_words_ids: [[7, 8]], renormalize_logits: true };
    const parsed = parseMarianConfig(json, { generationConfig });
    expect(parsed).toMatchObject({ forcedEos: 5, renormalize: true });
    expect(parsed.bannedSequences).toEqual([[config.ids.pad], [7, 8]]);
  });

  it.each([
    ["normalize_before", true],
    ["share_encoder_decoder_embeddings", false],
    ["decoder_vocab_size", 7],
    ["activation_function", "tanh"],
    ["bad_words_ids", [["pad"]]],
    ["decoder_attention_heads", 5],
  ])("refuses %s %j, which would be another model", (key, value) => {
    expect(() => parseMarianConfig({ ...writeMarianConfig(config), [key]: value })).toThrow(key);
  });
});
