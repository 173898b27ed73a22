import { LingolensError } from "../errors.js";
import { add } from "./ops/elementwise.js";
import { expand } from "./ops/shape.js";
import { formatShape } from "./shape.js";
import { constant, type Node, type Tensor, topologicalOrder } from "./tensor.js";

/**
 * Reverse-mode differentiation: new graph that computes the gradient of a scalar with respect to each of `wrt`.
 * A tensor that the loss does not depend on gets zeros.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.dtype !== "float32" || loss.shape.length !== 0)
    throw new LingolensError(
      "shape-mismatch",
      `grad: expected a float32 scalar; got ${loss.dtype}${formatShape(loss.shape)}.`,
    );
  return gradFrom(loss, constant(1), wrt);
}

/** The same for a scalar of which only its gradient with respect to `tensor` is known. */
export function gradFrom(tensor: Tensor, gradient: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const order = topologicalOrder([tensor]);
  const needed = dependents(order, wrt);
  const gradients = new Map<Tensor, Tensor>([[tensor, gradient]]);

  for (const node of order.reverse()) {
    if (!needed.has(node)) continue;
    const outputGradients = node.outputs.map((output) => gradients.get(output));
    if (node.inputs.length === 0 || outputGradients.every((gradient) => !gradient)) continue;
    if (!node.op.gradient) continue;
    const inputGradients = node.op.gradient(node, outputGradients);
    node.inputs.forEach((source, i) => {
      const gradient = inputGradients[i];
      if (!gradient || !(needed.has(source.node) || wrt.includes(source))) return;
      const sofar = gradients.get(source);
      gradients.set(source, sofar ? add(sofar, gradient) : gradient);
    });
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? expand(constant(0), tensor.shape));
}

/** The nodes through which a gradient can reach one of `wrt`: frozen parts cost no backward pass. */
function dependents(order: readonly Node[], wrt: readonly Tensor[]): Set<Node> {
  const needed = new Set<Node>(wrt.map(({ node }) => node));
  for (const node of order) if (node.inputs.some((source) => needed.has(source.node))) needed.add(node);
  return needed;
}
