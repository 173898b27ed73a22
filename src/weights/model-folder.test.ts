import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  changeTensors,
  expectTinyValues,
  readTinyTensors,
  refusal,
  saveShards,
  type Tensors,
  tinyModel,
} from "../../test/support/model-folder-fixture.js";
import { parseConfig } from "../model/config.js";
import { openModelFolder, writeModelFolder } from "./model-folder.js";
import { parameterShapes } from "./parameter-shapes.js";
import { openSafetensors, toFloat32, writeSafetensors } from "./safetensors.js";

const shared = process.env.LINGOLENS_SHARED;

let scratch: string;
let folder: string;
let tests = 0;
/** Every tensor of the golden model; not to be changed. */
let tiny: Tensors;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lingolens-model-folder-"));
  tiny = await readTinyTensors();
});
afterAll(() => rm(scratch, { recursive: true }));
beforeEach(async () => {
  folder = join(scratch, `model-${tests++}`);
  await mkdir(folder);
  await cp(join(tinyModel, "config.json"), join(folder, "config.json"));
});

async function save(tensors: Tensors): Promise<void> {
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
}

describe("openModelFolder", () => {
  it("reads the golden model, with the place of each parameter in the file", async () => {
    const model = await openModelFolder(tinyModel);
    await expectTinyValues(model);
    expect(model.config.decoder).toMatchObject({ hiddenSize: 48, vocabularySize: 1000, layerNormEps: 1e-5 });
    expect(model.generationConfig).toBeUndefined();
    expect(model.tokenizerFiles.size).toBe(0);
    const bytes = await readFile(join(tinyModel, "model.safetensors"));
    for (const [name, { location, read }] of model.weights) {
      expect(location!.file).toBe(join(tinyModel, "model.safetensors"));
      const mapped = bytes.subarray(location!.offset, location!.offset + location!.length);
      const values = await read();
      expect(mapped.equals(new Uint8Array(values.buffer)), name).toBe(true);
    }
  });

  it("takes the start token of generation_config.json, and lists the tokenizer's files", async () => {
    await save(tiny);
    await writeFile(join(folder, "generation_config.json"), '{"decoder_start_token_id":990,"num_beams":4}');
    await writeFile(join(folder, "preprocessor_config.json"), '{"crop_size":32}');
    await writeFile(join(folder, "tokenizer.json"), "{}");
    const model = await openModelFolder(folder);
    expect(model.config.ids.decoderStart).toBe(990);
    expect(model.generationConfig).toEqual({ decoder_start_token_id: 990, num_beams: 4 });
    expect(model.preprocessorConfig).toEqual({ crop_size: 32 });
    expect([...model.tokenizerFiles]).toEqual([["tokenizer.json", join(folder, "tokenizer.json")]]);
  });

  /** The golden model as `VisionEncoderDecoderModel` names its parts. */
  function huggingFaceNames(visionPrefix: string): Tensors {
    return changeTensors(tiny, (name, tensor) => {
      if (name === "final_logits_bias") return [];
      if (name === "model.shared.weight") return [["decoder.model.decoder.embed_tokens.weight", tensor]];
      const renamed = name
        .replace(/^model\.encoder\.vision_model\./, visionPrefix)
        .replace(/^model\.visual_projection\./, "enc_to_dec_proj.")
        .replace(/^model\.decoder\./, "decoder.model.decoder.");
      return [[renamed, tensor]];
    });
  }

  it.each([
    ["5", "encoder."],
    ["4", "encoder.vision_model."],
  ])("reads the names of transformers %s, where a missing bias is 0", async (_, visionPrefix) => {
    const tensors = huggingFaceNames(visionPrefix);
    tensors.set(`${visionPrefix}embeddings.position_ids`, {
      dtype: "I64",
      shape: [1, 17],
      data: BigInt64Array.from({ length: 17 }, (_, i) => BigInt(i)),
    });
    tensors.set("decoder.lm_head.weight", tiny.get("model.shared.weight")!);
    await save(tensors);
    const model = await openModelFolder(folder);
    await expectTinyValues(model, { except: "final_logits_bias" });
    const bias = model.weights.get("final_logits_bias")!;
    expect(bias).toMatchObject({ shape: [1, 1000] });
    expect(bias.location).toBeUndefined();
    expect(await bias.read()).toEqual(new Float32Array(1000));
  });

  it("makes the projection that Hugging Face leaves out between equal widths, and only there", async () => {
    const tensors = huggingFaceNames("encoder.");
    tensors.delete("enc_to_dec_proj.weight");
    tensors.delete("enc_to_dec_proj.bias");
    await save(tensors);
    await expect(openModelFolder(folder)).rejects.toMatchObject(
      refusal("checkpoint-mismatch", "Missing: model.visual_projection.weight [48, 32]"),
    );

    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    config.mbart_config.d_model = 32;
    config.mbart_config.decoder_attention_heads = 2;
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    const shapes = parameterShapes(parseConfig(config, { weightsFormat: "safetensors" }));
    const narrow: Tensors = new Map();
    for (const [name, shape] of shapes) {
      if (name.startsWith("model.visual_projection")) continue;
      const tensorName = name.replace(/^model\.decoder\./, "decoder.model.decoder.");
      narrow.set(tensorName, { dtype: "F32", shape, data: new Float32Array(shape.reduce((a, b) => a * b)) });
    }
    await save(narrow);
    const { weights } = await openModelFolder(folder);
    const projection = await weights.get("model.visual_projection.weight")!.read();
    expect(projection.every((value, i) => value === (i % 33 === 0 ? 1 : 0))).toBe(true);
    expect(projection).toHaveLength(32 * 32);
    expect(await weights.get("model.visual_projection.bias")!.read()).toEqual(new Float32Array(32));
  });

  it("widens other floats than float32", async () => {
    const doubles = changeTensors(tiny, (name, { shape, data }) => [
      [name, { dtype: "F64", shape, data: Float64Array.from(data as Float32Array) }],
    ]);
    await save(doubles);
    const model = await openModelFolder(folder);
    await expectTinyValues(model);
    expect([...model.weights.values()].every(({ location }) => location === undefined)).toBe(true);
  });

  it("reads shards", async () => {
    await saveShards(folder, tiny, (weightMap) => ({ metadata: {}, weight_map: weightMap }));
    await expectTinyValues(await openModelFolder(folder));
  });
});

