import { encodeProgram, type Program } from "../../graph/onnx.js";
import { type Shape, termsOf } from "../../graph/shape.js";
import { input, type Node, type Tensor } from "../../graph/tensor.js";
import type { EncodedProgram } from "../engine.js";
import { CALLER, consumersOf, isFree, neededNodes } from "./flow.js";
import { isLeaf, rootOf } from "./operands.js";
import { type Consumers, sourcesOf } from "./products.js";
import { type PrimitiveStep, type Taking, takenNodes, takingsOf } from "./taken.js";

/*
 * A program as steps of two kinds: oneDNN's, above all products of two matrices, and segments, what lies between these, each
 * an ONNX program of its own. Values pass from step to step in memory. A reshaped tensor is the same memory, so steps only know tensors
 * before they are reshaped ("roots"), and a product reads a matrix that is turned over from where the other lies.
 */

export interface SegmentStep {
  readonly kind: "segment";
  /** Equal segments, such as those of a model's layers, are one object. */
  readonly program: EncodedProgram;
  /** What is fed, in the order of the program's inputs; further inputs are sizes. */
  readonly inputs: readonly { readonly source: Tensor; readonly shape: Shape }[];
  /** What is given, in the order of the program's outputs. */
  readonly outputs: readonly Tensor[];
}

export type Step = PrimitiveStep | SegmentStep;

export interface Partition {
  readonly steps: readonly Step[];
  /** Names of the sizes that every segment is fed as last inputs, each as a tensor uint8 of so many elements. */
  readonly sizes: readonly string[];
  /** For each of the program's outputs the root that it is. */
  readonly results: ReadonlyMap<string, Tensor>;
}

export function partition({ outputs }: Program): Partition {
  const results = new Map(Object.entries(outputs).map(([name, tensor]) => [name, rootOf(tensor)]));
  // From the last output back, as ONNX Runtime orders its work: programs can say what is to be done first.
  const ends = Object.values(outputs).reverse();
  const taken = takenNodes(ends);
  const needed = neededNodes(ends, taken);
  const consumers = consumersOf(needed, results.values(), taken);
  const takings = takingsOf(needed, consumers, taken);
  const takenIn = new Set([...takings.values()].flatMap((taking) => taking.takenIn));
  const order = needed.filter((node) => !takenIn.has(node));
  const { last, late } = endsOf(order, consumers, takings);
  const made = new Set<Node>();
  const steps: (PrimitiveStep | { readonly kind: "nodes"; readonly nodes: readonly Node[] })[] = [];

  const isMade = (tensor: Tensor) => made.has(tensor.node) || isLeaf(tensor) || isFree(tensor);
  const readBy = (node: Node) => sourcesOf(node, taken);
  const isReady = (node: Node) => readBy(node).every(isMade);

  function makeOne(node: Node): void {
    const taking = takings.get(node)!;
    for (const one of [node, ...taking.takenIn]) made.add(one);
    steps.push(taking.step);
  }

  /** What these tensors need and is not made yet, as one segment, and with it what can be had and is in no product's way. */
  function makeSegment(tensors: readonly Tensor[]): void {
    const demanded = new Set<Node>();
    const stack = tensors.filter((tensor) => !isMade(tensor)).map(({ node }) => node);
    if (stack.length === 0) return;
    for (let node = stack.pop(); node; node = stack.pop()) {
      demanded.add(node);
      for (const source of readBy(node))
        if (!isMade(source) && !demanded.has(source.node)) stack.push(source.node);
    }
    const nodes = order.filter((node) => {
      if (made.has(node) || takings.has(node)) return false;
      if (!demanded.has(node) && !(late.has(node) && isReady(node))) return false;
      made.add(node);
      return true;
    });
    steps.push({ kind: "nodes", nodes });
  }

  /** What can be had after one product and stands before the next in the order. */
  function readyBetween(product: Node, next: Node | undefined): Tensor[] {
    const ready = new Set<Node>();
    for (const node of order.slice(order.indexOf(product) + 1, next && order.indexOf(next)))
      if (!takings.has(node) && readBy(node).every((source) => isMade(source) || ready.has(source.node)))
        ready.add(node);
    return [...ready].map(({ outputs: [first] }) => first!);
  }

  /** At once, so that what they read is needed no longer. */
  function makeLast(): void {
    for (const node of last) {
      if (!isReady(node)) continue;
      last.delete(node);
      makeOne(node);
    }
  }

  const inOrder = order.filter((one) => takings.has(one) && !last.has(one));
  for (const [i, node] of inOrder.entries()) {
    makeSegment(readBy(node));
    makeOne(node);
    makeLast();
    // Wide results, such as scores of a vocabulary's block, are worked on before the next ones push them out of the caches.
    if (widens(takings.get(node)!.step)) makeSegment(readyBetween(node, inOrder[i + 1]));
  }
  for (const node of last) {
    makeSegment(readBy(node));
    makeLast();
  }
  makeSegment([...results.values()]);
  const constants = [...results.values()].filter(isFree).map(({ node }) => node);
  if (constants.length > 0) steps.push({ kind: "nodes", nodes: [...new Set(constants)] });

  const sizes = namesIn(order);
  const programs = new Map<string, EncodedProgram>();
  return {
    sizes,
    results,
    steps: steps.map((step) =>
      step.kind === "nodes" ? segmentStep(step.nodes, consumers, sizes, programs) : step,
    ),
  };
}

