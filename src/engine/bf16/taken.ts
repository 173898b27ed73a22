import { type Node, type Tensor, topologicalOrder } from "../../graph/tensor.js";
import { CALLER, consumersOf, neededNodes } from "./flow.js";
import { isLeaf, isMatrixProduct, keepsRows, operandsOf, rootOf, type View } from "./operands.js";
import { type Consumers, isForProducts, type ProductStep, productsOf, type Taken } from "./products.js";

/** The softmax or the layer norm of every row, in float32. */
export interface RowsStep {
  readonly kind: "rows";
  readonly source: Tensor;
  readonly out: Tensor;
  /** Of a layer norm. */
  readonly norm?: { readonly weight: Tensor; readonly bias: Tensor; readonly epsilon: number };
}

/** A tensor in another order of its axes. */
export interface TranspositionStep {
  readonly kind: "transposition";
  readonly source: Tensor;
  readonly view: View;
  readonly out: Tensor;
  /** Whether it is for products alone, and in bf16. */
  readonly rounded: boolean;
}

/** A step of oneDNN's. */
export type PrimitiveStep = ProductStep | RowsStep | TranspositionStep;

/** A step, with the nodes after its own that it takes in. */
export interface Taking {
  readonly step: PrimitiveStep;
  readonly takenIn: readonly Node[];
}

/**
 * What oneDNN had better compute as well, beside the products of two matrices: what lies between products and reads what a
 * product made, so that no segment comes between them, each of which waits for threads of ONNX Runtime's.
 *
 * - Products of stacks of matrices, as in attention, whose operands come in bf16, from products or a softmax that products alone
 *   read. In training, gradients need these in float32, too.
 * - The softmax of such a product, and the layer norm of any product.
 * - A transposition of what is fed that only products read, which rounds as it goes; and one of a product's result that is for
 *   the caller alone.
 */
export function takenNodes(results: readonly Tensor[]): Taken {
  let taken: Taken = new Set(topologicalOrder(results).filter(isCandidate));
  for (;;) {
    const needed = neededNodes(results, taken);
    const consumers = consumersOf(needed, results.map(rootOf), taken);
    const products = productsOf(needed, consumers, taken);
    const made = new Map([...products.values()].map(({ step }) => [step.out, step]));
    const kept = new Set(needed.filter((node) => taken.has(node) && isWorthIt(node, consumers, made, taken)));
    if (kept.size === taken.size) return kept;
    taken = kept;
  }
}

function isCandidate(node: Node): boolean {
  const { op, attributes, inputs } = node;
  if (op.name === "matMul") return !isMatrixProduct(node) && operandsOf(node) !== undefined;
  if (op.name === "softmax") return attributes === inputs[0]!.shape.length - 1;
  return op.name === "layerNorm" || (op.name === "transpose" && keepsRows(attributes as number[]));
}

/** @param made products by their results */
function isWorthIt(
  node: Node,
  consumers: Consumers,
  made: ReadonlyMap<Tensor, ProductStep>,
  taken: Taken,
): boolean {
  const maker = made.get(rootOf(node.inputs[0]!));
  switch (node.op.name) {
    case "matMul": {
      const { a, b } = operandsOf(node)!;
      return [a, b].every(
        ({ source }) =>
          (made.has(source) || (source.node.op.name === "softmax" && taken.has(source.node))) &&
          isForProducts(source, consumers, taken),
      );
    }
    case "softmax":
      return maker !== undefined && taken.has(maker.out.node);
    case "layerNorm":
      return maker !== undefined && node.outputs.slice(1).every((output) => !consumers.has(output));
    default: {
      const [result, readers] = [node.outputs[0]!, consumers.get(node.outputs[0]!)!];
      if (isLeaf(rootOf(node.inputs[0]!))) return isForProducts(result, consumers, taken);
      return maker !== undefined && readers.size === 1 && readers.has(CALLER);
    }
  }
}

/** Every step of oneDNN's. */
export function takingsOf(nodes: readonly Node[], consumers: Consumers, taken: Taken): Map<Node, Taking> {
  const takings = new Map<Node, Taking>(productsOf(nodes, consumers, taken));
  const within = new Set([...takings.values()].flatMap(({ takenIn }) => takenIn));
  for (const node of nodes) {
    if (!taken.has(node) || takings.has(node) || within.has(node)) continue;
    const rounded = isForProducts(node.outputs[0]!, consumers, taken);
    takings.set(node, { step: stepOf(node, rounded), takenIn: [] });
  }
  return takings;
}

function stepOf({ op, attributes, inputs, outputs }: Node, rounded: boolean): RowsStep | TranspositionStep {
  const [source, out] = [rootOf(inputs[0]!), outputs[0]!];
  if (op.name === "transpose") {
    const view = { shape: inputs[0]!.shape, permutation: attributes as number[] };
    return { kind: "transposition", source, view, out, rounded };
  }
  if (op.name === "softmax") return { kind: "rows", source, out };
  const [, weight, bias] = inputs.map(rootOf) as [Tensor, Tensor, Tensor];
  return { kind: "rows", source, out, norm: { weight, bias, ...(attributes as { epsilon: number }) } };
}
