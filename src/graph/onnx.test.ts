import { open } from "node:fs/promises";
import { join } from "node:path";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { tinyModel } from "../../test/support/tiny-model.js";
import { compileProgram } from "../engine/compile.js";
import type { DType, Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { encodeOutputs, scoreOutputs } from "../model/captioner.js";
import { type CaptionerConfig, parseConfig } from "../model/config.js";
import { trainProgram } from "../training/train-program.js";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../weights/half.js";
import { readJsonObject } from "../weights/json-file.js";
import { parameterShapes } from "../weights/parameter-shapes.js";
import { openSafetensors, tensorLocation, writeSafetensors } from "../weights/safetensors.js";
import * as g from "./index.js";
import type { WeightLocation } from "./onnx.js";
import { evaluateDimension } from "./shape.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

/** A protocol buffer message as it stands on the wire: the values of each field by its number. */
type Message = Map<number, (Uint8Array | number)[]>;

function decode(bytes: Uint8Array): Message {
  const reader = new BinaryReader(bytes);
  const message: Message = new Map();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const value = wireType === 0 ? Number(reader.int64()) : wireType === 5 ? reader.float() : reader.bytes();
    message.set(field, [...(message.get(field) ?? []), value]);
  }
  return message;
}

const numbers = (message: Message, field: number) => (message.get(field) ?? []) as number[];
const messages = (message: Message, field: number) =>
  ((message.get(field) ?? []) as Uint8Array[]).map((bytes) => decode(bytes));
const texts = (message: Message, field: number) =>
  ((message.get(field) ?? []) as Uint8Array[]).map((bytes) => new TextDecoder().decode(bytes));
const [one, text] = [
  (message: Message, field: number) => messages(message, field)[0]!,
  (message: Message, field: number) => texts(message, field)[0],
];

// Numbers of onnx.proto's fields and enumerations, read off its text and not off the encoder.
const readValue = (info: Message) => {
  const tensor = one(one(info, 2), 1); // ValueInfoProto.type, TypeProto.tensor_type
  const shape = one(tensor, 2);
  return {
    name: text(info, 1),
    elementType: numbers(tensor, 1)[0],
    shape: messages(shape, 1).map((dimension) => numbers(dimension, 1)[0] ?? text(dimension, 2)),
  };
};
const readAttribute = (attribute: Message) => {
  const kind = numbers(attribute, 20)[0];
  const value =
    kind === 1 // FLOAT
      ? numbers(attribute, 2)[0]
      : kind === 2 // INT
        ? numbers(attribute, 3)[0]
        : kind === 3 // STRING
          ? text(attribute, 4)
          : numbers(attribute, 8); // INTS
  return [text(attribute, 1), value];
};
const readNode = (node: Message) => ({
  inputs: texts(node, 1),
  outputs: texts(node, 2),
  opType: text(node, 4),
  attributes: Object.fromEntries(messages(node, 5).map(readAttribute)),
});
const readInitializer = (tensor: Message) => ({
  name: text(tensor, 8),
  elementType: numbers(tensor, 2)[0],
  dims: numbers(tensor, 1),
  raw: tensor.get(9)?.[0] as Uint8Array | undefined,
  external: numbers(tensor, 14)[0] === 1,
  place: Object.fromEntries(messages(tensor, 13).map((entry) => [text(entry, 1), text(entry, 2)])),
});
function readModel(bytes: Uint8Array) {
  const model = decode(bytes);
  const graph = one(model, 7);
  return {
    irVersion: numbers(model, 1)[0],
    opsets: messages(model, 8).map((opset) => [text(opset, 1), numbers(opset, 2)[0]]),
    nodes: messages(graph, 1).map(readNode),
    initializers: messages(graph, 5).map(readInitializer),
    inputs: messages(graph, 11).map(readValue),
    outputs: messages(graph, 12).map(readValue),
  };
}

const FLOAT = 1;
const INT64 = 7;
const FLOAT16 = 10;
const BFLOAT16 = 16;

const floats = (shape: number[], value: (i: number) => number = (i) => i): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
});

/** The largest program: the gradient of every parameter. */
function wholeTraining(config: CaptionerConfig): g.Program {
  const trainable = new Set(parameterShapes(config).keys());
  return trainProgram(config, trainable, { labelSmoothing: 0.1 }).program;
}

