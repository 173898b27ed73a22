import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import type { HostTensors } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import type { Program } from "../graph/index.js";
import { programInputs } from "../graph/onnx.js";
import { evaluateDimension } from "../graph/shape.js";
import type { CaptionerConfig } from "../model/config.js";
import { openModelFolder } from "../weights/model-folder.js";
import { exportOnnx, type OnnxOptions } from "./onnx.js";
import { decoderProgram, encoderProgram } from "./onnx-programs.js";

const BATCH = 2;
const CAPTIONS = [
  [2, 335, 10, 20, 30, 40, 50],
  [2, 334, 11, 60, 61, 62, 63],
];
let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let tiny: string;
let engine: Engine;
let captioner: Captioner;
let pixelValues: Float32Array;
let wanted: Float32Array;

beforeAll(async () => {
  temporary = await temporaryFolder();
  tiny = join(temporary.path, "tiny");
  await writeTinyCaptioner(tiny);
  engine = await createNativeEngine();
  captioner = await loadCaptioner({ model: tiny });
  pixelValues = Float32Array.from({ length: BATCH * 3 * 96 * 96 }, (_, i) => Math.sin(i / 47));
  wanted = (await captioner.logits({ pixelValues, decoderInputIds: CAPTIONS })).data;
});
afterAll(async () => {
  await captioner.close();
  await engine.close();
  await temporary.remove();
});

async function exported(name: string, options: OnnxOptions = {}): Promise<string> {
  const out = join(temporary.path, name);
  await mkdir(out);
  await exportOnnx(await openModelFolder(tiny), out, options);
  return out;
}

/** A graph as it was written, with its files of weights. */
async function open(out: string, name: string, program: Program) {
  const executable = await engine.compile({
    bytes: await readFile(join(out, "onnx", name)),
    externalData: join(out, "onnx"),
    inputs: [...programInputs(program).keys()],
    outputs: Object.keys(program.outputs),
  });
  return {
    close: () => executable.close(),
    async run(feeds: HostTensors, sizes: ReadonlyMap<string, number>): Promise<HostTensors> {
      const results = Object.entries(program.outputs).map(
        ([name, { dtype, shape }]): [string, HostTensor] => {
          const concrete = shape.map((dimension) => evaluateDimension(dimension, sizes));
          const data = new Float32Array(concrete.reduce((a, b) => a * b, 1));
          return [name, { dtype, shape: concrete, data }];
        },
      );
      await executable.run(feeds, Object.fromEntries(results));
      return Object.fromEntries(results);
    },
  };
}

/** Logits of all tokens, fed in parts as transformers.js feeds them: the first two, then one by one. */
async function logitsInSteps(out: string, config: CaptionerConfig, suffix = ""): Promise<Float32Array> {
  const encoder = await open(out, `encoder_model${suffix}.onnx`, encoderProgram(config));
  const decoder = await open(out, `decoder_model_merged${suffix}.onnx`, decoderProgram(config));
  const { channels, imageSize } = config.vision;
  const { last_hidden_state: picture } = await encoder.run(
    { pixel_values: { dtype: "float32", shape: [BATCH, channels, imageSize, imageSize], data: pixelValues } },
    new Map([["batch_size", BATCH]]),
  );
  const past: Record<string, HostTensor> = {};
  for (const [name, { shape }] of programInputs(decoderProgram(config))) {
    if (!name.startsWith("past_key_values.")) continue;
    // What transformers.js makes of the shape: the batch's size, numbers as they are, and 0 for every other name.
    const empty = shape.map((size) => (typeof size === "number" ? size : size === "batch_size" ? BATCH : 0));
    past[name] = { dtype: "float32", shape: empty, data: new Float32Array(0) };
  }
  const { vocabularySize } = config.decoder;
  const length = CAPTIONS[0]!.length;
  const logits = new Float32Array(BATCH * length * vocabularySize);
  for (const [from, to] of [[0, 2], ...Array.from({ length: length - 2 }, (_, i) => [i + 2, i + 3])]) {
    const ids = CAPTIONS.flatMap((caption) => caption.slice(from, to));
    const results = await decoder.run(
      {
        ...past,
        encoder_hidden_states: picture!,
        input_ids: { dtype: "int64", shape: [BATCH, to! - from!], data: BigInt64Array.from(ids.map(BigInt)) },
      },
      new Map([
        ["batch_size", BATCH],
        ["decoder_sequence_length", to! - from!],
        ["past_decoder_sequence_length", from!],
        ["past_encoder_sequence_length", from === 0 ? 0 : picture!.shape[1]!],
      ]),
    );
    for (let row = 0; row < BATCH; row++) {
      const part = (to! - from!) * vocabularySize;
      const data = (results.logits!.data as Float32Array).subarray(row * part, (row + 1) * part);
      logits.set(data, (row * length + from!) * vocabularySize);
    }
    for (const [name, tensor] of Object.entries(results))
      if (name.startsWith("present.")) past[name.replace("present", "past_key_values")] = tensor;
  }
  await encoder.close();
  await decoder.close();
  return logits;
}

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe("exportOnnx", () => {
  it("writes graphs that give, step by step, the logits of the whole", async () => {
    const out = await exported("whole");
    const logits = await logitsInSteps(out, captioner.config);
    expect(furthest(logits, wanted)).toBeLessThan(1e-4);
    expect((await readdir(join(out, "onnx"))).sort()).toEqual([
      "decoder_model_merged.onnx",
      "decoder_model_merged.onnx_data",
      "encoder_model.onnx",
      "encoder_model.onnx_data",
    ]);
  });

  it("spreads large weights over files, and tells transformers.js how many there are", async () => {
    const out = await exported("parts", { maxFileBytes: 40_000 });
    expect(furthest(await logitsInSteps(out, captioner.config), wanted)).toBeLessThan(1e-4);
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    const counts = config["transformers.js_config"].use_external_data_format;
    const files = await readdir(join(out, "onnx"));
    for (const graph of ["encoder_model.onnx", "decoder_model_merged.onnx"]) {
      expect(counts[graph]).toBeGreaterThan(1);
      const names = Array.from({ length: counts[graph] }, (_, i) => `${graph}_data${i > 0 ? `_${i}` : ""}`);
      expect(files.filter((name) => name.startsWith(`${graph}_`)).sort()).toEqual(names.sort());
    }
  });

  it("stores weights as fp16 under the names that go with it", async () => {
    const out = await exported("half", { dtype: "fp16" });
    const error = furthest(await logitsInSteps(out, captioner.config, "_fp16"), wanted);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config["transformers.js_config"].dtype).toBe("fp16");
  });

  it("writes settings that transformers.js can follow", async () => {
    const out = await exported("settings");
    const json = async (name: string) => JSON.parse(await readFile(join(out, name), "utf8"));
    expect(await json("config.json")).toMatchObject({
      model_type: "vision-encoder-decoder",
      is_encoder_decoder: true,
      decoder: { model_type: "mbart", decoder_layers: 1 },
    });
    expect(await json("generation_config.json")).toMatchObject({
      num_beams: 1,
      max_length: 64,
      decoder_start_token_id: 2,
    });
    expect((await json("tokenizer.json")).model.type).toBe("Unigram");
  });

  it("stops when cancelled, and tells how far it is", async () => {
    await expect(exported("cancelled", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
    const seen: { done: number; total: number }[] = [];
    await exported("progress", { onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)!.done).toBe(seen.at(-1)!.total);
  });
});
