import { define, shapeError, type Tensor, type TensorType } from "../tensor.js";

const CONTRIB = { domain: "com.microsoft" };

/** Steps on either side of zero. */
const STEPS = 127;
const ZERO_POINT = 128;
/** Keeps a row of zeros from being divided by zero. */
const SMALLEST = 1e-30;

const int8ProductOp = define<null>({
  name: "int8Product",
  infer: (inputs) => {
    const [x, weight, scale] = inputs as [TensorType, TensorType, TensorType];
    const fits =
      x.dtype === "float32" &&
      weight.dtype === "int8" &&
      weight.shape.length === 2 &&
      x.shape.at(-1) === weight.shape[0] &&
      scale.dtype === "float32" &&
      scale.shape.length === 1 &&
      scale.shape[0] === weight.shape[1];
    if (!fits) throw shapeError("int8Product", inputs, "float32[..., k], int8[k, n] and float32[n]");
    return [{ dtype: "float32", shape: [...x.shape.slice(0, -1), weight.shape[1]!] }];
  },
  lower: (onnx, [x, weight, scale]) => {
    const float = (value: number): string => onnx.constant(Float32Array.of(value), []);
    const sizes = onnx.emit("ReduceMax", [onnx.emit("Abs", [x!])[0]!, onnx.constant([-1])], {
      attributes: { keepdims: { int: 1 } },
    })[0]!;
    const rowSize = onnx.emit("Max", [sizes, float(SMALLEST)])[0]!;
    const unit = onnx.emit("Div", [x!, rowSize])[0]!;
    // Unsigned by signed, which is the pair that the processors' int8 instructions multiply.
    const zero = onnx.byte(ZERO_POINT);
    const step = float(1 / STEPS);
    const quantized = onnx.emit("QuantizeLinear", [unit, step, zero])[0]!;
    const product = onnx.emit("MatMulIntegerToFloat", [quantized, weight!, step, scale!, zero], CONTRIB)[0]!;
    return onnx.emit("Mul", [product, rowSize]);
  },
});

/**
 * x·(weight · scale) over the last axis, computed in whole numbers: every row of x is rounded to 127 steps on either side of zero, up to
 * its own largest element, so that a row's result does not depend on the others.
 * @param x [..., k] float32
 * @param weight [k, n] int8
 * @param scale [n] float32: what a step of each column is worth
 */
export function int8Product(x: Tensor, weight: Tensor, scale: Tensor): Tensor {
  return int8ProductOp([x, weight, scale], null);
}
