import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LingolensError } from "../errors.js";
import {
  openSafetensors,
  readTensor,
  type SafetensorsTensor,
  tensorLocation,
  toFloat32,
  writeSafetensors,
} from "./safetensors.js";
import { encodeHeader, readSafetensorsHeader, type SafetensorsDType } from "./safetensors-header.js";

const shared = process.env.LINGOLENS_SHARED;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

const everyType: [string, SafetensorsTensor][] = [
  ["half", { dtype: "F16", shape: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x0001) }],
  ["brain", { dtype: "BF16", shape: [3, 1], data: Uint16Array.of(0x3f80, 0xc000, 0x0000) }],
  ["single", { dtype: "F32", shape: [2, 2], data: Float32Array.of(1.5, -2, 0, 1e-40) }],
  ["double", { dtype: "F64", shape: [1], data: Float64Array.of(Math.PI) }],
  ["scalar", { dtype: "I64", shape: [], data: BigInt64Array.of(-(2n ** 62n)) }],
  ["unsigned", { dtype: "U64", shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }],
  ["i32", { dtype: "I32", shape: [2], data: Int32Array.of(-1, 7) }],
  ["u32", { dtype: "U32", shape: [1], data: Uint32Array.of(2 ** 32 - 1) }],
  ["i16", { dtype: "I16", shape: [1], data: Int16Array.of(-300) }],
  ["u16", { dtype: "U16", shape: [1], data: Uint16Array.of(65535) }],
  ["i8", { dtype: "I8", shape: [1], data: Int8Array.of(-5) }],
  ["u8", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 255) }],
  ["flags", { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) }],
  ["nothing", { dtype: "F32", shape: [0, 5], data: new Float32Array(0) }],
];

/** A file whose header is exactly `json`, with `dataBytes` zeros behind it. */
function fileWith(json: string, dataBytes = 0): Uint8Array {
  const file = Buffer.alloc(8 + Buffer.byteLength(json) + dataBytes);
  file.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  file.write(json, 8);
  return file;
}

