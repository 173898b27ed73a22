import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { flaxTree, readFlaxArrays } from "../../test/support/flax-files.js";
import {
  expectTinyValues,
  readTinyTensors,
  refusal,
  type Tensors,
  tinyModel,
} from "../../test/support/model-folder-fixture.js";
import { pickledTensors, torchArchive, type View } from "../../test/support/pytorch-files.js";
import { parseConfig } from "../model/config.js";
import { writeFlaxMsgpack } from "./flax-writer.js";
import { float32ToFloat16 } from "./half.js";
import { type ModelFolder, openModelFolder } from "./model-folder.js";
import { parameterShapes } from "./parameter-shapes.js";
import { openSafetensors, type SafetensorsSource, writeSafetensors } from "./safetensors.js";
import { elementCount } from "./stored-tensor.js";

const shared = process.env.LINGOLENS_SHARED;
const caches = process.env.XDG_CACHE_HOME;

let scratch: string;
let folder: string;
let cache: string;
let tests = 0;
let tiny: Tensors;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lingolens-foreign-"));
  tiny = await readTinyTensors();
});
afterAll(() => rm(scratch, { recursive: true }));
beforeEach(async () => {
  folder = join(scratch, `model-${tests++}`);
  cache = join(folder, "cache");
  process.env.XDG_CACHE_HOME = cache;
  await mkdir(folder);
  await cp(join(tinyModel, "config.json"), join(folder, "config.json"));
});
afterEach(() => {
  if (caches === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = caches;
});

const copy = (name: string): Promise<void> => cp(join(tinyModel, name), join(folder, name));

interface Opened extends ModelFolder {
  /** Whether weights were converted, and not taken from the cache. */
  readonly conversions: number;
}

async function open(signal?: AbortSignal): Promise<Opened> {
  const notices: string[] = [];
  const model = await openModelFolder(folder, { onNotice: (line) => notices.push(line), signal });
  return { ...model, conversions: notices.length };
}

/** The one file in the cache. */
async function cachedFile(): Promise<string> {
  const entries = await readdir(join(cache, "lingolens/converted"));
  expect(entries).toHaveLength(1);
  return join(cache, "lingolens/converted", entries[0]!, "model.safetensors");
}

/** Writes tensors as PyTorch would. */
async function saveTorch(file: string, tensors: Tensors): Promise<void> {
  const views: Record<string, View> = {};
  const storages: Record<string, Buffer> = {};
  for (const [name, { shape, data }] of tensors) {
    const key = String(Object.keys(views).length);
    const stride = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
    views[name] = { type: "FloatStorage", key, elements: data.length, shape, stride };
    storages[key] = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }
  await writeFile(join(folder, file), torchArchive(pickledTensors(views), storages));
}

describe.each(["flax_model.msgpack", "pytorch_model.bin"])("a folder with %s", (weights) => {
  beforeEach(() => copy(weights));

  it("is converted once, with all values as they were, and mapped from the cache", async () => {
    const progress: number[] = [];
    const first = await openModelFolder(folder, {
      onNotice: () => {},
      onProgress: ({ done, total }) => progress.push(done / total),
    });
    await expectTinyValues(first);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    const file = await cachedFile();
    const { mtimeMs } = await stat(file);
    for (const { location } of first.weights.values()) expect(location?.file).toBe(file);
    expect((await readFile(file)).equals(await readFile(join(tinyModel, "model.safetensors")))).toBe(true);

    const second = await open();
    expect(second.conversions).toBe(0);
    expect((await stat(file)).mtimeMs).toBe(mtimeMs);
    await expectTinyValues(second);
  });

  it("is converted anew when the file changes, or its time of change", async () => {
    expect((await open()).conversions).toBe(1);
    await utimes(join(folder, weights), new Date(), new Date(1e12));
    expect((await open()).conversions).toBe(1);
    expect((await open()).conversions).toBe(0);
  });

  const damages: [what: string, damage: (file: string) => Promise<void>][] = [
    ["cut short", (file) => truncate(file, 1000)],
    ["empty", (file) => truncate(file, 0)],
    ["removed", (file) => rm(file)],
    [
      "changed in one bit",
      async (file) => {
        const bytes = await readFile(file);
        bytes[bytes.length - 5]! ^= 1;
        await writeFile(file, bytes);
      },
    ],
    ["without its record", (file) => rm(join(file, "../source.json"))],
    ["with a record that is no JSON", (file) => writeFile(join(file, "../source.json"), "{")],
  ];
  it.each(damages)("is converted anew when what is in the cache was %s", async (_, damage) => {
    await open();
    await damage(await cachedFile());
    const again = await open();
    expect(again.conversions).toBe(1);
    await expectTinyValues(again);
    expect((await open()).conversions).toBe(0);
  });

  it("is converted by one while another waits", async () => {
    const all = await Promise.all([open(), open(), open()]);
    expect(all.reduce((sum, { conversions }) => sum + conversions, 0)).toBe(1);
    for (const one of all) await expectTinyValues(one);
  });

  it("leaves nothing in the cache when it is cancelled", async () => {
    const cancel = new AbortController();
    const converting = openModelFolder(folder, {
      onNotice: () => {},
      onProgress: () => cancel.abort(),
      signal: cancel.signal,
    });
    await expect(converting).rejects.toMatchObject({ code: "cancelled" });
    const place = join(cache, "lingolens/converted");
    expect(await readdir(join(place, (await readdir(place))[0]!))).toEqual(["lock"]);
    expect((await open()).conversions).toBe(1);
  });

  it("says what to do where the cache cannot be written", async () => {
    await writeFile(cache, "a file where the folder should be");
    await expect(open()).rejects.toMatchObject(refusal("cache-unwritable", cache, "XDG_CACHE_HOME"));
  });
});

describe("the LayerNorm epsilon that the config does not say", () => {
  it.each([
    ["flax_model.msgpack", 1e-6],
    ["pytorch_model.bin", 1e-5],
  ])("of %s is %d", async (weights, epsilon) => {
    await copy(weights);
    expect((await open()).config.decoder.layerNormEps).toBe(epsilon);
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    expect(config.mbart_config.layer_norm_eps).toBeUndefined();
    config.mbart_config.layer_norm_eps = 1e-4;
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    expect((await open()).config.decoder.layerNormEps).toBe(1e-4);
  });
});

describe("other forms", () => {
  it("reads PyTorch's shards", async () => {
    const names = [...tiny.keys()];
    const weightMap: Record<string, string> = {};
    for (const [i, part] of [names.slice(0, 70), names.slice(70)].entries()) {
      const file = `pytorch_model-0000${i + 1}-of-00002.bin`;
      await saveTorch(file, new Map(part.map((name) => [name, tiny.get(name)!])));
      for (const name of part) weightMap[name] = file;
    }
    const index = join(folder, "pytorch_model.bin.index.json");
    await writeFile(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));
    await expectTinyValues(await open());
    await writeFile(
      index,
      JSON.stringify({ weight_map: { ...weightMap, x: "pytorch_model-00001-of-00002.bin" } }),
    );
    await expect(open()).rejects.toMatchObject(refusal("checkpoint-damaged", '"x"'));
  });

  it("reads Flax's shards, whose index has names with strokes", async () => {
    const arrays = [...(await readFlaxArrays(join(tinyModel, "flax_model.msgpack")))];
    const weightMap: Record<string, string> = {};
    for (const [i, part] of [arrays.slice(0, 30), arrays.slice(30)].entries()) {
      const file = `flax_model-0000${i + 1}-of-00002.msgpack`;
      await writeFlaxMsgpack(join(folder, file), flaxTree(new Map(part)));
      for (const [name] of part) weightMap[name.replaceAll(".", "/")] = file;
    }
    await writeFile(join(folder, "flax_model.msgpack.index.json"), JSON.stringify({ weight_map: weightMap }));
    await expectTinyValues(await open());
  });

  it("prefers safetensors, then Flax, then PyTorch", async () => {
    await copy("pytorch_model.bin");
    await writeFile(join(folder, "flax_model.msgpack"), "");
    await expect(open()).rejects.toMatchObject(refusal("checkpoint-damaged", "flax_model.msgpack"));
    await copy("model.safetensors");
    expect((await open()).conversions).toBe(0);
  });

  it("takes a tied head of Flax's, turned as it is, and refuses one of its own", async () => {
    const arrays = await readFlaxArrays(join(tinyModel, "flax_model.msgpack"));
    const embedding = arrays.get("model.shared.embedding")!;
    const [rows, columns] = embedding.shape as [number, number];
    const data = new Float32Array(rows * columns);
    const values = embedding.data as Float32Array;
    for (let i = 0; i < values.length; i++) data[(i % columns) * rows + Math.floor(i / columns)] = values[i]!;
    const save = () => {
      const all = new Map<string, SafetensorsSource>([
        ...arrays,
        ["lm_head.kernel", { dtype: "F32", shape: [columns, rows], data }],
      ]);
      return writeFlaxMsgpack(join(folder, "flax_model.msgpack"), flaxTree(all));
    };
    await save();
    await expectTinyValues(await open());
    data[7]! += 1;
    await save();
    await expect(open()).rejects.toMatchObject(refusal("checkpoint-mismatch", "lm_head.weight"));
  });

  it("converts large safetensors that are not float32, with 0 for a bias that is missing", async () => {
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    config.mbart_config.vocab_size = 350_000;
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    const tensors = new Map<string, SafetensorsSource>();
    for (const [name, shape] of parameterShapes(parseConfig(config, { weightsFormat: "safetensors" }))) {
      if (name === "final_logits_bias") continue;
      const data = Uint16Array.from({ length: elementCount(shape) }, (_, i) => i % 0x7c00);
      tensors.set(name, { dtype: "F16", shape, data });
    }
    await writeSafetensors(join(folder, "model.safetensors"), tensors);
    const model = await open();
    expect(model.conversions).toBe(1);
    const { header } = await openSafetensors(await cachedFile());
    expect([...header.tensors.values()].every(({ dtype }) => dtype === "F32")).toBe(true);
    const embedding = await model.weights.get("model.shared.weight")!.read();
    const stored = float32ToFloat16(embedding);
    expect(stored.findIndex((value, i) => value !== i % 0x7c00)).toBe(-1);
    expect((await model.weights.get("final_logits_bias")!.read()).every((value) => value === 0)).toBe(true);
    expect((await open()).conversions).toBe(0);
  });

  it("names every tensor that is missing, unknown or of another shape, one a line", async () => {
    const arrays = await readFlaxArrays(join(tinyModel, "flax_model.msgpack"));
    const changed = new Map<string, SafetensorsSource>();
    const expected: string[] = [];
    for (const [name, tensor] of arrays) {
      if (name.includes("self_attn.k_proj.kernel"))
        expected.push(`Missing: ${name.replace("kernel", "weight")} `);
      else if (name.endsWith("fc1.bias")) {
        changed.set(name, { ...tensor, shape: [...tensor.shape, 1] });
        expected.push(`Of another shape: ${name} (expected [${tensor.shape}], got [${tensor.shape}, 1])`);
      } else changed.set(name, tensor);
    }
    for (let i = 0; i < 7; i++) {
      changed.set(`model.extra.${i}.kernel`, { dtype: "F32", shape: [1, 2], data: new Float32Array(2) });
      expected.push(`Not of this model: model.extra.${i}.weight [2, 1]`);
    }
    await writeFlaxMsgpack(join(folder, "flax_model.msgpack"), flaxTree(changed));
    const error = await open().catch((thrown: Error) => thrown);
    const lines = (error as Error).message.split("\n");
    for (const words of expected)
      expect(
        lines.filter((line) => line.startsWith(words)),
        words,
      ).toHaveLength(1);
    expect(lines).toHaveLength(expected.length + 2);
    expect(expected.length).toBeGreaterThan(12);
  });

  it("refuses what a training run saved as if it were a model", async () => {
    const step = Buffer.from("81a4737465700c", "hex"); // {"step": 12}
    await writeFile(join(folder, "flax_model.msgpack"), step);
    await expect(open()).rejects.toMatchObject(refusal("checkpoint-mismatch", "step"));
  });
});

describe.skipIf(!shared)("one trained model, as Flax saved it", () => {
  it("has the parameters of the other forms", async () => {
    const place = join(shared!, "goldens/tiny-e2e");
    const flax = await openModelFolder(join(place, "form1-seed-flax"), { onNotice: () => {} });
    const other = await openModelFolder(join(place, "form2-safetensors"));
    expect(flax.config.decoder).toEqual({ ...other.config.decoder, layerNormEps: 1e-6 });
    expect([...flax.weights.keys()].sort()).toEqual([...other.weights.keys()].sort());
    for (const [name, weight] of other.weights)
      expect(await flax.weights.get(name)!.read(), name).toEqual(await weight.read());
  });
});
