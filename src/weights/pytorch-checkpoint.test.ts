import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { refusal, tinyModel } from "../../test/support/model-folder-fixture.js";
import {
  pickle,
  pickled,
  pickledTensors,
  torchArchive,
  type View,
  zipArchive,
} from "../../test/support/pytorch-files.js";
import { LingolensError } from "../errors.js";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.js";
import { openPytorchCheckpoint } from "./pytorch-checkpoint.js";
import { openSafetensors, readTensor, type SafetensorsTensor } from "./safetensors.js";
import { readStoredTensor } from "./stored-tensor.js";

const shared = process.env.LINGOLENS_SHARED;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-pytorch-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Everything in a checkpoint. */
async function readAll(path: string): Promise<Map<string, SafetensorsTensor>> {
  const all = new Map<string, SafetensorsTensor>();
  for (const [name, tensor] of await openPytorchCheckpoint(path))
    all.set(name, await readStoredTensor(tensor));
  return all;
}

let files = 0;
async function readBytes(bytes: Uint8Array): Promise<Map<string, SafetensorsTensor>> {
  const path = join(folder, `${files++}.pt`);
  await writeFile(path, bytes);
  return readAll(path);
}

const floats = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
const sixFloats = { type: "FloatStorage", key: "0", elements: 6 };
const zeroToFive = { 0: floats(0, 1, 2, 3, 4, 5) };

async function values(view: Partial<View> & Pick<View, "shape" | "stride">, options = {}): Promise<unknown> {
  const tensors = await readBytes(
    torchArchive(pickledTensors({ w: { ...sixFloats, ...view } }), zeroToFive, options),
  );
  return [...(tensors.get("w")!.data as Float32Array)];
}

describe("openPytorchCheckpoint", () => {
  it("reads what PyTorch saved of the golden model: its safetensors twin, tied copies and positions", async () => {
    const tensors = await readAll(join(tinyModel, "pytorch_model.bin"));
    const twin = await openSafetensors(join(tinyModel, "model.safetensors"));
    for (const name of twin.header.tensors.keys())
      expect(tensors.get(name), name).toEqual(await readTensor(twin, name));
    const embedding = tensors.get("model.shared.weight");
    expect(tensors.get("lm_head.weight")).toEqual(embedding);
    expect(tensors.get("model.decoder.embed_tokens.weight")).toEqual(embedding);
    const positions = tensors.get("model.encoder.vision_model.embeddings.position_ids")!;
    expect(positions).toMatchObject({ dtype: "I64", shape: [1, 17] });
    expect(tensors.size).toBe(twin.header.tensors.size + 3);
  });

  it("reads views: offsets, strides, repeats, scalars, nothing", async () => {
    expect(await values({ shape: [2, 3], stride: [3, 1] })).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await values({ shape: [3, 2], stride: [1, 3] })).toEqual([0, 3, 1, 4, 2, 5]);
    expect(await values({ shape: [2], stride: [1], offset: 4 })).toEqual([4, 5]);
    expect(await values({ shape: [2, 2], stride: [3, 1], offset: 1 })).toEqual([1, 2, 4, 5]);
    expect(await values({ shape: [2, 1, 2], stride: [1, 99, 2] })).toEqual([0, 2, 1, 3]);
    expect(await values({ shape: [3], stride: [0], offset: 5 })).toEqual([5, 5, 5]);
    expect(await values({ shape: [], stride: [], offset: 2 })).toEqual([2]);
    expect(await values({ shape: [0, 4], stride: [4, 1], offset: 6 })).toEqual([]);
  });

  it.each([{ zip64: true }, { deflate: true }])("reads archives with %o", async (options) => {
    expect(await values({ shape: [3, 2], stride: [1, 3] }, options)).toEqual([0, 3, 1, 4, 2, 5]);
    expect(await values({ shape: [2], stride: [1], offset: 4 }, options)).toEqual([4, 5]);
  });

  it("gives the place of tensors that lie in one stretch, and of no others", async () => {
    const path = join(folder, "places.pt");
    const row = { ...sixFloats, shape: [3], stride: [1], offset: 2 };
    const column = { ...sixFloats, shape: [2], stride: [3] };
    await writeFile(path, torchArchive(pickledTensors({ row, column }), zeroToFive));
    const tensors = await openPytorchCheckpoint(path);
    const { offset, length } = tensors.get("row")!.location!;
    expect(readFileSync(path).subarray(offset, offset + length)).toEqual(floats(2, 3, 4));
    expect(tensors.get("column")!.location).toBeUndefined();
  });

  it("joins names of nested dictionaries, and leaves out what is no tensor", async () => {
    const { text, integer, dictionary, list, none } = pickled;
    const state = pickledTensors({ w: { ...sixFloats, shape: [1], stride: [1] } }).subarray(2, -1);
    const whole = dictionary(
      [text("epoch"), integer(3)],
      [text("model"), dictionary([text("layers"), state])],
      [text("history"), list(integer(1), none)],
    );
    const tensors = await readBytes(torchArchive(pickle(whole), zeroToFive));
    expect([...tensors.keys()]).toEqual(["model.layers.w"]);
  });
});

