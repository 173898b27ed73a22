import { elementCount, reshape, type Tensor } from "../graph/index.js";
import type { ParameterScope } from "./parameters.js";
import { product } from "./product.js";

/** x·Wᵀ + b over the last axis: [..., in] → [..., out]. The weight is [out, in], as PyTorch keeps it. */
export function linear(scope: ParameterScope, x: Tensor, outFeatures: number): Tensor {
  const inFeatures = x.shape.at(-1) as number;
  const rows = x.shape.slice(0, -1);
  const matrix = reshape(x, [elementCount(rows), inFeatures]);
  const bias = scope.get("bias", [outFeatures]);
  return reshape(product(scope, "weight", matrix, outFeatures, bias), [...rows, outFeatures]);
}