async function tinyConfig(): Promise<CaptionerConfig> {
  const json = await readJsonObject(join(tinyModel, "config.json"), "config-invalid");
  return parseConfig(json!, { weightsFormat: "safetensors" });
}

describe("an encoded program", () => {
  it("names its inputs and outputs, with their types and dimensions", () => {
    const past = g.input("past", "float32", ["rows", "past", 4]);
    const present = g.concat([past, g.input("new", "float32", ["rows", "length", 4])], 1);
    const ids = g.input("ids", "int64", ["rows"]);
    const program = {
      outputs: { present, flat: g.reshape(past, ["4*past*rows"]), same: ids, total: g.sum(present) },
    };
    const { bytes, inputs, outputs } = g.encodeProgram(program);
    const model = readModel(bytes);
    expect(model.inputs).toEqual([
      { name: "past", elementType: FLOAT, shape: ["rows", "past", 4] },
      { name: "new", elementType: FLOAT, shape: ["rows", "length", 4] },
      { name: "ids", elementType: INT64, shape: ["rows"] },
    ]);
    expect(model.outputs).toEqual([
      { name: "present", elementType: FLOAT, shape: ["rows", "length+past", 4] },
      { name: "flat", elementType: FLOAT, shape: ["4*past*rows"] },
      { name: "same", elementType: INT64, shape: ["rows"] },
      { name: "total", elementType: FLOAT, shape: [] },
    ]);
    expect(inputs).toEqual(["past", "new", "ids"]);
    expect(outputs).toEqual(["present", "flat", "same", "total"]);
    expect(model.irVersion).toBe(10);
    expect(model.opsets).toEqual(
      expect.arrayContaining([
        ["", 21],
        ["com.microsoft", 1],
      ]),
    );
  });

  it("holds constants as raw data, and attributes of every kind with their types", () => {
    const x = g.input("x", "float32", [2, 3]);
    const weight = g.constant(Float32Array.of(1, -2, 3.5), [3]);
    const y = g.scatterAdd(
      [4, 3],
      g.constantInt([-1, 2, 0, 3, 1, 2], [2, 3]),
      g.layerNorm(x, weight, weight, 0.25),
      0,
    );
    const { nodes, initializers } = readModel(
      g.encodeProgram({ outputs: { y: g.transpose(y, [1, 0]) } }).bytes,
    );
    const attributes = (opType: string) => nodes.find((node) => node.opType === opType)!.attributes;
    expect(attributes("LayerNormalization")).toMatchObject({ axis: -1, epsilon: 0.25 });
    expect(attributes("ScatterElements")).toEqual({ axis: 0, reduction: "add" });
    expect(attributes("Transpose")).toEqual({ perm: [1, 0] });
    const constants = initializers.map(({ elementType, dims, raw }) => ({
      elementType,
      dims,
      values: [...new (elementType === FLOAT ? Float32Array : BigInt64Array)(raw!.slice().buffer)].map(
        Number,
      ),
    }));
    expect(constants).toContainEqual({ elementType: FLOAT, dims: [3], values: [1, -2, 3.5] });
    expect(constants).toContainEqual({ elementType: INT64, dims: [2, 3], values: [-1, 2, 0, 3, 1, 2] });
  });

  it("is in order: every name is made once, before it is used", async () => {
    const { bytes } = g.encodeProgram(wholeTraining(await tinyConfig()));
    const { inputs, initializers, nodes, outputs } = readModel(bytes);
    const known = new Set<string>();
    const make = (name: string | undefined) => {
      expect(name).toBeTruthy();
      expect(known.has(name!), name).toBe(false);
      known.add(name!);
    };
    for (const { name } of [...inputs, ...initializers]) make(name);
    for (const node of nodes) {
      for (const name of node.inputs) if (name !== "") expect(known.has(name), name).toBe(true);
      node.outputs.forEach(make);
    }
    for (const { name } of outputs) expect(known.has(name!), name).toBe(true);
    expect(nodes.length).toBeGreaterThan(100);
  });

  it("has the same bytes whenever it is made", async () => {
    const config = await tinyConfig();
    const builds = [
      () => g.encodeProgram(wholeTraining(config)),
      () => g.encodeProgram({ outputs: encodeOutputs(config) }),
      () => g.encodeProgram({ outputs: scoreOutputs(config, "pixelValues") }),
    ];
    for (const build of builds) expect(Buffer.compare(build().bytes, build().bytes)).toBe(0);
    expect(Buffer.compare(builds[1]!().bytes, builds[2]!().bytes)).not.toBe(0);
  });

  it.each([
    ["two inputs", [g.input("x", "float32", [2]), g.input("x", "float32", [2])]],
    ["an input and a parameter", [g.input("x", "float32", [2]), g.parameter("x", [2])]],
    ["two parameters", [g.parameter("x", [2]), g.parameter("x", [2])]],
  ] as const)("is refused where %s have one name, wherever the weights lie", (_, [a, b]) => {
    const program = { outputs: { y: g.add(a, b) } };
    const refusal = expect.objectContaining({
      code: "shape-mismatch",
      message: expect.stringContaining('"x"'),
    });
    expect(() => g.encodeProgram(program)).toThrow(refusal);
    const x: WeightLocation = { file: "a.safetensors", dtype: "float32", offset: 0, byteLength: 8 };
    expect(() => g.encodeProgram(program, { weights: new Map([["x", x]]) })).toThrow(refusal);
  });

  it("is refused where a dimension's size comes from no input", () => {
    const x = g.expand(g.constant(1), ["n"]);
    expect(() => g.encodeProgram({ outputs: { x } })).toThrow(
      expect.objectContaining({ code: "shape-mismatch", message: expect.stringContaining('"n"') }),
    );
  });
});

