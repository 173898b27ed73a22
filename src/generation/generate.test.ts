import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostDevice } from "../../test/support/host-device.js";
import { readTensors, tinyModel } from "../../test/support/tiny-model.js";
import { DeviceRunner } from "../captioner/device-runner.js";
import { ModelPrograms } from "../captioner/model-programs.js";
import { HostRunner, type ModelRunner } from "../captioner/model-runner.js";
import type { HostTensors } from "../engine/compile.js";
import type { DeviceEngine } from "../engine/device/device-engine.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { type CaptionerConfig, parseConfig } from "../model/config.js";
import { BeamSearch } from "./beam-search.js";
import { DecoderSession } from "./decoder-session.js";
import { generate } from "./generate.js";
import { GreedySearch } from "./greedy-search.js";
import type { Search } from "./search.js";

/** A case of generate.json: arguments of Hugging Face's `generate` and what it gave for three pictures. */
interface GoldenCase {
  readonly name: string;
  readonly params: {
    readonly num_beams: number;
    readonly max_length?: number;
    readonly max_new_tokens?: number;
    readonly min_length?: number;
    readonly no_repeat_ngram_size?: number;
    readonly repetition_penalty?: number;
    readonly length_penalty?: number;
    readonly early_stopping?: boolean | "never";
    readonly num_return_sequences?: number;
    readonly forced_bos_token_id?: number;
    readonly forced_eos_token_id?: number;
    readonly bad_words_ids?: number[][];
    readonly decoder_input_ids?: number[][];
    readonly decoder_start_token_id?: number[];
  };
  /** A language for each picture; each was then generated alone. */
  readonly forced_bos_token_id_per_row?: number[];
  readonly sequences: number[][];
  readonly sequences_scores: number[] | null;
}

let engine: Engine;
let device: DeviceEngine;
let baseConfig: CaptionerConfig;
let weights: HostTensors;
let pixelValues: HostTensor;

beforeAll(async () => {
  engine = await createNativeEngine();
  device = await hostDevice();
  const json = JSON.parse(await readFile(join(tinyModel, "config.json"), "utf8"));
  baseConfig = parseConfig(json, { weightsFormat: "safetensors" });
  weights = Object.fromEntries(await readTensors(join(tinyModel, "model.safetensors")));
  pixelValues = (await readTensors(join(tinyModel, "forward.safetensors"))).get("pixel_values")!;
});
afterAll(() => Promise.all([engine.close(), device.close()]));

function searchFor({ params, forced_bos_token_id_per_row }: GoldenCase, picture: number): Search {
  const prompt = params.decoder_input_ids?.[picture] ?? [params.decoder_start_token_id?.[picture] ?? 2];
  const forcedFirst = forced_bos_token_id_per_row?.[picture] ?? params.forced_bos_token_id;
  const options = {
    beams: params.num_beams,
    numCaptions: params.num_return_sequences ?? 1,
    lengthPenalty: params.length_penalty ?? 1,
    earlyStopping: params.early_stopping ?? false,
    minLength: params.min_length ?? 0,
    maxLength: params.max_length ?? prompt.length + params.max_new_tokens!,
    noRepeatNgramSize: params.no_repeat_ngram_size ?? 0,
    repetitionPenalty: params.repetition_penalty ?? 1,
    bannedSequences: params.bad_words_ids ?? [],
    eosId: 2,
    prompt,
    ...(forcedFirst !== undefined && { forcedFirst }),
    ...(params.forced_eos_token_id !== undefined && { forcedEosId: params.forced_eos_token_id }),
  };
  return options.beams === 1 ? new GreedySearch(options) : new BeamSearch(options);
}

const trimmed = (tokens: readonly number[]): number[] => {
  const end = tokens.findLastIndex((id) => id !== 1);
  return tokens.slice(0, end + 1) as number[];
};

describe.each([
  ["generate.json", 1e-5, "processors"],
  ["generate_eps1e-6.json", 1e-6, "processors"],
  ["generate.json", 1e-5, "a device"],
] as const)("%s: the tokens and scores of transformers 5.18, ε %f, on %s", (file, layerNormEps, place) => {
  let cases: GoldenCase[];
  let config: CaptionerConfig;
  let runner: ModelRunner;

  beforeAll(async () => {
    cases = JSON.parse(await readFile(join(tinyModel, file), "utf8")).cases;
    expect(cases.length).toBe(329);
    config = { ...baseConfig, decoder: { ...baseConfig.decoder, layerNormEps } };
    const all = { config, locations: new Map(), converted: weights, int8: new Set<string>(), size: 0 };
    runner =
      place === "a device" ? DeviceRunner.of(device, all) : new HostRunner(new ModelPrograms(engine, all));
  });

  /** Runs searches for the three pictures. */
  async function search(searches: readonly (readonly Search[])[]): Promise<void> {
    const seen = await runner.encode(pixelValues);
    const memory = await runner.searchMemory(seen, searches[0]!.length);
    await generate(new DecoderSession(config, memory), searches);
    await memory.close();
    await runner.release(seen);
  }

  it("in every case", async () => {
    // A device's searches are the same, and only their memory another.
    for (const golden of place === "a device" ? cases.filter((_, i) => i % 4 === 0) : cases) {
      const searches = [0, 1, 2].map((picture) => [searchFor(golden, picture)]);
      await search(searches);
      const results = searches.flatMap(([search]) => search!.results());
      const perPicture = golden.params.num_return_sequences ?? 1;

      const expected = golden.sequences.map((tokens, i) => ({
        tokens: trimmed(tokens),
        score: golden.sequences_scores?.[i],
      }));
      // Slots that Hugging Face could not fill hold −10⁹; this search returns fewer instead.
      const filled = expected.filter(({ score }) => score === undefined || score > -1e8);
      expect(results.length, golden.name).toBe(filled.length);
      expect(expected.length, golden.name).toBe(3 * perPicture);
      results.forEach((result, i) => {
        const { tokens, score } = filled[i]!;
        expect(trimmed(result.tokens), golden.name).toEqual(tokens);
        if (score !== undefined)
          expect(Math.abs(result.score - score), golden.name).toBeLessThanOrEqual(
            1e-4 * Math.abs(score) + 1e-6,
          );
      });
    }
  });

  it("in any company: several languages of several pictures in one batch", async () => {
    const named = (language: string) =>
      cases.find(({ name }) => name === `beam4_${language}_ml16_lp1.0_esFalse_ngram0`)!;
    const languages = ["en", "de", "es", "fr"].map(named);
    const searches = [0, 1, 2].map((picture) => languages.map((golden) => searchFor(golden, picture)));
    await search(searches);
    searches.forEach((row, picture) => {
      row.forEach((search, i) => {
        expect(trimmed(search.results()[0]!.tokens)).toEqual(trimmed(languages[i]!.sequences[picture]!));
      });
    });
  });
});
