import type { Program } from "./onnx.js";
import type { GemmOptions } from "./ops/matmul.js";
import { addDimensions, type Dimension, multiplyDimensions } from "./shape.js";
import { type Node, topologicalOrder } from "./tensor.js";

/** Multiplications and additions in a program's matrix products, over the names of its dimensions. */
export function productOperations({ outputs }: Program): Dimension {
  return addDimensions(...topologicalOrder(Object.values(outputs)).map(operationsOf));
}

function operationsOf({ op, inputs, outputs, attributes }: Node): Dimension {
  if (op.name !== "matMul" && op.name !== "gemm") return 0;
  const transposed = (attributes as GemmOptions | null)?.transposeA === true;
  const inner = inputs[0]!.shape.at(transposed ? -2 : -1)!;
  return multiplyDimensions(2, inner, ...outputs[0]!.shape);
}
