import { inputOp, type Node, type Tensor, topologicalOrder } from "../../graph/tensor.js";
import { isLeaf, rootOf } from "./operands.js";
import { type Consumers, sourcesOf, type Taken } from "./products.js";

/** Constants and sizes: whoever needs them has them made again. */
export const isFree = ({ node }: Tensor): boolean => node.inputs.length === 0 && !isLeaf(node.outputs[0]!);

/** The nodes that compute something needed, each after what it reads. */
export function neededNodes(results: readonly Tensor[], taken: Taken): Node[] {
  const order = topologicalOrder(results).filter(
    ({ op, outputs: [first] }) => op.name !== "reshape" && !isLeaf(first!) && !isFree(first!),
  );
  const needed = new Set(results.map((result) => rootOf(result).node));
  for (const node of [...order].reverse())
    if (needed.has(node)) for (const source of sourcesOf(node, taken)) needed.add(source.node);
  return order.filter((node) => needed.has(node));
}

/** Who reads each tensor from memory. */
export function consumersOf(order: readonly Node[], results: Iterable<Tensor>, taken: Taken): Consumers {
  const consumers = new Map<Tensor, Set<Node>>();
  const add = (tensor: Tensor, consumer: Node) => {
    const known = consumers.get(tensor);
    if (known) known.add(consumer);
    else consumers.set(tensor, new Set([consumer]));
  };
  for (const node of order) for (const source of sourcesOf(node, taken)) add(source, node);
  for (const result of results) add(result, CALLER);
  return consumers;
}

/** Stands for whoever runs the program. */
export const CALLER: Node = { op: inputOp, attributes: null, inputs: [], outputs: [] };
