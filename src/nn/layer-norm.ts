import { layerNorm as normalize, type Tensor } from "../graph/index.js";
import type { ParameterScope } from "./parameters.js";

/** Layer normalisation over the last axis, with its learned weight and bias. */
export function layerNorm(scope: ParameterScope, x: Tensor, epsilon: number): Tensor {
  const width = x.shape.at(-1) as number;
  return normalize(x, scope.get("weight", [width]), scope.get("bias", [width]), epsilon);
}
