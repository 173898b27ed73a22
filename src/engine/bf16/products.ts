import { type Dimension, type Shape, sameShape } from "../../graph/shape.js";
import { constantOp, inputOp, type Node, parameterOp, type Tensor } from "../../graph/tensor.js";
import type { Activation } from "../onednn/versions.js";

/** A matrix that a product reads. */
export interface Operand {
  readonly source: Tensor;
  readonly rows: Dimension;
  readonly columns: Dimension;
  /** `source` holds [columns, rows]. */
  readonly transposed: boolean;
}

export interface ProductStep {
  readonly kind: "product";
  readonly a: Operand;
  readonly b: Operand;
  readonly bias: Tensor | undefined;
  /** What is done to the result, within the product. */
  readonly activation: Activation | undefined;
  readonly out: Tensor;
  /** Whether products alone read the result, which is then in bf16. */
  readonly rounded: boolean;
}

/** A product as it is computed, with the nodes after it that it takes in. */
export interface Product {
  readonly step: ProductStep;
  readonly takenIn: readonly Node[];
}

/** Who reads each tensor from memory. */
export type Consumers = ReadonlyMap<Tensor, ReadonlySet<Node>>;

/** The tensor whose memory holds this one. */
export function rootOf(tensor: Tensor): Tensor {
  let root = tensor;
  while (root.node.op.name === "reshape") root = root.node.inputs[0]!;
  return root;
}

export const isLeaf = ({ node }: Tensor): boolean => node.op === inputOp || node.op === parameterOp;

export const isProduct = ({ op, inputs }: Node): boolean =>
  op.name === "gemm" || (op.name === "matMul" && inputs.every(({ shape }) => shape.length === 2));

/** What a node reads from memory: its inputs before they are reshaped or, for a product, turned over. */
export function sourcesOf(node: Node): Tensor[] {
  if (!isProduct(node)) return node.inputs.map(rootOf);
  const { a, b, bias } = operandsOf(node);
  return [a.source, b.source, ...(bias ? [bias] : [])];
}

/** Every product of a program. */
export function productsOf(nodes: readonly Node[], consumers: Consumers): Map<Node, Product> {
  const products = new Map<Node, Product>();
  for (const node of nodes.filter(isProduct)) {
    const { a, b, bias } = operandsOf(node);
    const result = node.outputs[0]!;
    const readers = [...(consumers.get(result) ?? [])];
    const { activation, takenIn } = activationOf(result, readers, consumers);
    const turned = !bias && turningOver(readers);
    const out = takenIn.at(-1)?.outputs[0] ?? (turned ? turned.outputs[0]! : result);
    const rounded = [...(consumers.get(out) ?? [])].every(
      (reader) => isProduct(reader) && operandsOf(reader).bias !== out,
    );
    const step = { kind: "product", bias, activation, out, rounded } as const;
    products.set(node, {
      // (A·B)ᵀ = Bᵀ·Aᵀ: what is only read turned over is computed so.
      step: turned ? { ...step, a: turnOver(b), b: turnOver(a) } : { ...step, a, b },
      takenIn: turned ? [turned] : takenIn,
    });
  }
  return products;
}

/** The activation that alone reads a result, and its nodes, the last of which gives it. */
function activationOf(
  result: Tensor,
  readers: readonly Node[],
  consumers: Consumers,
): { activation: Activation | undefined; takenIn: readonly Node[] } {
  const [first, second] = readers;
  if (readers.length === 1 && first!.op.name === "gelu") return { activation: "gelu", takenIn: [first!] };
  // x·σ(1.702·x), as `quickGelu` writes it.
  if (readers.length === 2)
    for (const [scaling, last] of [
      [first!, second!],
      [second!, first!],
    ] as const) {
      const [sigmoid, ...others] = consumers.get(scaling.outputs[0]!) ?? [];
      const alone = others.length === 0 && consumers.get(sigmoid?.outputs[0] as Tensor)?.size === 1;
      if (!alone || sigmoid!.op.name !== "sigmoid" || !isScaling(scaling)) continue;
      const [x, gate] = last.inputs;
      if (last.op.name === "multiply" && rootOf(x!) === result && gate === sigmoid!.outputs[0])
        return { activation: "quickGelu", takenIn: [scaling, sigmoid!, last] };
    }
  return { activation: undefined, takenIn: [] };
}

function isScaling({ op, inputs: [, factor] }: Node): boolean {
  if (op.name !== "multiply" || factor!.node.op !== constantOp) return false;
  const { data } = factor!.node.attributes as { data: Float32Array };
  return data.length === 1 && data[0] === Math.fround(1.702);
}

/** The transposition that alone reads a matrix. */
function turningOver(readers: readonly Node[]): Node | undefined {
  const [reader] = readers;
  if (readers.length !== 1 || reader!.op.name !== "transpose") return undefined;
  return turnsMatrix(reader!.outputs[0]!.shape, reader!.attributes as number[]) ? reader : undefined;
}

const turnOver = ({ source, rows, columns, transposed }: Operand): Operand => ({
  source,
  rows: columns,
  columns: rows,
  transposed: !transposed,
});

const operands = new WeakMap<Node, Pick<ProductStep, "a" | "b" | "bias">>();

function operandsOf(node: Node): Pick<ProductStep, "a" | "b" | "bias"> {
  let known = operands.get(node);
  if (!known) {
    const { transposeA = false, transposeB = false } = (node.attributes ?? {}) as {
      transposeA?: boolean;
      transposeB?: boolean;
    };
    const [a, b, bias] = node.inputs as [Tensor, Tensor, Tensor?];
    known = { a: operandOf(a, transposeA), b: operandOf(b, transposeB), bias: bias && rootOf(bias) };
    operands.set(node, known);
  }
  return known;
}

/** @param turned whether the product wants the matrix turned over */
function operandOf(matrix: Tensor, turned: boolean): Operand {
  let transposed = turned;
  let source = matrix;
  // Back through all that leaves a matrix of the same sizes, or of them exchanged.
  for (;;) {
    const { op, inputs, attributes } = source.node;
    const before = inputs[0];
    if (op.name === "reshape" && sameShape(matrixShape(before!), matrixShape(source))) source = before!;
    else if (op.name === "transpose" && turnsMatrix(source.shape, attributes as number[])) {
      source = before!;
      transposed = !transposed;
    } else break;
  }
  const [rows, columns] = turned
    ? [matrix.shape[1]!, matrix.shape[0]!]
    : (matrix.shape as [Dimension, Dimension]);
  return { source: rootOf(source), rows, columns, transposed };
}

/** A shape without leading axes of size 1. */
function matrixShape(shape: Shape | Tensor): Shape {
  const all = "node" in shape ? shape.shape : shape;
  const start = all.findIndex((size, axis) => size !== 1 || all.length - axis <= 2);
  return all.slice(Math.max(0, start));
}

/** Whether a transposition, giving this shape, exchanges the axes of a matrix and does nothing else. */
function turnsMatrix(shape: Shape, permutation: readonly number[]): boolean {
  const leading = shape.length - 2;
  return (
    matrixShape(shape).length === 2 &&
    permutation.every((axis, i) => axis === (i < leading ? i : i === leading ? leading + 1 : leading))
  );
}
