import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { DType, EncodedProgram, TensorData } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { onnxElementType } from "./ops/elementwise.js";
import { type Dimension, type Shape, termsOf } from "./shape.js";
import {
  constantOp,
  type EmitOptions,
  type Emitter,
  inputOp,
  type Node,
  type OnnxAttribute,
  parameterOp,
  type Tensor,
  type TensorType,
  topologicalOrder,
} from "./tensor.js";

/** What to compute: named results. Inputs and parameters are found by walking back from them. */
export interface Program {
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** Where a weight lies in a file; the graph then holds only this address. */
export interface WeightLocation {
  /** File name, relative to the folder of external data. */
  readonly file: string;
  readonly dtype: DType;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface EncodeOptions {
  /**
   * Where each parameter's data lies. Parameters that are not listed become inputs of the program, fed at every
   * run. Default: none is listed.
   */
  readonly weights?: ReadonlyMap<string, WeightLocation>;
  /** Where the weights' files are; see `EncodedProgram`. */
  readonly externalData?: EncodedProgram["externalData"];
  /** Inputs that nothing reads, fed for the sizes of their named dimensions. Default: none. */
  readonly sizes?: readonly Tensor[];
}

interface Named {
  readonly name: string;
}

/** The parameters that a program uses, by name, in the order in which it needs them. */
export function programParameters({ outputs }: Program): Map<string, Tensor> {
  return leavesOf(topologicalOrder(Object.values(outputs)), parameterOp);
}

/** The inputs that a program is fed, by name. */
export function programInputs({ outputs }: Program): Map<string, Tensor> {
  return leavesOf(topologicalOrder(Object.values(outputs)), inputOp);
}

function leavesOf(order: readonly Node[], op: typeof inputOp): Map<string, Tensor> {
  return new Map(
    order.filter((node) => node.op === op).map((node) => [(node.attributes as Named).name, node.outputs[0]!]),
  );
}

/** Encodes a program as an ONNX model. Parameters and inputs keep their names. */
export function encodeProgram(program: Program, options: EncodeOptions = {}): EncodedProgram {
  const order = topologicalOrder(Object.values(program.outputs));
  const graph = new GraphWriter();
  const names = new Map<Tensor, string>();
  const inputNames: string[] = [];
  const leafNames = new Set<string>();

  for (const { node, dtype, shape } of options.sizes ?? []) {
    const { name } = node.attributes as Named;
    graph.input(name, dtype, shape);
    inputNames.push(name);
  }
  for (const node of order) {
    const type = node.outputs[0]!;
    if (node.op === constantOp) {
      const { data } = node.attributes as { data: TensorData };
      names.set(type, graph.initializer(type.dtype, type.shape as number[], data));
      continue;
    }
    if (node.op === inputOp || node.op === parameterOp) {
      const { name } = node.attributes as Named;
      if (leafNames.has(name))
        throw new LingolensError(
          "shape-mismatch",
          `Two inputs or parameters of the program are called "${name}".`,
        );
      leafNames.add(name);
      const weight = node.op === parameterOp ? options.weights?.get(name) : undefined;
      if (weight) names.set(type, graph.externalInitializer(name, type, weight));
      else {
        graph.input(name, type.dtype, type.shape);
        inputNames.push(name);
        names.set(type, name);
      }
    }
  }
  // Leaves first: the size of a named dimension may be asked for anywhere.
  for (const node of order) {
    if (node.op === constantOp || node.op === inputOp || node.op === parameterOp) continue;
    const inputs = node.inputs.map((source) => names.get(source)!);
    const outputs = node.op.lower(graph, inputs, node);
    node.outputs.forEach((output, i) => {
      names.set(output, outputs[i]!);
    });
  }
  for (const [name, tensor] of Object.entries(program.outputs))
    graph.output(name, tensor, names.get(tensor)!);

  return {
    bytes: graph.finish(),
    inputs: inputNames,
    outputs: Object.keys(program.outputs),
    ...(options.externalData !== undefined && { externalData: options.externalData }),
  };
}

/** ONNX 1.16's intermediate representation and operator set, which ONNX Runtime reads since 1.18. */
const IR_VERSION = 10;
const OPSET = 21;
const CONTRIB_DOMAIN = "com.microsoft";

/** Field numbers of onnx.proto3. */
const FIELD = {
  model: { irVersion: 1, producer: 2, graph: 7, opset: 8 },
  opset: { domain: 1, version: 2 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12 },
  node: { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 },
  attribute: { name: 1, float: 2, int: 3, string: 4, ints: 8, type: 20 },
  tensor: { dims: 1, dataType: 2, name: 8, rawData: 9, externalData: 13, dataLocation: 14 },
  entry: { key: 1, value: 2 },
  valueInfo: { name: 1, type: 2 },
  type: { tensor: 1 },
  tensorType: { elementType: 1, shape: 2 },
  shape: { dimension: 1 },
  dimension: { value: 1, parameter: 2 },
} as const;

/** Wire types of protocol buffers. */
const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

/** Writes a GraphProto piece by piece. */
class GraphWriter implements Emitter {
  readonly #graph = new BinaryWriter();
  readonly #nodes = new BinaryWriter();
  readonly #constants = new Map<string, string>();
  /** For each named dimension, an input and the axis at which it stands. */
  readonly #sizes = new Map<string, { input: string; axis: number }>();
  readonly #dimensions = new Map<string, string>();
  #count = 0;