describe("writing and reading", () => {
  it("gives every dtype back, aligned to its elements", async () => {
    const path = join(folder, "every-type.safetensors");
    await writeSafetensors(path, new Map(everyType), { step: "12" });
    const file = await openSafetensors(path);
    expect(Object.fromEntries(file.header.metadata)).toEqual({ step: "12" });
    expect([...file.header.tensors.keys()].sort()).toEqual(everyType.map(([name]) => name).sort());
    for (const [name, tensor] of everyType) {
      expect(await readTensor(file, name)).toEqual(tensor);
      expect(tensorLocation(file, name).offset % tensor.data.BYTES_PER_ELEMENT).toBe(0);
    }
  });

  it("widens floats to float32 and refuses whole numbers as weights", async () => {
    const tensors = new Map(everyType);
    const float32 = (name: string) => [...toFloat32(tensors.get(name)!)];
    expect(float32("half")).toEqual([1, -2, 2 ** -24]);
    expect(float32("brain")).toEqual([1, -2, 0]);
    expect(float32("double")).toEqual([Math.fround(Math.PI)]);
    expect(toFloat32(tensors.get("single")!)).toBe(tensors.get("single")!.data);
    expect(() => float32("u8")).toThrow(expect.objectContaining({ code: "checkpoint-mismatch" }));
  });

  it("gives equal bytes for equal tensors in any order, made early or late", async () => {
    const [early, late] = [join(folder, "early.safetensors"), join(folder, "late.safetensors")];
    await writeSafetensors(early, new Map(everyType));
    const lazy = everyType.map(
      ([name, { data, ...rest }]) => [name, { ...rest, data: async () => data }] as const,
    );
    await writeSafetensors(late, new Map(lazy.reverse()));
    expect(await readFile(late)).toEqual(await readFile(early));
  });

  it("keeps names that look like numbers, and hostile ones, apart", async () => {
    const path = join(folder, "names.safetensors");
    const names = ["10", "9", "__proto__", "constructor", "é\u{1f600}", ""];
    const tensors = names.map(
      (name, i) => [name, { dtype: "U8", shape: [1], data: Uint8Array.of(i) }] as const,
    );
    await writeSafetensors(path, new Map(tensors));
    const file = await openSafetensors(path);
    for (const [name, tensor] of tensors) expect(await readTensor(file, name)).toEqual(tensor);
  });

  it("refuses to write data that do not fit their shape", async () => {
    const wrong = new Map([["w", { dtype: "F32", shape: [2, 3], data: new Float32Array(5) } as const]]);
    await expect(writeSafetensors(join(folder, "wrong.safetensors"), wrong)).rejects.toMatchObject({
      code: "shape-mismatch",
      message: expect.stringContaining("expected 6 elements"),
    });
  });

  it("says which tensor or file is not there", async () => {
    const path = join(folder, "one.safetensors");
    await writeSafetensors(path, new Map(everyType.slice(0, 1)));
    const file = await openSafetensors(path);
    expect(() => tensorLocation(file, "absent")).toThrow(
      expect.objectContaining({ code: "checkpoint-mismatch", message: expect.stringContaining('"absent"') }),
    );
    await expect(openSafetensors(join(folder, "nowhere"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(openSafetensors(folder)).rejects.toMatchObject({ code: "file-not-found" });
  });

  it("notices a file that shrinks after it was opened", async () => {
    const path = join(folder, "shrinking.safetensors");
    await writeSafetensors(path, new Map(everyType));
    const file = await openSafetensors(path);
    await truncate(path, tensorLocation(file, "flags").offset + 1);
    await expect(readTensor(file, "flags")).rejects.toMatchObject({ code: "checkpoint-damaged" });
  });
});

describe("damaged headers", () => {
  const entry = (dtype: string, shape: unknown, offsets: unknown) =>
    JSON.stringify({ w: { dtype, shape, data_offsets: offsets } });
  const two = (first: number[], second: number[]) =>
    JSON.stringify({
      a: { dtype: "U8", shape: [first[1]! - first[0]!], data_offsets: first },
      b: { dtype: "U8", shape: [second[1]! - second[0]!], data_offsets: second },
    });
  const damages: [what: string, file: Uint8Array, message: RegExp][] = [
    ["an empty file", new Uint8Array(0), /at least 8 bytes, got 0/],
    ["a header longer than the file", fileWith("{}").subarray(0, 9), /ends after 9 bytes/],
    ["an absurd header length", Buffer.alloc(16, 0xff), /at most 100000000 bytes/],
    ["a header that is no JSON", fileWith("{nonsense}"), /in JSON/],
    [
      "a header that is no UTF-8",
      Buffer.concat([fileWith("{}"), Buffer.of(0xff)]).fill(0xff, 8, 10),
      /in JSON/,
    ],
    ["a header that is no object", fileWith("[1]"), /JSON object/],
    ["metadata that are no object", fileWith('{"__metadata__":3}'), /__metadata__/],
    ["an entry that is no object", fileWith('{"w":7}'), /"w": expected an object/],
    ["an unknown dtype", fileWith(entry("F33", [1], [0, 4]), 4), /dtype .* got "F33"/],
    ["a dtype from the prototype", fileWith(entry("toString", [1], [0, 4]), 4), /dtype/],
    ["a negative size", fileWith(entry("F32", [-1], [0, 4]), 4), /shape/],
    ["a fractional size", fileWith(entry("F32", [1.5], [0, 6]), 6), /shape/],
    ["an overflowing shape", fileWith(entry("F32", [2 ** 40, 2 ** 40], [0, 4]), 4), /expected \d.* bytes/],
    ["missing offsets", fileWith(entry("F32", [1], undefined), 4), /data_offsets/],
    ["backward offsets", fileWith(entry("F32", [1], [4, 0]), 4), /expected 4 bytes/],
    [
      "a size that contradicts the shape",
      fileWith(entry("F32", [2], [0, 4]), 4),
      /expected 8 bytes .* got 4/,
    ],
    ["a gap before the first", fileWith(entry("F32", [1], [4, 8]), 8), /at byte/],
    ["an overlap", fileWith(two([0, 4], [2, 6]), 6), /at byte/],
    ["a gap between two", fileWith(two([0, 2], [4, 6]), 6), /at byte/],
    ["a file that ends early", fileWith(entry("F32", [1], [0, 4]), 3), /got \d+/],
    ["bytes behind the last tensor", fileWith(entry("F32", [1], [0, 4]), 5), /got \d+/],
    ["a claim of a terabyte", fileWith(entry("U8", [2 ** 40], [0, 2 ** 40]), 4), /expected 1099511627/],
  ];
  it.each(damages)("refuses %s", async (_, file, message) => {
    const path = join(folder, "damaged.safetensors");
    await writeFile(path, file);
    const refusal = { code: "checkpoint-damaged", message: expect.stringMatching(message) };
    expect(() => readSafetensorsHeader(file)).toThrow(expect.objectContaining(refusal));
    await expect(openSafetensors(path)).rejects.toMatchObject(refusal);
  });

  it("answers every truncation and every changed byte with a valid reading or a typed error", async () => {
    const path = join(folder, "whole.safetensors");
    await writeSafetensors(path, new Map(everyType));
    const whole = await readFile(path);
    const headerBytes = 8 + Number(whole.readBigUInt64LE(0));
    for (let length = 0; length < whole.length; length++) {
      expect(() => readSafetensorsHeader(whole.subarray(0, length))).toThrow(LingolensError);
    }
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(headerBytes - 1), fc.integer({ min: 1, max: 255 }), (position, flip) => {
        const changed = Buffer.from(whole);
        changed[position]! ^= flip;
        try {
          const { tensors } = readSafetensorsHeader(changed);
          for (const { offset, length } of tensors.values()) {
            expect(offset + length).toBeLessThanOrEqual(whole.length);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "checkpoint-damaged" });
          refused++;
        }
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it("accepts any layout that the writer makes", () => {
    const dtypes: SafetensorsDType[] = ["BOOL", "BF16", "F32", "I64"];
    const entry = fc.record({
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.nat(5), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), entry, { noNullPrototype: true }), (tensors) => {
        const named = Object.entries(tensors).filter(([name]) => name !== "__metadata__");
        const { bytes } = encodeHeader(new Map(named), {});
        const size = [1, 2, 4, 8];
        const dataBytes = named.reduce(
          (sum, [, { dtype, shape }]) =>
            sum + shape.reduce((product, n) => product * n, size[dtypes.indexOf(dtype)]!),
          0,
        );
        const header = readSafetensorsHeader(Buffer.concat([bytes, Buffer.alloc(dataBytes)]));
        for (const [name, { dtype, shape }] of named) {
          expect(header.tensors.get(name)).toMatchObject({ dtype, shape });
        }
      }),
    );
  });
});

describe.skipIf(!shared)("files of other programs", () => {
  interface Contents {
    readonly dtype: string;
    readonly shape: number[];
    readonly first: number[];
    readonly sum: number;
  }

  it.each(["burn/mnist", "burn/modules/multi_layer/multi_layer"])(
    "%s has the values PyTorch reads",
    async (name) => {
      const contents = JSON.parse(
        await readFile(join(shared!, "fixtures/expected/torch_checkpoint_contents.json"), "utf8"),
      ) as Record<string, Record<string, Contents>>;
      const expected = contents[`${name}.safetensors`]!;
      const file = await openSafetensors(join(shared!, "fixtures/checkpoints", `${name}.safetensors`));
      expect([...file.header.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
      for (const [tensorName, { dtype, shape, first, sum }] of Object.entries(expected)) {
        const tensor = await readTensor(file, tensorName);
        expect(tensor.dtype).toBe({ float32: "F32", int64: "I64" }[dtype]);
        expect(tensor.shape).toEqual(shape);
        const values = Array.from<number | bigint, number>(tensor.data, Number);
        expect(values.slice(0, first.length)).toEqual(first);
        expect(values.reduce((total, value) => total + value, 0)).toBeCloseTo(sum, 3);
      }
    },
  );

  it.each([
    "goldens/tiny-model/model.safetensors",
    "goldens/tiny-e2e/form3-hf-ved/model.safetensors",
    "goldens/tiny-e2e/form3b-hf-ved-4x-names/model.safetensors",
  ])("%s is written again byte for byte", async (name) => {
    const file = await openSafetensors(join(shared!, name));
    const tensors = await Promise.all(
      [...file.header.tensors.keys()].map(async (key) => [key, await readTensor(file, key)] as const),
    );
    const copy = join(folder, "copy.safetensors");
    await writeSafetensors(copy, new Map(tensors), Object.fromEntries(file.header.metadata));
    expect((await readFile(copy)).equals(await readFile(file.path))).toBe(true);
  });
});