/** Whether a step is a product whose result has far more columns than what is multiplied. */
function widens(step: PrimitiveStep): boolean {
  if (step.kind !== "product") return false;
  const { a, b } = step;
  return typeof b.columns === "number" && typeof a.columns === "number" && b.columns >= 4 * a.columns;
}

/**
 * `last`: steps of oneDNN's on which no other depends, such as the gradient of a weight. `late`: other nodes on which at most
 * such steps depend.
 */
function endsOf(
  order: readonly Node[],
  consumers: Consumers,
  takings: ReadonlyMap<Node, Taking>,
): { last: Set<Node>; late: Set<Node> } {
  const last = new Set<Node>();
  const late = new Set<Node>();
  const leadsOn = new Set<Node>();
  // From the end: what depends on a node is known before the node.
  for (const node of [...order].reverse()) {
    const taking = takings.get(node);
    const results = taking ? [taking.step.out] : node.outputs;
    const after = results.flatMap((tensor) => [...(consumers.get(tensor) ?? [])]);
    if (after.some((one) => takings.has(one) || leadsOn.has(one))) leadsOn.add(node);
    if (taking) {
      if (!leadsOn.has(node)) last.add(node);
    } else if (after.every((one) => one === CALLER || last.has(one) || late.has(one))) late.add(node);
  }
  return { last, late };
}

function segmentStep(
  nodes: readonly Node[],
  consumers: Consumers,
  sizes: readonly string[],
  programs: Map<string, EncodedProgram>,
): SegmentStep {
  const inside = new Set(nodes);
  const inputs: { source: Tensor; shape: Shape }[] = [];
  const copies = new Map<Tensor, Tensor>();

  function copyOf(tensor: Tensor): Tensor {
    let copy = copies.get(tensor);
    if (copy) return copy;
    const source = rootOf(tensor);
    if (inside.has(source.node) || isFree(source)) copy = copyNode(tensor.node)[tensor.outputIndex]!;
    else {
      copy = input(`i${inputs.length}`, tensor.dtype, tensor.shape);
      inputs.push({ source, shape: tensor.shape });
      copies.set(tensor, copy);
    }
    return copy;
  }
  function copyNode(node: Node): readonly Tensor[] {
    const outputs: Tensor[] = [];
    const copied: Node = { ...node, inputs: node.inputs.map(copyOf), outputs };
    for (const output of node.outputs) {
      const copy = { ...output, node: copied };
      outputs.push(copy);
      copies.set(output, copy);
    }
    return outputs;
  }

  for (const node of nodes) if (!copies.has(node.outputs[0]!)) copyNode(node);
  const outputs = nodes
    .flatMap((node) => node.outputs)
    .filter((tensor) => [...(consumers.get(tensor) ?? [])].some((consumer) => !inside.has(consumer)));
  const program = encodeProgram(
    { outputs: Object.fromEntries(outputs.map((tensor, i) => [`o${i}`, copies.get(tensor)!])) },
    { sizes: sizes.map((name, i) => input(`i${inputs.length + i}`, "uint8", [name])) },
  );
  return { kind: "segment", program: shared(program, programs), inputs, outputs };
}

function shared(program: EncodedProgram, programs: Map<string, EncodedProgram>): EncodedProgram {
  const key = Buffer.from(program.bytes).toString("latin1");
  const known = programs.get(key);
  if (!known) programs.set(key, program);
  return known ?? program;
}

/** The names of all sizes that the nodes' types speak of. */
function namesIn(nodes: readonly Node[]): string[] {
  const names = new Set<string>();
  for (const { inputs, outputs } of nodes)
    for (const { shape } of [...inputs, ...outputs])
      for (const dimension of shape)
        if (typeof dimension === "string")
          for (const term of termsOf(dimension)) for (const name of term.names) names.add(name);
  return [...names].sort();
}
