import { type Dimension, elementCount, normalizeAxis, type Shape } from "../shape.js";
import { define, type Op, type Tensor, type TensorType } from "../tensor.js";
import { divide, multiply } from "./elementwise.js";
import { softmax } from "./normalization.js";
import { expand, reshape, sizeOf } from "./shape.js";

interface ReduceAttributes {
  /** Axes counted from the front, ascending. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

export interface ReduceOptions {
  /** Axes to reduce; negative ones count from the back. Default: all. */
  readonly axes?: readonly number[];
  /** Keep the reduced axes with size 1. Default false. */
  readonly keepDims?: boolean;
}

function reducedShape(shape: Shape, { axes, keepDims }: ReduceAttributes): Shape {
  if (keepDims) return shape.map((dimension, axis) => (axes.includes(axis) ? 1 : dimension));
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** The gradient of a reduction, spread again over the axes that it reduced. */
function spread(dy: Tensor, { shape }: TensorType, { axes }: ReduceAttributes): Tensor {
  return expand(reshape(dy, reducedShape(shape, { axes, keepDims: true })), shape);
}

function reduction(op: Pick<Op<ReduceAttributes>, "name" | "gradient">, opType: string) {
  const applyOp = define<ReduceAttributes>({
    ...op,
    infer: ([x], attributes) => [{ dtype: x!.dtype, shape: reducedShape(x!.shape, attributes) }],
    lower: (onnx, [x], { attributes }) =>
      onnx.emit(opType, [x!, onnx.constant(attributes.axes)], {
        attributes: { keepdims: { int: attributes.keepDims ? 1 : 0 } },
      }),
  });
  return (
    x: Tensor,
    { axes = x.shape.map((_, axis) => axis), keepDims = false }: ReduceOptions = {},
  ): Tensor => {
    const normal = axes.map((axis) => normalizeAxis(op.name, axis, x.shape.length)).sort((a, b) => a - b);
    return normal.length === 0 ? x : applyOp([x], { axes: normal, keepDims });
  };
}

export const sum = reduction(
  {
    name: "sum",
    gradient: ({ inputs, attributes }, [dy]) => [spread(dy!, inputs[0]!, attributes)],
  },
  "ReduceSum",
);

export const logSumExp = reduction(
  {
    name: "logSumExp",
    gradient: ({ inputs, attributes }, [dy]) => {
      const x = inputs[0]!;
      return [multiply(spread(dy!, x, attributes), softmax(x, attributes.axes[0]!))];
    },
  },
  "ReduceLogSumExp",
);

/** The largest element. No gradient. */
export const max = reduction({ name: "max" }, "ReduceMax");

/** Mean over the axes, differentiable. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = options.axes ?? x.shape.map((_, axis) => axis);
  const count: Dimension = elementCount(
    axes.map((axis) => x.shape[normalizeAxis("mean", axis, x.shape.length)]!),
  );
  return divide(sum(x, options), typeof count === "number" ? count : sizeOf(x, count));
}

/** Sums a gradient over the axes along which a tensor of `shape` was broadcast. */
export function sumTo(gradient: Tensor, shape: Shape): Tensor {
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dimension, axis) => {
    return axis < extra || (shape[axis - extra] === 1 && dimension !== 1) ? [axis] : [];
  });
  return axes.length === 0 ? gradient : reshape(sum(gradient, { axes }), shape);
}