describe("hostile and damaged checkpoints", () => {
  const { text, integer, list, dictionary, global, call } = pickled;
  const marker = () => join(folder, "was-run");

  it.each([
    ["os.system", "posix", "system", () => `touch ${marker()}`],
    ["eval", "builtins", "eval", () => `__import__("os").system("touch ${marker()}")`],
    ["a class of PyTorch's", "torch.nn.modules.linear", "Linear", () => "x"],
    ["a name like a harmless one", "collections", "OrderedDict\x00", () => "x"],
  ])("names %s and does not follow it", async (_, module, name, argument) => {
    const hostile = pickle(dictionary([text("w"), call(global(module, name), text(argument()))]));
    const named = refusal("checkpoint-damaged", JSON.stringify(`${module}.${name}`), "no code");
    await expect(readBytes(torchArchive(hostile))).rejects.toMatchObject(named);
    await expect(readBytes(hostile)).rejects.toMatchObject(named);
    expect(existsSync(marker())).toBe(false);
  });

  it("names a global that is made of strings, and one that an old instruction calls", async () => {
    const stacked = Buffer.concat([text("posix"), text("system"), Buffer.from([0x93])]);
    const called = Buffer.concat([Buffer.from("("), text("true"), Buffer.from("iposix\nsystem\n")]);
    for (const value of [stacked, called])
      await expect(readBytes(pickle(value))).rejects.toMatchObject(
        refusal("checkpoint-damaged", "posix.system"),
      );
  });

  it.each([
    ["an object made without its function", "\x81"],
    ["a registered extension", "\x82\x01"],
    ["a value that no instruction made", "0"],
    ["a memo that is empty", "h\x05"],
    ["no mark", "u"],
    ["a dictionary's items for a list", "](NNu"],
    ["items of a tuple", ")Na"],
    ["an odd number of items", "}(Nu"],
    ["a call of text", "U\x01a)R"],
    ["attributes of None", "N}b"],
    ["a protocol of the future", "\x80\x06"],
    ["text beyond the end", "X\xff\xff\xff\xff"],
    ["long text beyond the end", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"],
    ["no end", "}"],
    ["a line that does not end", "cposix"],
  ])("refuses a pickle with %s", async (what, instructions) => {
    const bytes = Buffer.from(`\x80\x02${instructions}${what === "no end" ? "" : "N."}`, "latin1");
    await expect(readBytes(torchArchive(bytes))).rejects.toMatchObject({
      code: expect.stringMatching(/^checkpoint-damaged|unsupported-format$/),
    });
  });

  it("ends dictionaries that hold themselves or multiply", async () => {
    const itself = Buffer.from("}q\0U\x01ah\0s", "latin1");
    await expect(readBytes(torchArchive(pickle(itself)))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "nested"),
    );
    let doubled = "}q\0";
    for (let i = 1; i < 30; i++)
      doubled += `}q${String.fromCharCode(i)}(`.concat(
        ...["a", "b"].map((key) => `U\x01${key}h${String.fromCharCode(i - 1)}`),
        "u",
      );
    const bytes = pickle(Buffer.from(doubled, "latin1"));
    await expect(readBytes(torchArchive(bytes))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "values"),
    );
  });

  it.each<[what: string, view: Partial<View>]>([
    ["beyond its storage", { shape: [2, 4], stride: [4, 1] }],
    ["from beyond its storage on", { shape: [1], stride: [1], offset: 6 }],
    ["of a negative size", { shape: [-1], stride: [1] }],
    ["with a negative stride", { shape: [2], stride: [-1], offset: 5 }],
    ["of fewer strides than sizes", { shape: [2, 3], stride: [1] }],
    ["that repeats its storage 2 billion times", { shape: [2 ** 31 - 1], stride: [0] }],
    ["of more elements than can be counted", { shape: [2 ** 31 - 1, 2 ** 31 - 1], stride: [0, 0] }],
    ["of a storage that is smaller", { shape: [6], stride: [1], elements: 5 }],
    ["of a storage that is not there", { shape: [6], stride: [1], key: "1" }],
    ["of a storage outside the folder", { shape: [6], stride: [1], key: "../data/0" }],
  ])("refuses a tensor %s", async (_, view) => {
    await expect(values({ shape: [6], stride: [1], ...view })).rejects.toMatchObject({
      code: "checkpoint-damaged",
    });
  });

  it("refuses complex and quantised numbers, big-endian files, and what is no checkpoint", async () => {
    await expect(values({ shape: [1], stride: [1], type: "ComplexFloatStorage" })).rejects.toMatchObject(
      refusal("checkpoint-damaged", "torch.ComplexFloatStorage"),
    );
    await expect(values({ shape: [1], stride: [1] }, { byteOrder: "big" })).rejects.toMatchObject(
      refusal("unsupported-format", "big-endian"),
    );
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("abc"),
      Buffer.alloc(100, 1),
      pickle(text("no tensors")),
      torchArchive(pickle(list(integer(1)))),
    ])
      await expect(readBytes(bytes)).rejects.toMatchObject({ code: "unsupported-format" });
    await expect(readAll(join(folder, "nowhere"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(readAll(folder)).rejects.toMatchObject({ code: "file-not-found" });
  });

  it("refuses zip bombs, encryption, other compression, and entries twice", async () => {
    const content = pickledTensors({ w: { ...sixFloats, elements: 1 << 24, shape: [1 << 24], stride: [1] } });
    const data = { name: "model/data.pkl", content };
    const zeros = Buffer.alloc(1 << 26);
    const bomb = zipArchive([data, { name: "model/data/0", content: zeros, deflate: true }]);
    expect(bomb.length).toBeLessThan(100_000);
    await expect(readBytes(bomb)).rejects.toMatchObject(refusal("checkpoint-damaged", "67108864"));
    // One that says it is small.
    const liar = pickledTensors({ w: { ...sixFloats, shape: [6], stride: [1] } });
    const lying = zipArchive([
      { name: "model/data.pkl", content: liar },
      { name: "model/data/0", content: zeros, deflate: true, claimedBytes: 24 },
    ]);
    await expect(readBytes(lying)).rejects.toMatchObject(refusal("checkpoint-damaged", "24 bytes"));
    await expect(readBytes(zipArchive([{ ...data, flags: 1 }]))).rejects.toMatchObject(
      refusal("unsupported-format", "encrypted"),
    );
    await expect(readBytes(zipArchive([{ ...data, method: 12 }]))).rejects.toMatchObject(
      refusal("unsupported-format", "12"),
    );
    await expect(readBytes(zipArchive([data, data]))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "twice"),
    );
    await expect(readBytes(zipArchive([{ name: "a.txt", content }]))).rejects.toMatchObject(
      refusal("checkpoint-damaged", "data.pkl"),
    );
  });

  const small = torchArchive(
    pickledTensors({
      "layer.weight": { ...sixFloats, shape: [3, 2], stride: [1, 3] },
      "layer.bias": { ...sixFloats, shape: [2], stride: [1], offset: 3 },
    }),
    zeroToFive,
  );

  it("answers every cut of an archive with a typed error", async () => {
    for (let length = 0; length < small.length; length++)
      await expect(readBytes(small.subarray(0, length))).rejects.toBeInstanceOf(LingolensError);
  });

  it("answers changed bytes of an archive with a typed error or the same tensors", async () => {
    const whole = await readBytes(small);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(small.length - 1), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        async (changes) => {
          const spoilt = Buffer.from(small);
          for (const [position, flip] of changes) spoilt[position]! ^= flip;
          const result = await readBytes(spoilt).catch((error: unknown) => error);
          if (result instanceof LingolensError) refused++;
          else expect(result).toEqual(whole);
        },
      ),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(200);
  });

  it("answers any bytes as instructions of a pickle with a typed error or tensors", async () => {
    const instruction = fc.constantFrom(
      ..."(NJKMGXUT]lt}dsuaeqhcRbQ0.\x80\x85\x86\x87\x88\x8a\x8c\x93\x94\x95",
    );
    const part = fc.oneof(
      { weight: 5, arbitrary: instruction },
      { weight: 1, arbitrary: fc.constantFrom("\0", "\x01", "\xff", "a\n") },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 60 }), async (parts) => {
        const bytes = Buffer.from(`\x80\x02${parts.join("")}.`, "latin1");
        const result = await readBytes(torchArchive(bytes)).catch((error: unknown) => error);
        expect(result instanceof LingolensError || result instanceof Map).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe.skipIf(!shared)("checkpoints of PyTorch, burn and candle", () => {
  type Expected = { dtype: string; shape: number[]; first: unknown[]; sum: number | "nan" | null };
  const root = join(shared ?? "", "fixtures");
  const contents: Record<string, Record<string, unknown>> = shared
    ? JSON.parse(readFileSync(join(root, "expected/torch_checkpoint_contents.json"), "utf8"))
    : {};
  const dtypes: Record<string, string> = {
    float32: "F32",
    float64: "F64",
    float16: "F16",
    bfloat16: "BF16",
    int64: "I64",
    int32: "I32",
    int16: "I16",
    int8: "I8",
    uint8: "U8",
    bool: "BOOL",
  };

  function numbers({ dtype, data }: SafetensorsTensor): number[] {
    if (dtype === "F16") return [...float16ToFloat32(data as Uint16Array)];
    if (dtype === "BF16") return [...bfloat16ToFloat32(data as Uint16Array)];
    return Array.from(data as ArrayLike<number | bigint>, Number);
  }

  function* leaves(value: object, path = ""): Generator<[string, Expected]> {
    for (const [key, item] of Object.entries(value) as [string, object | number][]) {
      const name = path === "" ? key : `${path}.${key}`;
      if (typeof item !== "object" || item === null) continue;
      if ("dtype" in item && "first" in item) yield [name, item as Expected];
      else yield* leaves(item, name);
    }
  }

  it.each(Object.keys(contents).filter((name) => /\.(pt|pth|bin)$/.test(name)))("%s", async (name) => {
    const path = join(root, "checkpoints", name);
    const expected = contents[name]!;
    if ("ERROR" in expected) {
      await expect(readAll(path)).rejects.toMatchObject({ code: "unsupported-format" });
      return;
    }
    const tensors = await readAll(path);
    const wanted = [...leaves(expected)];
    expect([...tensors.keys()].sort()).toEqual(wanted.map(([key]) => key).sort());
    const number: Record<string, number> = {
      nan: Number.NaN,
      inf: Number.POSITIVE_INFINITY,
      "-inf": Number.NEGATIVE_INFINITY,
    };
    for (const [key, { dtype, shape, first, sum }] of wanted) {
      const tensor = tensors.get(key)!;
      expect(tensor, key).toMatchObject({ dtype: dtypes[dtype], shape });
      const found = numbers(tensor);
      expect(found.slice(0, first.length), key).toEqual(first.map((v) => number[v as string] ?? Number(v)));
      if (sum === null) continue;
      const total = found.reduce((a, b) => a + b, 0);
      if (sum === "nan") expect(total).toBeNaN();
      else
        expect(Math.abs(total - sum), key).toBeLessThan(
          1e-4 * found.reduce((most, v) => Math.max(most, Math.abs(v)), 1),
        );
    }
  });

  it.each([
    ["goldens/tiny-model/clip-vision", "clip-vision.safetensors"],
    ["goldens/tiny-model/mbart-decoder", "model.safetensors"],
    ["fixtures/checkpoints/tiny-generated/clip-vision", "model.safetensors"],
    ["fixtures/checkpoints/tiny-generated/mbart", "model.safetensors"],
    ["fixtures/checkpoints/tiny-generated/marian", "model.safetensors"],
  ])("%s equals its safetensors twin", async (place, twinName) => {
    const tensors = await readAll(join(shared!, place, "pytorch_model.bin"));
    const twin = await openSafetensors(join(shared!, place, twinName));
    expect(twin.header.tensors.size).toBeGreaterThan(30);
    for (const name of twin.header.tensors.keys())
      expect(tensors.get(name), name).toEqual(await readTensor(twin, name));
  });

  it("reads the same from the legacy form, and refuses every cut of it", async () => {
    const place = join(root, "checkpoints/tiny-generated/mbart");
    const legacy = await readAll(join(place, "pytorch_model_legacy.bin"));
    expect(legacy).toEqual(await readAll(join(place, "pytorch_model.bin")));
    const bytes = await readFile(join(root, "checkpoints/burn/reader/simple_legacy.pt"));
    for (let length = 0; length < bytes.length; length++)
      await expect(readBytes(bytes.subarray(0, length))).rejects.toBeInstanceOf(LingolensError);
    const spoilt = Buffer.from(bytes);
    spoilt[bytes.indexOf("little_endian") + "little_endian".length + 2] = 0x89; // false
    await expect(readBytes(spoilt)).rejects.toMatchObject(refusal("unsupported-format", "big-endian"));
  });

  it("answers changed bytes of the legacy form with a typed error or tensors of the same names and shapes", async () => {
    const bytes = await readFile(join(root, "checkpoints/burn/reader/legacy_with_offsets.pt"));
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
        const spoilt = Buffer.from(bytes);
        spoilt[position]! ^= flip;
        const result = await readBytes(spoilt).catch((error: unknown) => error);
        if (result instanceof LingolensError) refused++;
        else expect(result).toBeInstanceOf(Map);
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(50);
  });
});