describe("weights in a file", () => {
  const values = Float32Array.of(1, -2, 0.1, 65504, 6e-8, 2.71, -0, 1e-3);
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const file = "weights.safetensors";
  let weights: Map<string, WeightLocation>;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const stored = {
      full: { dtype: "F32", data: values },
      half: { dtype: "F16", data: float32ToFloat16(values) },
      brain: { dtype: "BF16", data: float32ToBfloat16(values) },
    } as const;
    const tensors = Object.entries(stored).map(
      ([name, tensor]) => [name, { ...tensor, shape: [2, 4] }] as const,
    );
    await writeSafetensors(join(folder.path, file), new Map(tensors));
    const opened = await openSafetensors(join(folder.path, file));
    const dtypes: Record<string, DType> = { full: "float32", half: "float16", brain: "bfloat16" };
    weights = new Map(
      Object.entries(dtypes).map(([name, dtype]) => {
        const { offset, length } = tensorLocation(opened, name);
        return [name, { file, dtype, offset, byteLength: length }];
      }),
    );
  });
  afterAll(() => folder.remove());

  const program = () => {
    const names = ["full", "half", "brain"];
    return { outputs: Object.fromEntries(names.map((name) => [`${name}Out`, g.parameter(name, [2, 4])])) };
  };

  it("are named by place, which holds their bytes, and are no inputs", async () => {
    const encoded = g.encodeProgram(program(), { weights, externalData: folder.path });
    expect(encoded).toMatchObject({ inputs: [], externalData: folder.path });
    const { inputs, initializers } = readModel(encoded.bytes);
    expect(inputs).toEqual([]);
    const types = { full: FLOAT, half: FLOAT16, brain: BFLOAT16 };
    const bytes = {
      full: new Uint8Array(values.buffer),
      half: new Uint8Array(float32ToFloat16(values).buffer),
      brain: new Uint8Array(float32ToBfloat16(values).buffer),
    };
    const handle = await open(join(folder.path, file));
    for (const name of ["full", "half", "brain"] as const) {
      const found = initializers.find((initializer) => initializer.name === name)!;
      expect(found).toMatchObject({ elementType: types[name], dims: [2, 4], external: true, raw: undefined });
      expect(Object.keys(found.place).sort()).toEqual(["length", "location", "offset"]);
      expect(found.place.location).toBe(file);
      const there = new Uint8Array(Number(found.place.length));
      await handle.read(there, 0, there.length, Number(found.place.offset));
      expect(there).toEqual(bytes[name]);
    }
    await handle.close();
  });

  it("reach the program as they are, 16-bit ones widened", async () => {
    const compiled = await compileProgram(engine, program(), { weights, externalData: folder.path });
    const { fullOut, halfOut, brainOut } = await compiled.run({});
    expect(fullOut).toMatchObject({ dtype: "float32", shape: [2, 4], data: values });
    expect(halfOut).toMatchObject({ dtype: "float32", data: float16ToFloat32(float32ToFloat16(values)) });
    expect(brainOut).toMatchObject({ dtype: "float32", data: bfloat16ToFloat32(float32ToBfloat16(values)) });
    await compiled.close();
  });

  it("may be some, the others being fed", async () => {
    const sum = g.add(g.parameter("full", [2, 4]), g.parameter("fed", [4]));
    const options = { weights, externalData: folder.path };
    expect(readModel(g.encodeProgram({ outputs: { sum } }, options).bytes).inputs).toEqual([
      { name: "fed", elementType: FLOAT, shape: [4] },
    ]);
    const compiled = await compileProgram(engine, { outputs: { sum } }, options);
    const { sum: result } = await compiled.run({ fed: floats([4], (i) => 10 * i) });
    expect(result!.data).toEqual(values.map((value, i) => value + 10 * (i % 4)));
    await compiled.close();
  });
});

