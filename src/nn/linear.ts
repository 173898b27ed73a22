import type { Tensor } from "../graph/index.js";
import type { ParameterScope } from "./parameters.js";
import { product } from "./product.js";

/** x·Wᵀ + b over the last axis: [..., in] → [..., out]. The weight is [out, in], as PyTorch keeps it. */
export function linear(scope: ParameterScope, x: Tensor, outFeatures: number): Tensor {
  return product(scope, "weight", x, outFeatures, scope.get("bias", [outFeatures]));
}
