import type { DType, TensorData } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { formatShape, type Shape } from "./shape.js";

/** What is known of a tensor before the program runs. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A value in the graph: one output of one node. */
export interface Tensor extends TensorType {
  readonly node: Node;
  readonly outputIndex: number;
}

/** An operation applied to tensors. */
export interface Node {
  readonly op: Op;
  readonly attributes: unknown;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** Writes ONNX nodes for one node of the graph; see `onnx.ts`. */
export interface Emitter {
  /** Appends an ONNX node and returns the names of its outputs (one unless told). */
  emit(opType: string, inputs: readonly string[], options?: EmitOptions): string[];
  /** Name of a constant. int64 unless the data is a Float32Array; rank 1 unless a shape is given. */
  constant(data: readonly number[] | Float32Array, shape?: readonly number[]): string;
  /** Name of a uint8 scalar. */
  byte(value: number): string;
  /** Name of an int64 vector that holds the sizes of `shape` when the program runs. */
  shape(shape: Shape): string;
}

export interface EmitOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** How many outputs the ONNX node has. Default 1. */
  readonly outputs?: number;
  /** Operator domain. Default: ONNX's own. */
  readonly domain?: string;
}

export type OnnxAttribute =
  | { int: number }
  | { float: number }
  | { ints: readonly number[] }
  | { string: string };

/** The rules of an operation, side by side: what it gives, how ONNX computes it, and its derivative. */
// biome-ignore lint/suspicious/noExplicitAny: the attributes' type is private to each op
export interface Op<Attributes = any> {
  readonly name: string;
  /** Types of the outputs; throws through `shapeError` when the inputs do not fit. */
  infer(inputs: readonly TensorType[], attributes: Attributes): readonly TensorType[];
  /** Emits ONNX nodes and returns the names of the outputs. */
  lower(onnx: Emitter, inputs: readonly string[], node: NodeOf<Attributes>): readonly string[];
  /** Gradient of each input, given those of the outputs (undefined: none flows). Absent: not differentiable. */
  gradient?(
    node: NodeOf<Attributes>,
    outputGradients: readonly (Tensor | undefined)[],
  ): readonly (Tensor | undefined)[];
}

export type NodeOf<Attributes> = Node & { readonly attributes: Attributes };

/** Applies an op and returns all its outputs. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node = { op, attributes, inputs, outputs };
  op.infer(inputs, attributes).forEach(({ dtype, shape }, outputIndex) => {
    outputs.push({ node, outputIndex, dtype, shape });
  });
  return outputs;
}

/** An op with one output, as a function. */
export function define<A>(op: Op<A>): (inputs: readonly Tensor[], attributes: A) => Tensor {
  return (inputs, attributes) => apply(op, inputs, attributes)[0]!;
}

/** The error for inputs that an op cannot take. */
export function shapeError(op: string, inputs: readonly TensorType[], expected: string): LingolensError {
  const got = inputs.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join(", ");
  return new LingolensError("shape-mismatch", `${op}: expected ${expected}; got ${got}.`);
}

function leaf<A extends TensorType>(name: string): Op<A> {
  return {
    name,
    infer: (_, { dtype, shape }) => [{ dtype, shape }],
    lower: () => {
      throw new LingolensError("engine-failed", `A leaf (${name}) has no lowering of its own.`);
    },
  };
}

export const inputOp = leaf<TensorType & { name: string }>("input");
export const parameterOp = leaf<TensorType & { name: string }>("parameter");
export const constantOp = leaf<TensorType & { data: TensorData }>("constant");

/** A tensor that is fed anew at every run. Each name in its shape takes its size from what is fed. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
  return apply(inputOp, [], { name, dtype, shape })[0]!;
}

/** A weight, float32 unless told. */
export function parameter(name: string, shape: readonly number[], dtype: DType = "float32"): Tensor {
  return apply(parameterOp, [], { name, dtype, shape })[0]!;
}

/** A float32 constant, a scalar unless a shape is given. */
export function constant(value: number | Float32Array, shape: readonly number[] = []): Tensor {
  const data = typeof value === "number" ? Float32Array.of(value) : value;
  return apply(constantOp, [], { dtype: "float32", shape, data })[0]!;
}

/** An int64 constant, a scalar unless a shape is given. */
export function constantInt(value: number | readonly number[], shape: readonly number[] = []): Tensor {
  const data = BigInt64Array.from((typeof value === "number" ? [value] : value).map(BigInt));
  return apply(constantOp, [], { dtype: "int64", shape, data })[0]!;
}

/** Every node that the given tensors depend on, each after its inputs. */
export function topologicalOrder(tensors: readonly Tensor[]): Node[] {
  const order: Node[] = [];
  const visited = new Set<Node>();
  // An explicit stack: a deep model would overflow the call stack.
  const stack = tensors.map((tensor) => ({ node: tensor.node, expanded: false })).reverse();
  while (stack.length > 0) {
    const { node, expanded } = stack.pop()!;
    if (expanded) order.push(node);
    else if (!visited.has(node)) {
      visited.add(node);
      stack.push({ node, expanded: true });
      for (const { node: source } of [...node.inputs].reverse())
        if (!visited.has(source)) stack.push({ node: source, expanded: false });
    }
  }
  return order;
}