describe("dimensions at run time", () => {
  it("are computed from the sizes of what is fed", async () => {
    const x = g.input("x", "float32", ["a", "b"]);
    const flat = g.reshape(x, [g.elementCount(x.shape)]);
    const shapes = {
      product: flat,
      sum: g.concat([flat, g.input("y", "float32", ["c"])], 0),
      polynomial: g.expand(g.constant(1), ["2*a*a+3*b*c+5"]),
      padded: g.pad(flat, 0, "a", "2*c"),
      sliced: g.slice(g.pad(flat, 0, 0, "a"), 0, "a", g.addDimensions("a*b", "a", -1)),
      square: g.reshape(g.expand(g.constant(1), [g.multiplyDimensions("a", "a", "c")]), ["a", "c*a"]),
    };
    const compiled = await compileProgram(engine, { outputs: shapes });
    const size = fc.integer({ min: 1, max: 5 });
    const property = fc.asyncProperty(size, size, size, async (a, b, c) => {
      const results = await compiled.run({ x: floats([a, b], (i) => i + 1), y: floats([c], (i) => -i - 1) });
      const array = (name: keyof typeof shapes) => [...(results[name]!.data as Float32Array)];
      const counted = Array.from({ length: a * b }, (_, i) => i + 1);
      const zeros = (length: number) => Array<number>(length).fill(0);
      expect(array("product")).toEqual(counted);
      expect(array("sum")).toEqual([...counted, ...Array.from({ length: c }, (_, i) => -i - 1)]);
      expect(results.polynomial!.shape).toEqual([2 * a * a + 3 * b * c + 5]);
      expect(array("polynomial").every((value) => value === 1)).toBe(true);
      expect(array("padded")).toEqual([...zeros(a), ...counted, ...zeros(2 * c)]);
      expect(array("sliced")).toEqual([...counted, ...zeros(a)].slice(a, a * b + a - 1));
      expect(results.square!.shape).toEqual([a, a * c]);
    });
    await fc.assert(property, { numRuns: 25 });
    await compiled.close();
  });

  it("agree with the arithmetic on paper", async () => {
    const dimension = g.addDimensions(g.multiplyDimensions("a", "b", 3), g.multiplyDimensions("b", -2), 7);
    const like = g.input("x", "int64", ["a", "b"]);
    const compiled = await compileProgram(engine, { outputs: { size: g.sizeOf(like, dimension), like } });
    for (const [a, b] of [
      [1, 1],
      [4, 9],
      [30, 1],
    ] as const) {
      const x: HostTensor = { dtype: "int64", shape: [a, b], data: new BigInt64Array(a * b) };
      const { size } = await compiled.run({ x });
      const sizes = new Map([
        ["a", a],
        ["b", b],
      ]);
      expect(Number(size!.data[0])).toBe(3 * a * b - 2 * b + 7);
      expect(evaluateDimension(dimension, sizes)).toBe(3 * a * b - 2 * b + 7);
    }
    await compiled.close();
  });
});
