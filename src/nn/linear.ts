import type { Tensor } from "../graph/index.js";
import type { ParameterScope } from "./parameters.js";
import { product, products } from "./product.js";

/** x·Wᵀ + b over the last axis: [..., in] → [..., out]. The weight is [out, in], as PyTorch keeps it. */
export function linear(scope: ParameterScope, x: Tensor, outFeatures: number): Tensor {
  return product(scope, "weight", x, outFeatures, scope.get("bias", [outFeatures]));
}

/** The same of several layers with one input, such as the query, key and value of an attention. */
export function linears(
  scope: ParameterScope,
  names: readonly string[],
  x: Tensor,
  outFeatures: number,
): Tensor[] {
  const layers = names.map((name) => {
    return { name: `${name}.weight`, bias: scope.get(`${name}.bias`, [outFeatures]) };
  });
  return products(scope, layers, x, outFeatures);
}
