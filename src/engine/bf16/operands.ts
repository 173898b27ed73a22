import { type Dimension, type Shape, sameShape } from "../../graph/shape.js";
import { constantOp, inputOp, type Node, parameterOp, type Tensor } from "../../graph/tensor.js";

/** A matrix that a product reads, or a stack of them. */
export interface Operand {
  readonly source: Tensor;
  readonly rows: Dimension;
  readonly columns: Dimension;
  /** `source` holds [columns, rows]. */
  readonly transposed: boolean;
  /** Of a stack: how its matrices lie in `source`. */
  readonly view?: View;
  /** Where it is some rows, or columns, of the matrix that `source` holds. */
  readonly part?: Part;
}

export interface Part {
  readonly axis: "rows" | "columns";
  /** The first of them. */
  readonly start: number;
  /** The whole matrix. */
  readonly of: { readonly rows: number; readonly columns: number };
}

/** A tensor in memory, and its axes in another order. */
export interface View {
  /** As it lies. */
  readonly shape: Shape;
  /** Axis i of the view is axis `permutation[i]` of the shape. */
  readonly permutation: readonly number[];
}

export interface Operands {
  readonly a: Operand;
  readonly b: Operand;
  readonly bias: Tensor | undefined;
  /** What the product of the operands as they lie is to be multiplied by. */
  readonly factor: number | undefined;
}

/** The tensor whose memory holds this one. */
export function rootOf(tensor: Tensor): Tensor {
  let root = tensor;
  while (root.node.op.name === "reshape") root = root.node.inputs[0]!;
  return root;
}

export const isLeaf = ({ node }: Tensor): boolean => node.op === inputOp || node.op === parameterOp;

/** Whether a node is the product of two matrices. */
export const isMatrixProduct = ({ op, inputs }: Node): boolean =>
  op.name === "gemm" || (op.name === "matMul" && inputs.every(({ shape }) => shape.length === 2));

const known = new WeakMap<Node, Operands | undefined>();

/** What a product reads, of matrices or of stacks of them; undefined for all that is no such product. */
export function operandsOf(node: Node): Operands | undefined {
  if (!known.has(node)) known.set(node, isMatrixProduct(node) ? matricesOf(node) : stacksOf(node));
  return known.get(node);
}

function matricesOf({ attributes, inputs }: Node): Operands {
  const { transposeA = false, transposeB = false } = (attributes ?? {}) as {
    transposeA?: boolean;
    transposeB?: boolean;
  };
  const [a, b, bias] = inputs as [Tensor, Tensor, Tensor?];
  return {
    a: matrixOf(a, transposeA),
    b: matrixOf(b, transposeB),
    bias: bias && rootOf(bias),
    factor: undefined,
  };
}

/** @param turned whether the product wants the matrix turned over */
function matrixOf(matrix: Tensor, turned: boolean): Operand {
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
export function turnsMatrix(shape: Shape, permutation: readonly number[]): boolean {
  const leading = shape.length - 2;
  return (
    matrixShape(shape).length === 2 &&
    permutation.every((axis, i) => axis === (i < leading ? i : i === leading ? leading + 1 : leading))
  );
}

/** Of a product of stacks of matrices whose leading axes are the same, in orders of the axes that oneDNN is fast with. */
function stacksOf({ op, inputs }: Node): Operands | undefined {
  if (op.name !== "matMul") return undefined;
  const [a, b] = inputs as [Tensor, Tensor];
  if (!sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) return undefined;
  const [left, right] = [stackOf(a), stackOf(b)];
  const factor = left.factor * right.factor;
  const rowsLie = ({ permutation }: View) => keepsRows(permutation);
  const columnsLie = ({ permutation }: View) => keepsRows(permutation.with(-1, permutation.at(-2)!));
  if (!rowsLie(left.operand.view) || !(rowsLie(right.operand.view) || columnsLie(right.operand.view)))
    return undefined;
  return { a: left.operand, b: right.operand, bias: undefined, factor: factor === 1 ? undefined : factor };
}

/** Whether the last axis, of what lies side by side, and the first stay where they are. */
export const keepsRows = (permutation: readonly number[]): boolean =>
  permutation[0] === 0 && permutation.at(-1) === permutation.length - 1;

function stackOf(stack: Tensor): { operand: Operand & { view: View }; factor: number } {
  let source = stack;
  let permutation = stack.shape.map((_, axis) => axis);
  let factor = 1;
  // Back through transpositions and factors.
  for (;;) {
    const { op, attributes, inputs } = source.node;
    if (op.name === "transpose") {
      permutation = permutation.map((axis) => (attributes as number[])[axis]!);
      source = inputs[0]!;
      continue;
    }
    const number = op.name === "multiply" ? scalarOf(inputs[1]!) : undefined;
    if (number === undefined) break;
    factor *= number;
    source = inputs[0]!;
  }
  const [rows, columns] = stack.shape.slice(-2) as [Dimension, Dimension];
  const view = { shape: source.shape, permutation };
  return { operand: { source: rootOf(source), rows, columns, transposed: false, view }, factor };
}

/** The number that a constant is; undefined where it is none. */
export function scalarOf({ node: { op, attributes } }: Tensor): number | undefined {
  if (op !== constantOp) return undefined;
  const { data } = attributes as { data: ArrayLike<number | bigint> };
  return data.length === 1 ? Number(data[0]) : undefined;
}
