import { normalizeAxis } from "../shape.js";
import { apply, define, type Op, shapeError, type Tensor, type TensorType } from "../tensor.js";
import { multiply, subtract } from "./elementwise.js";
import { mean, sum, sumTo } from "./reduce.js";

const softmaxOp = define<number>({
  name: "softmax",
  infer: ([x]) => [x!],
  lower: (onnx, inputs, { attributes: axis }) =>
    onnx.emit("Softmax", inputs, { attributes: { axis: { int: axis } } }),
  gradient: ({ outputs, attributes: axis }, [dy]) => {
    const y = outputs[0]!;
    const weighted = multiply(dy!, y);
    return [subtract(weighted, multiply(y, sum(weighted, { axes: [axis], keepDims: true })))];
  },
});

/** exp(x) / Σ exp(x) along one axis, the last unless told. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return softmaxOp([x], normalizeAxis("softmax", axis, x.shape.length));
}

/** Outputs: the normalised tensor, and per row its mean and 1/√(variance + ε), which the gradient needs again. */
const layerNormOp: Op<{ epsilon: number }> = {
  name: "layerNorm",
  infer: (inputs) => {
    const [x, weight, bias] = inputs as [TensorType, TensorType, TensorType];
    const width = x.shape.at(-1);
    const fits = [weight, bias].every(({ shape }) => shape.length === 1 && shape[0] === width);
    if (!fits) throw shapeError("layerNorm", inputs, "x [..., width] with a weight and a bias [width]");
    const row: TensorType = { dtype: "float32", shape: [...x.shape.slice(0, -1), 1] };
    return [x, row, row];
  },
  lower: (onnx, inputs, { attributes: { epsilon } }) =>
    onnx.emit("LayerNormalization", inputs, {
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
      outputs: 3,
    }),
  // Ba et al. 2016: with x̂ = (x − μ)·s and g = dy·weight, dx = s·(g − mean(g) − x̂·mean(g·x̂)).
  gradient: ({ inputs, outputs }, [dy]) => {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor];
    const [, center, scale] = outputs as [Tensor, Tensor, Tensor];
    const normal = multiply(subtract(x, center), scale);
    const g = multiply(dy!, weight);
    const rows = { axes: [-1], keepDims: true };
    const dx = multiply(
      scale,
      subtract(subtract(g, mean(g, rows)), multiply(normal, mean(multiply(g, normal), rows))),
    );
    return [dx, sumTo(multiply(dy!, normal), weight.shape), sumTo(dy!, bias.shape)];
  },
};

/** Layer normalisation over the last axis (Ba et al. 2016). */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  return apply(layerNormOp, [x, weight, bias], { epsilon })[0]!;
}

/** x·factor along the last axis. A layer norm's weight and bias take the factor over, which is free where they are constant. */
export function scaleFeatures(x: Tensor, factor: Tensor): Tensor {
  if (x.node.op !== layerNormOp) return multiply(x, factor);
  const [source, weight, bias] = x.node.inputs as [Tensor, Tensor, Tensor];
  const { epsilon } = x.node.attributes as { epsilon: number };
  return layerNorm(source, multiply(weight, factor), multiply(bias, factor), epsilon);
}
