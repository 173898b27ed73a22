import { sameShape } from "../../graph/shape.js";
import type { Node, Tensor } from "../../graph/tensor.js";
import type { Activation } from "../onednn/versions.js";
import {
  isMatrixProduct,
  keepsRows,
  type Operand,
  type Operands,
  operandsOf,
  rootOf,
  scalarOf,
  turnsMatrix,
  type View,
} from "./operands.js";

export interface ProductStep {
  readonly kind: "product";
  readonly a: Operand;
  readonly b: Operand;
  readonly bias: Tensor | undefined;
  /** The first number of the bias that is used. Default 0. */
  readonly biasFrom?: number;
  /** What is done to the result, within the product, in this order. */
  readonly factor: number | undefined;
  readonly activation: Activation | undefined;
  /** What the result is added to, in its memory. Nothing reads it later. */
  readonly addend: Tensor | undefined;
  readonly out: Tensor;
  /** Of a stack: how its matrices lie in `out`. */
  readonly view: View | undefined;
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

/** Nodes that oneDNN computes beside the products of two matrices, all of which it does. */
export type Taken = ReadonlySet<Node>;

/** Whether oneDNN computes a node, and it is a product. */
export const isProduct = (node: Node, taken: Taken): boolean =>
  isMatrixProduct(node) || (node.op.name === "matMul" && taken.has(node));

/** What a node reads from memory: its inputs before they are reshaped or, for a product, turned over. */
export function sourcesOf(node: Node, taken: Taken): Tensor[] {
  if (!isProduct(node, taken)) return node.inputs.map(rootOf);
  const { a, b, bias } = operandsOf(node)!;
  return [a.source, b.source, ...(bias ? [bias] : [])];
}

/** Whether products alone read a tensor, as operands. */
export function isForProducts(tensor: Tensor, consumers: Consumers, taken: Taken): boolean {
  return [...(consumers.get(tensor) ?? [])].every(
    (reader) => isProduct(reader, taken) && operandsOf(reader)!.bias !== tensor,
  );
}

/** Every product of a program. */
export function productsOf(nodes: readonly Node[], consumers: Consumers, taken: Taken): Map<Node, Product> {
  const places = new Map(nodes.map((node, place) => [node, place]));
  const products = new Map<Node, Product>();
  for (const node of nodes) {
    if (!isProduct(node, taken)) continue;
    const operands = operandsOf(node)!;
    const result = node.outputs[0]!;
    const readers = [...(consumers.get(result) ?? [])];
    const { takenIn, ...finish } = operands.a.view
      ? stackFinish(readers)
      : (activationOf(result, readers, consumers) ??
        turnedOver(operands, readers) ??
        additionOf(node, readers, consumers, places) ?? { takenIn: [] });
    const out = takenIn.at(-1)?.outputs[0] ?? result;
    const step: ProductStep = {
      kind: "product",
      ...operands,
      activation: undefined,
      addend: undefined,
      view: undefined,
      ...finish,
      out,
      // What is added to is in float32.
      rounded: !finish.addend && isForProducts(out, consumers, taken),
    };
    products.set(node, { step, takenIn });
  }
  return products;
}

/** What a product does differently as it takes in nodes after it, the last of which gives the result. */
type Finished = Partial<ProductStep> & Pick<Product, "takenIn">;

/** The activation that alone reads a result. */
function activationOf(result: Tensor, readers: readonly Node[], consumers: Consumers): Finished | undefined {
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
      const scales = scaling.op.name === "multiply" && scalarOf(scaling.inputs[1]!) === Math.fround(1.702);
      if (!alone || sigmoid!.op.name !== "sigmoid" || !scales) continue;
      const [x, gate] = last.inputs;
      if (last.op.name === "multiply" && rootOf(x!) === result && gate === sigmoid!.outputs[0])
        return { activation: "quickGelu", takenIn: [scaling, sigmoid!, last] };
    }
  return undefined;
}

/** The transposition that alone reads a matrix: (A·B)ᵀ = Bᵀ·Aᵀ, so what is only read turned over is computed so. */
function turnedOver({ a, b, bias }: Operands, readers: readonly Node[]): Finished | undefined {
  const [reader] = readers;
  if (bias || readers.length !== 1 || reader!.op.name !== "transpose") return undefined;
  if (!turnsMatrix(reader!.outputs[0]!.shape, reader!.attributes as number[])) return undefined;
  return { a: turnOver(b), b: turnOver(a), takenIn: [reader!] };
}

const turnOver = ({ source, rows, columns, transposed }: Operand): Operand => ({
  source,
  rows: columns,
  columns: rows,
  transposed: !transposed,
});

/** The addition that alone reads a result, to something that is not needed afterwards, such as a layer's input. */
function additionOf(
  node: Node,
  readers: readonly Node[],
  consumers: Consumers,
  places: ReadonlyMap<Node, number>,
): Finished | undefined {
  const [addition] = readers;
  if (readers.length !== 1 || addition!.op.name !== "add") return undefined;
  const [x, y] = addition!.inputs as [Tensor, Tensor];
  const addend = rootOf(x) === node.outputs[0] ? y : x;
  const root = rootOf(addend);
  const sum = addition!.outputs[0]!;
  // The caller's memory stays as it is, and the result is where the addend was.
  const isOwn = (tensor: Tensor) =>
    places.has(tensor.node) && [...(consumers.get(tensor) ?? [])].every((reader) => places.has(reader));
  if (root === node.outputs[0] || !sameShape(x.shape, y.shape) || !isOwn(root) || !isOwn(sum))
    return undefined;
  const others = [...consumers.get(root)!].filter((reader) => reader !== addition);
  // What leads to this product was made before it.
  if (others.length === 0 || !others.every((reader) => leadsTo(reader, node, places))) return undefined;
  return { addend: root, takenIn: [addition!] };
}

/** Whether one node needs what another gives. */
function leadsTo(from: Node, to: Node, places: ReadonlyMap<Node, number>): boolean {
  const seen = new Set<Node>();
  const stack = [to];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node === from) return true;
    for (const { node: before } of node.inputs) {
      if (seen.has(before) || (places.get(before) ?? Number.POSITIVE_INFINITY) < places.get(from)!) continue;
      seen.add(before);
      stack.push(before);
    }
  }
  return false;
}

/** A transposition that alone reads a stack's result and leaves its rows whole, as where heads come together. */
function stackFinish(readers: readonly Node[]): Finished {
  const [reader] = readers;
  const permutation = reader?.attributes as number[];
  if (readers.length !== 1 || reader!.op.name !== "transpose" || !keepsRows(permutation))
    return { takenIn: [] };
  const back = permutation.map((_, axis) => permutation.indexOf(axis));
  return { view: { shape: reader!.outputs[0]!.shape, permutation: back }, takenIn: [reader!] };
}