describe("writeModelFolder", () => {
  async function contents() {
    const { config } = await openModelFolder(tinyModel);
    // Training keeps its parameters in memory that threads share.
    const parameters = new Map(
      [...tiny].map(([name, { shape, data }]) => {
        const memory: Float32Array = new Float32Array(new SharedArrayBuffer(data.byteLength));
        memory.set(data as Float32Array);
        return [name, { shape, data: memory }] as const;
      }),
    );
    return {
      config: { ...config, ids: { ...config.ids, decoderStart: 1 } },
      parameters,
      tokenizerFiles: new Map([["tokenizer.json", Buffer.from('{"version":"1.0"}')]]),
      preprocessorConfig: { crop_size: { height: 32, width: 32 } },
      generationConfig: { num_beams: 4, decoder_start_token_id: 2 },
    };
  }

  it("writes what openModelFolder reads", async () => {
    const path = join(folder, "written");
    const written = await contents();
    await writeModelFolder(path, written);
    const model = await openModelFolder(path);
    await expectTinyValues(model);
    expect(model.config).toEqual(written.config);
    expect(model.preprocessorConfig).toEqual(written.preprocessorConfig);
    expect(model.generationConfig).toEqual({ num_beams: 4, decoder_start_token_id: 1 });
    expect(await readFile(model.tokenizerFiles.get("tokenizer.json")!, "utf8")).toBe('{"version":"1.0"}');
    expect((await readdir(dirname(path))).sort()).toEqual(["config.json", "written"]);
    const [copy, original] = [path, tinyModel].map((place) => readFile(join(place, "model.safetensors")));
    expect((await copy!).equals(await original!)).toBe(true);
  });

  it.each([
    ["fp16", "F16", 2 ** -11],
    ["bf16", "BF16", 2 ** -8],
  ] as const)("stores %s, rounded", async (dtype, storedAs, relative) => {
    const path = join(folder, "written");
    await writeModelFolder(path, { ...(await contents()), dtype });
    const { header } = await openSafetensors(join(path, "model.safetensors"));
    expect(new Set([...header.tensors.values()].map((entry) => entry.dtype))).toEqual(new Set([storedAs]));
    const { weights } = await openModelFolder(path);
    for (const [name, tensor] of tiny) {
      const values = await weights.get(name)!.read();
      const exact = toFloat32(tensor);
      const wrong = values.findIndex(
        (value, i) => Math.abs(value - exact[i]!) > relative * Math.abs(exact[i]!) + 2 ** -25,
      );
      expect(wrong, name).toBe(-1);
    }
  });

  it("refuses what does not fit, and leaves nothing behind", async () => {
    const path = join(folder, "written");
    const good = await contents();
    const parameters = new Map(good.parameters);
    parameters.delete("model.shared.weight");
    await expect(writeModelFolder(path, { ...good, parameters })).rejects.toMatchObject(
      refusal("checkpoint-mismatch", "Missing: model.shared.weight [1000, 48]"),
    );
    parameters.set("model.shared.weight", { shape: [1000, 48], data: new Float32Array(3) });
    await expect(writeModelFolder(path, { ...good, parameters })).rejects.toMatchObject({
      code: "shape-mismatch",
    });
    const escaping = new Map([["../evil", new Uint8Array(1)]]);
    await expect(writeModelFolder(path, { ...good, tokenizerFiles: escaping })).rejects.toMatchObject(
      refusal("option-unsupported", "../evil"),
    );
    expect(await readdir(folder)).toEqual(["config.json"]);
    await expect(writeModelFolder(folder, good)).rejects.toMatchObject({ code: "already-exists" });
    expect(await readdir(folder)).toEqual(["config.json"]);
  });
});

describe.skipIf(!shared)("one trained model in three forms", () => {
  it("has the same parameters in each", async () => {
    const [original, ...others] = await Promise.all(
      ["form2-safetensors", "form3-hf-ved", "form3b-hf-ved-4x-names"].map((form) =>
        openModelFolder(join(shared!, "goldens/tiny-e2e", form)),
      ),
    );
    expect(others).toHaveLength(2);
    for (const other of others) {
      expect(other.config).toEqual(original!.config);
      expect([...other.weights.keys()].sort()).toEqual([...original!.weights.keys()].sort());
      for (const [name, weight] of original!.weights) {
        expect(await other.weights.get(name)!.read(), name).toEqual(await weight.read());
      }
      expect([...other.tokenizerFiles.keys()]).toEqual([
        "sentencepiece.bpe.model",
        "tokenizer.json",
        "tokenizer_config.json",
      ]);
    }
  });
});