  emit(
    opType: string,
    inputs: readonly string[],
    { attributes = {}, outputs = 1, domain }: EmitOptions = {},
  ): string[] {
    const node = this.#nodes.tag(FIELD.graph.node, BYTES).fork();
    for (const input of inputs) node.tag(FIELD.node.input, BYTES).string(input);
    const names = Array.from({ length: outputs }, () => this.#name(opType));
    for (const name of names) node.tag(FIELD.node.output, BYTES).string(name);
    node.tag(FIELD.node.name, BYTES).string(names[0]!);
    node.tag(FIELD.node.opType, BYTES).string(opType);
    for (const [name, value] of Object.entries(attributes)) writeAttribute(node, name, value);
    if (domain) node.tag(FIELD.node.domain, BYTES).string(domain);
    node.join();
    return names;
  }

  constant(data: readonly number[] | Float32Array, shape: readonly number[] = [data.length]): string {
    const floats = data instanceof Float32Array;
    if (floats) return this.#once("float32", shape, data);
    return this.#once("int64", shape, BigInt64Array.from(data.map(BigInt)));
  }

  byte(value: number): string {
    return this.#once("uint8", [], Uint8Array.of(value));
  }

  /** The one initializer of these values. */
  #once(dtype: DType, shape: readonly number[], data: TensorData): string {
    const key = `${dtype}:${shape}:${data}`;
    let name = this.#constants.get(key);
    if (!name) {
      name = this.initializer(dtype, shape, data);
      this.#constants.set(key, name);
    }
    return name;
  }

  shape(shape: Shape): string {
    if (shape.every((dimension) => typeof dimension === "number")) return this.constant(shape as number[]);
    return this.emit(
      "Concat",
      shape.map((dimension) => this.#dimension(dimension)),
      { attributes: { axis: { int: 0 } } },
    )[0]!;
  }

  /** Name of an int64 vector of length 1 that holds the size of a dimension. */
  #dimension(dimension: Dimension): string {
    if (typeof dimension === "number") return this.constant([dimension]);
    let name = this.#dimensions.get(dimension);
    if (!name) {
      const terms = termsOf(dimension).map(({ coefficient, names }) => {
        const factors = names.map((symbol) => this.#symbol(symbol));
        if (coefficient !== 1 || factors.length === 0) factors.push(this.constant([coefficient]));
        return factors.reduce((a, b) => this.emit("Mul", [a, b])[0]!);
      });
      name = terms.reduce((a, b) => this.emit("Add", [a, b])[0]!);
      this.#dimensions.set(dimension, name);
    }
    return name;
  }

  #symbol(symbol: string): string {
    const place = this.#sizes.get(symbol);
    if (!place)
      throw new LingolensError(
        "shape-mismatch",
        `The size of dimension "${symbol}" is not known: no input has it as an axis.`,
      );
    return this.emit("Shape", [place.input], {
      attributes: { start: { int: place.axis }, end: { int: place.axis + 1 } },
    })[0]!;
  }

