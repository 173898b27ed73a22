import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxAbsolute, maxAbsoluteDifference, readTensors, tinyModel } from "../../test/support/tiny-model.js";
import { compileProgram, type HostTensors } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { input, type Tensor } from "../graph/index.js";
import { allLogits, CaptionerGraph } from "./captioner.js";
import { type CaptionerConfig, parseConfig } from "./config.js";

let engine: Engine;
let config: CaptionerConfig;
let weights: Map<string, HostTensor>;
let golden: Map<string, HostTensor>;

beforeAll(async () => {
  engine = await createNativeEngine();
  config = parseConfig(JSON.parse(await readFile(join(tinyModel, "config.json"), "utf8")), {
    weightsFormat: "safetensors",
  });
  weights = await readTensors(join(tinyModel, "model.safetensors"));
  golden = await readTensors(join(tinyModel, "forward.safetensors"));
});
afterAll(() => engine.close());

/** Every named intermediate, as Hugging Face names them. */
function intermediates(of: CaptionerConfig): Record<string, Tensor> {
  const graph = new CaptionerGraph(of);
  const ids = input("ids", "int64", ["pictures", "captions", "length"]);
  const attentionMask = input("attentionMask", "bool", ["pictures", "captions", "length"]);
  const positions = input("positions", "int64", ["length"]);
  const encoded = graph.encode(graph.pixelValues());
  const decoded = graph.decode({ ids, positions, cross: encoded.cross, attentionMask });
  return {
    ...Object.fromEntries(encoded.hiddenStates.map((state, i) => [`encoder_hidden_states.${i}`, state])),
    encoder_last_hidden_state: encoded.lastHiddenState,
    encoder_pooler_output: encoded.poolerOutput,
    projected: encoded.projected,
    ...Object.fromEntries(decoded.hiddenStates.map((state, i) => [`decoder_hidden_states.${i}`, state])),
    "self_attentions.0": decoded.selfAttentions[0]!,
    "cross_attentions.0": decoded.crossAttentions[0]!,
    logits: allLogits(graph, decoded.lastHiddenState),
  };
}

async function forward(of: CaptionerConfig, ids: string, masked: boolean): Promise<HostTensors> {
  const program = await compileProgram(engine, { outputs: intermediates(of) });
  const mask = golden.get("attention_mask")!;
  const [pictures, length] = mask.shape as [number, number];
  const idTensor = golden.get(ids)!;
  const results = await program.run({
    ...Object.fromEntries(weights),
    pixelValues: golden.get("pixel_values")!,
    ids: { ...idTensor, shape: [pictures, 1, length] },
    positions: { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) },
    attentionMask: {
      dtype: "bool",
      shape: [pictures, 1, length],
      data: Uint8Array.from(mask.data as BigInt64Array, (bit) => (masked ? Number(bit) : 1)),
    },
  });
  await program.close();
  return results;
}

const error = (results: HostTensors, name: string, expected = name): number => {
  return maxAbsoluteDifference(
    results[name]!.data as Float32Array,
    golden.get(expected)!.data as Float32Array,
  );
};

describe("the captioner computes what Hugging Face computes", () => {
  it("at every named intermediate", async () => {
    const results = await forward(config, "decoder_input_ids", true);
    for (const name of Object.keys(results)) {
      const expected = golden.get(name)?.data as Float32Array | undefined;
      expect(expected, name).toBeDefined();
      const tolerance = name === "logits" ? 1e-3 : 1e-4 * maxAbsolute(expected!);
      expect(error(results, name), name).toBeLessThanOrEqual(tolerance);
    }
  });

  it("without a mask, and from another start token", async () => {
    expect(
      error(await forward(config, "decoder_input_ids", false), "logits", "logits_no_mask"),
    ).toBeLessThanOrEqual(1e-3);
    const wrapped = await forward(config, "decoder_input_ids_eos_wrap", true);
    expect(error(wrapped, "logits", "logits_eos_wrap")).toBeLessThanOrEqual(1e-3);
  });

  it("with the LayerNorm epsilon that Flax uses", async () => {
    const flax = { ...config, decoder: { ...config.decoder, layerNormEps: 1e-6 } };
    const results = await forward(flax, "decoder_input_ids", true);
    expect(error(results, "logits", "logits_flax_eps1e-6")).toBeLessThanOrEqual(1e-3);
  });
});
