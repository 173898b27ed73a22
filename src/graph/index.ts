/** The computation graph: symbolic tensors, operations, gradients, encoding. */
export { grad, gradFrom } from "./gradient.js";
export {
  type EncodeOptions,
  encodeProgram,
  type Program,
  programParameters,
  type WeightLocation,
} from "./onnx.js";
export { gelu, quickGelu } from "./ops/activation.js";
export {
  add,
  cast,
  divide,
  equal,
  erf,
  exp,
  lessOrEqual,
  log,
  maximum,
  multiply,
  negate,
  sigmoid,
  sqrt,
  subtract,
  where,
} from "./ops/elementwise.js";
export {
  addRows,
  gather,
  gatherColumns,
  gatherElements,
  LARGEST_WITHIN,
  scatterAdd,
  topK,
  topKCandidates,
} from "./ops/indexing.js";
export { gemm, matMul, swapLast, turnedOver } from "./ops/matmul.js";
export { layerNorm, scaleFeatures, softmax } from "./ops/normalization.js";
export { int8Product } from "./ops/quantized.js";
export { logSumExp, max, mean, sum, sumTo } from "./ops/reduce.js";
export { concat, expand, pad, reshape, sizeOf, slice, transpose } from "./ops/shape.js";
export { productOperations } from "./product-operations.js";
export {
  addDimensions,
  type Dimension,
  elementCount,
  evaluateDimension,
  multiplyDimensions,
  type Shape,
} from "./shape.js";
export { constant, constantInt, input, parameter, type Tensor, type TensorType } from "./tensor.js";