  input(name: string, dtype: DType, shape: Shape): void {
    shape.forEach((dimension, axis) => {
      if (typeof dimension === "string" && !this.#sizes.has(dimension))
        this.#sizes.set(dimension, { input: name, axis });
    });
    writeValueInfo(this.#graph.tag(FIELD.graph.input, BYTES).fork(), name, dtype, shape).join();
  }

  output(name: string, { dtype, shape }: Tensor, value: string): void {
    const node = this.#nodes.tag(FIELD.graph.node, BYTES).fork();
    node.tag(FIELD.node.input, BYTES).string(value).tag(FIELD.node.output, BYTES).string(name);
    node.tag(FIELD.node.opType, BYTES).string("Identity").join();
    writeValueInfo(this.#graph.tag(FIELD.graph.output, BYTES).fork(), name, dtype, shape).join();
  }

  initializer(dtype: DType, shape: readonly number[], data: TensorData): string {
    const name = this.#name("constant");
    const tensor = this.#tensor(name, dtype, shape);
    tensor
      .tag(FIELD.tensor.rawData, BYTES)
      .bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      .join();
    return name;
  }

  /** A weight in a file. Stored as another type than the graph's, it is converted when the program is compiled. */
  externalInitializer(name: string, { dtype, shape }: TensorType, weight: WeightLocation): string {
    const tensor = this.#tensor(name, weight.dtype, shape as number[]);
    const place = { location: weight.file, offset: weight.offset, length: weight.byteLength };
    for (const [key, value] of Object.entries(place)) {
      const entry = tensor.tag(FIELD.tensor.externalData, BYTES).fork();
      entry
        .tag(FIELD.entry.key, BYTES)
        .string(key)
        .tag(FIELD.entry.value, BYTES)
        .string(String(value))
        .join();
    }
    tensor.tag(FIELD.tensor.dataLocation, VARINT).int32(1).join();
    if (weight.dtype === dtype) return name;
    return this.emit("Cast", [name], { attributes: { to: { int: onnxElementType(dtype) } } })[0]!;
  }

  #tensor(name: string, dtype: DType, shape: readonly number[]): BinaryWriter {
    const tensor = this.#graph.tag(FIELD.graph.initializer, BYTES).fork();
    for (const size of shape) tensor.tag(FIELD.tensor.dims, VARINT).int64(size);
    return tensor
      .tag(FIELD.tensor.dataType, VARINT)
      .int32(onnxElementType(dtype))
      .tag(FIELD.tensor.name, BYTES)
      .string(name);
  }

  #name(opType: string): string {
    return `${opType}_${this.#count++}`;
  }

  finish(): Uint8Array {
    const model = new BinaryWriter();
    model.tag(FIELD.model.irVersion, VARINT).int64(IR_VERSION);
    model.tag(FIELD.model.producer, BYTES).string("lingolens");
    const graph = model.tag(FIELD.model.graph, BYTES).fork();
    graph.tag(FIELD.graph.name, BYTES).string("program");
    graph.raw(this.#nodes.finish()).raw(this.#graph.finish()).join();
    for (const [domain, version] of [
      ["", OPSET],
      [CONTRIB_DOMAIN, 1],
    ] as const) {
      const opset = model.tag(FIELD.model.opset, BYTES).fork();
      opset
        .tag(FIELD.opset.domain, BYTES)
        .string(domain)
        .tag(FIELD.opset.version, VARINT)
        .int64(version)
        .join();
    }
    return model.finish();
  }
}

function writeAttribute(node: BinaryWriter, name: string, value: OnnxAttribute): void {
  const attribute = node.tag(FIELD.node.attribute, BYTES).fork();
  attribute.tag(FIELD.attribute.name, BYTES).string(name);
  // AttributeProto.AttributeType: FLOAT 1, INT 2, STRING 3, INTS 7.
  if ("float" in value) {
    attribute
      .tag(FIELD.attribute.float, FIXED32)
      .float(value.float)
      .tag(FIELD.attribute.type, VARINT)
      .int32(1);
  } else if ("int" in value) {
    attribute.tag(FIELD.attribute.int, VARINT).int64(value.int).tag(FIELD.attribute.type, VARINT).int32(2);
  } else if ("string" in value) {
    attribute
      .tag(FIELD.attribute.string, BYTES)
      .string(value.string)
      .tag(FIELD.attribute.type, VARINT)
      .int32(3);
  } else {
    for (const int of value.ints) attribute.tag(FIELD.attribute.ints, VARINT).int64(int);
    attribute.tag(FIELD.attribute.type, VARINT).int32(7);
  }
  attribute.join();
}

function writeValueInfo(info: BinaryWriter, name: string, dtype: DType, shape: Shape): BinaryWriter {
  info.tag(FIELD.valueInfo.name, BYTES).string(name);
  const type = info.tag(FIELD.valueInfo.type, BYTES).fork();
  const tensorType = type.tag(FIELD.type.tensor, BYTES).fork();
  tensorType.tag(FIELD.tensorType.elementType, VARINT).int32(onnxElementType(dtype));
  const dimensions = tensorType.tag(FIELD.tensorType.shape, BYTES).fork();
  for (const dimension of shape) {
    const proto = dimensions.tag(FIELD.shape.dimension, BYTES).fork();
    if (typeof dimension === "number") proto.tag(FIELD.dimension.value, VARINT).int64(dimension);
    else proto.tag(FIELD.dimension.parameter, BYTES).string(dimension);
    proto.join();
  }
  dimensions.join();
  tensorType.join();
  type.join();
  return info;
}
