import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { flaxTree, readFlaxArrays } from "../../test/support/flax-files.js";
import { refusal, tinyModel } from "../../test/support/model-folder-fixture.js";
import { LingolensError } from "../errors.js";
import { type FlaxCheckpoint, openFlaxCheckpoint } from "./flax-reader.js";
import { type FlaxTree, writeFlaxMsgpack } from "./flax-writer.js";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.js";
import {
  openSafetensors,
  readTensor,
  type SafetensorsSource,
  type SafetensorsTensor,
} from "./safetensors.js";

const shared = process.env.LINGOLENS_SHARED;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-flax-"));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
const newPath = (): string => join(folder, `${files++}.msgpack`);

async function readBytes(bytes: Uint8Array): Promise<FlaxCheckpoint> {
  const path = newPath();
  await writeFile(path, bytes);
  return openFlaxCheckpoint(path);
}

async function arraysOf(bytes: Uint8Array): Promise<Map<string, SafetensorsTensor>> {
  const path = newPath();
  await writeFile(path, bytes);
  return readFlaxArrays(path);
}

async function written(tree: FlaxTree, options = {}): Promise<Buffer> {
  const path = newPath();
  await writeFlaxMsgpack(path, tree, options);
  return readFile(path);
}

describe("writeFlaxMsgpack", () => {
  it("writes these bytes", async () => {
    const bias: SafetensorsSource = { dtype: "F32", shape: [2], data: Float32Array.of(1, -2) };
    expect((await written(new Map([["dense", new Map([["bias", bias]])]]))).toString("hex")).toBe(
      [
        "81", // a map of 1
        `a5${Buffer.from("dense").toString("hex")}`,
        "81",
        `a4${Buffer.from("bias").toString("hex")}`,
        "c715" + "01", // 21 bytes of extension type 1, an array
        "93" + "9102", // of 3 values: the shape [2],
        `a7${Buffer.from("float32").toString("hex")}`, // the dtype,
        "c408" + "0000803f" + "000000c0", // and 8 bytes
      ].join(""),
    );
  });

  it("writes a large array in chunks, as these bytes", async () => {
    const data = Uint8Array.of(1, 2, 3);
    const pieces = () => [data.subarray(0, 1), data.subarray(1)];
    for (const source of [data, pieces]) {
      const tree = new Map([["w", { dtype: "U8", shape: [3, 1], data: source } as const]]);
      expect((await written(tree, { maxChunkBytes: 2 })).toString("hex")).toBe(
        [
          "81" + "a177", // {"w":
          `83b9${Buffer.from("__msgpack_chunked_array__").toString("hex")}c3`, // {…: true,
          `a5${Buffer.from("shape").toString("hex")}82a13003a13101`, // {"0": 3, "1": 1},
          `a6${Buffer.from("chunks").toString("hex")}82`,
          `a130c70d01939102a5${Buffer.from("uint8").toString("hex")}c4020102`,
          `a131c70c01939101a5${Buffer.from("uint8").toString("hex")}c40103`,
        ].join(""),
      );
    }
  });

  it("gives back what it is given, whatever the sizes and dtypes", async () => {
    const lengths = [0, 1, 3, 14, 15, 16, 255, 256, 65_535, 65_536];
    const tensors = new Map<string, SafetensorsTensor>(
      lengths.map((length) => [
        `of.${length}`,
        { dtype: "U8", shape: [length], data: new Uint8Array(length).fill(length) },
      ]),
    );
    tensors.set("scalar", { dtype: "F64", shape: [], data: Float64Array.of(Math.E) });
    tensors.set("long", { dtype: "I64", shape: [1, 1, 1], data: BigInt64Array.of(-(2n ** 60n)) });
    tensors.set("half", { dtype: "BF16", shape: [300, 1], data: new Uint16Array(300).fill(0x3f80) });
    tensors.set("flag", { dtype: "BOOL", shape: [2], data: Uint8Array.of(0, 1) });
    tensors.set("n".repeat(300), { dtype: "I8", shape: [1], data: Int8Array.of(-1) });
    for (let i = 0; i < 70_000 / 1000; i++)
      tensors.set(`many.${i}`, { dtype: "U16", shape: [1], data: Uint16Array.of(i) });
    const bytes = await written(flaxTree(tensors));
    expect(await arraysOf(bytes)).toEqual(tensors);
    expect(await arraysOf(await written(flaxTree(tensors), { maxChunkBytes: 100 }))).toEqual(tensors);
  });

  it("refuses values that do not fit, and leaves nothing behind", async () => {
    const path = newPath();
    const wrong = (data: SafetensorsSource["data"]) =>
      writeFlaxMsgpack(path, new Map([["w", { dtype: "F32", shape: [3], data }]]));
    await expect(wrong(new Float32Array(2))).rejects.toMatchObject({ code: "shape-mismatch" });
    await expect(wrong(() => [new Float32Array(2), new Float32Array(2)])).rejects.toMatchObject({
      code: "shape-mismatch",
    });
    await expect(wrong(new Uint8Array(3))).rejects.toMatchObject({ code: "shape-mismatch" });
    await expect(readFile(path)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("openFlaxCheckpoint", () => {
  it("reads the golden checkpoint, and writes the bytes that Flax wrote", async () => {
    const path = join(tinyModel, "flax_model.msgpack");
    const checkpoint = await openFlaxCheckpoint(path);
    expect(checkpoint.tensors.size).toBe(100);
    expect(checkpoint.values.size).toBe(0);
    const tensors = await readFlaxArrays(path);
    expect(tensors.get("model.visual_projection.kernel")!.shape).toEqual([32, 48]);
    expect((await written(flaxTree(tensors))).equals(await readFile(path))).toBe(true);
  });

  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
  const w = "81 a177"; // {"w": …
  const float32 = "a7 666c6f61743332";

  it.each([
    ["nothing", ""],
    ["no map", "93010203"],
    ["text instead of msgpack", Buffer.from("version https://git-lfs.github.com").toString("hex")],
    ["an array alone", `c7 11 01 93 91 01 ${float32} c4 04 00000000`],
    ["bytes after the end", `${w} 01 01`],
    ["a number as key", "81 01 01"],
    ["a key twice", "82 a177 01 a177 02"],
    ["a map of more than there is", "df ffffffff a177 01"],
    ["a list", `${w} 91 01`],
    ["bytes that are no array", `${w} c4 01 00`],
    ["another extension", `${w} d4 05 00`],
    ["an extension beyond the end", `${w} c9 ffffffff 01 93`],
    ["an array in a shorter extension", `${w} c7 10 01 93 91 01 ${float32} c4 04 00000000`],
    ["an array in a longer extension", `${w} c7 12 01 93 91 01 ${float32} c4 04 00000000 00`],
    ["fewer bytes than the shape says", `${w} c7 11 01 93 91 02 ${float32} c4 04 00000000`],
    [
      "a shape of a billion billions",
      `${w} c7 19 01 93 92 ce 3b9aca00 ce 3b9aca00 ${float32} c4 04 00000000`,
    ],
    ["a negative size", `${w} c7 11 01 93 91 ff ${float32} c4 04 00000000`],
    ["a shape that is no list", `${w} c7 11 01 93 a1 01 ${float32} c4 04 00000000`],
    ["text of a gigabyte", `${w} db 40000000 00`],
    ["half a complex number", `${w} d5 02 91 01`],
  ])("refuses %s", async (_, bytes) => {
    await expect(readBytes(hex(bytes))).rejects.toMatchObject({ code: "checkpoint-damaged" });
  });

  it("names a dtype that is no number", async () => {
    const complex = `${w} c7 16 01 93 91 01 a9 ${Buffer.from("complex64").toString("hex")} c4 08 ${"00".repeat(8)}`;
    await expect(readBytes(hex(complex))).rejects.toMatchObject(
      refusal("unsupported-format", "complex64", "w"),
    );
  });

  it("refuses names that meet, and trees that go on and on", async () => {
    await expect(readBytes(hex("82 a3 612e62 01 a1 61 81 a1 62 01"))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "a.b"),
    );
    await expect(readBytes(hex("81a161".repeat(1000)))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "nested"),
    );
    const leaves = Array.from({ length: 250_000 }, (_, i) => `\xa6${String(i).padStart(6, "0")}\xc0`);
    const many = Buffer.concat([hex("df 0003d090"), Buffer.from(leaves.join(""), "latin1")]);
    await expect(readBytes(many)).rejects.toMatchObject(refusal("checkpoint-damaged", "values"));
  });

  it.each([
    ["a chunk that is missing", "a131c7", "a132c7"],
    ["a shape of other chunks", "a13003", "a13004"],
    ["a shape that is text", "a13003", "a130a0"],
    ["chunks that are none", "82a130c7", "82a130c0"],
  ])("refuses %s", async (_, before, after) => {
    const data = Uint8Array.of(1, 2, 3);
    const good = await written(new Map([["w", { dtype: "U8", shape: [3, 1], data }]]), { maxChunkBytes: 2 });
    const text = good.toString("hex");
    expect(text).toContain(before);
    await expect(readBytes(hex(text.replace(before, after)))).rejects.toMatchObject({
      code: "checkpoint-damaged",
    });
  });

  it("answers every cut and changed bytes with a typed error or arrays", async () => {
    const whole = await written(
      flaxTree(
        new Map<string, SafetensorsSource>([
          ["layer.kernel", { dtype: "F32", shape: [2, 3], data: new Float32Array(6) }],
          ["layer.large", { dtype: "F16", shape: [20], data: new Uint16Array(20) }],
        ]),
      ),
      { maxChunkBytes: 30 },
    );
    for (let length = 0; length < whole.length; length++)
      await expect(readBytes(whole.subarray(0, length))).rejects.toMatchObject({
        code: "checkpoint-damaged",
      });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
        const spoilt = Buffer.from(whole);
        spoilt[position]! ^= flip;
        const result = await arraysOf(spoilt).catch((error: unknown) => error);
        if (result instanceof LingolensError) refused++;
        else expect(result).toBeInstanceOf(Map);
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});

describe.skipIf(!shared)("files that Flax wrote", () => {
  const place = join(shared ?? "", "fixtures/checkpoints/tiny-generated");

  it("reads every kind of leaf", async () => {
    const { tree } = JSON.parse(
      await readFile(join(shared!, "fixtures/expected/flax_msgpack_contents.json"), "utf8"),
    );
    const path = join(place, "flax/tree.msgpack");
    const checkpoint = await openFlaxCheckpoint(path);
    const tensors = await readFlaxArrays(path);
    const numbers = (name: string): number[] => {
      const { dtype, data } = tensors.get(name)!;
      if (dtype === "BF16") return [...bfloat16ToFloat32(data as Uint16Array)];
      return dtype === "F16" ? [...float16ToFloat32(data as Uint16Array)] : [...(data as Float32Array)];
    };
    const arrays = {
      f32: [3, 4],
      bf16: [2, 5],
      f16: [4],
      i32: [2, 3],
      u8: [5],
      scalar: [],
      "nested.layers.0.kernel": [2, 2],
    };
    expect([...tensors.keys()].sort()).toEqual(Object.keys(arrays).sort());
    for (const [name, shape] of Object.entries(arrays)) {
      expect(tensors.get(name)!.shape).toEqual(shape);
      expect(numbers(name)).toEqual([tree[name]].flat(2));
    }
    expect(Object.fromEntries(checkpoint.values)).toEqual({
      py_int: tree.py_int,
      complex: { real: 1, imaginary: 2 },
    });
  });

  it("reads and writes arrays in chunks", async () => {
    const path = join(place, "flax/chunked.msgpack");
    const tensors = await readFlaxArrays(path);
    const data = Float32Array.from({ length: 1000 }, (_, i) => i);
    expect(tensors).toEqual(new Map([["w", { dtype: "F32", shape: [10, 100], data }]]));
    expect((await written(flaxTree(tensors), { maxChunkBytes: 256 })).equals(await readFile(path))).toBe(
      true,
    );
  });

  it("reads mBART's tensors", async () => {
    const tensors = await readFlaxArrays(join(place, "flax/mbart_torchnames.msgpack"));
    const twin = await openSafetensors(join(place, "mbart/model.safetensors"));
    for (const name of twin.header.tensors.keys())
      expect(tensors.get(name), name).toEqual(await readTensor(twin, name));
  });
});
