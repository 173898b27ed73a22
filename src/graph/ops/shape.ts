import { LingolensError } from "../../errors.js";
import {
  addDimensions,
  broadcastShapes,
  type Dimension,
  elementCount,
  formatShape,
  normalizeAxis,
  type Shape,
  sameShape,
  subtractDimensions,
} from "../shape.js";
import { define, type Emitter, shapeError, type Tensor } from "../tensor.js";
import { cast } from "./elementwise.js";
import { sumTo } from "./reduce.js";

const reshapeOp = define<Shape>({
  name: "reshape",
  infer: ([x], shape) => {
    if (elementCount(x!.shape) !== elementCount(shape))
      throw shapeError(
        "reshape",
        [x!],
        `as many elements as ${formatShape(shape)} has (${elementCount(shape)})`,
      );
    return [{ dtype: x!.dtype, shape }];
  },
  lower: (onnx, [x], { inputs, attributes: shape }) => {
    // ONNX copies a size where the target says 0 and infers one that says -1, which needs no arithmetic at run time.
    const target = shape.map((dimension, axis) => {
      if (typeof dimension === "number") return dimension;
      return inputs[0]!.shape[axis] === dimension ? 0 : -1;
    });
    const fixed = target.filter((size) => size === -1).length <= 1;
    if (fixed) return onnx.emit("Reshape", [x!, onnx.constant(target)]);
    return onnx.emit("Reshape", [x!, onnx.shape(shape)], { attributes: { allowzero: { int: 1 } } });
  },
  gradient: ({ inputs }, [dy]) => [reshape(dy!, inputs[0]!.shape)],
});

/** The same elements, row-major, in another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : reshapeOp([x], shape);
}

const transposeOp = define<readonly number[]>({
  name: "transpose",
  infer: ([x], permutation) => {
    if (
      [...permutation].sort((a, b) => a - b).some((axis, i) => axis !== i) ||
      permutation.length !== x!.shape.length
    )
      throw shapeError("transpose", [x!], `a permutation of its axes, not [${permutation.join(", ")}]`);
    return [{ dtype: x!.dtype, shape: permutation.map((axis) => x!.shape[axis]!) }];
  },
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit("Transpose", inputs, { attributes: { perm: { ints: attributes } } }),
  gradient: ({ attributes: permutation }, [dy]) => {
    return [
      transpose(
        dy!,
        permutation.map((_, axis) => permutation.indexOf(axis)),
      ),
    ];
  },
});

/** Axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  return transposeOp([x], permutation);
}

const expandOp = define<Shape>({
  name: "expand",
  infer: ([x], shape) => {
    const joint = broadcastShapes(x!.shape, shape);
    if (!joint || !sameShape(joint, shape))
      throw shapeError("expand", [x!], `a shape that broadcasts to ${formatShape(shape)}`);
    return [{ dtype: x!.dtype, shape }];
  },
  lower: (onnx, [x], { attributes }) => onnx.emit("Expand", [x!, onnx.shape(attributes)]),
  gradient: ({ inputs }, [dy]) => [sumTo(dy!, inputs[0]!.shape)],
});

/** Repeats x along axes of size 1 (and new leading ones) up to `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : expandOp([x], shape);
}

const concatOp = define<number>({
  name: "concat",
  infer: (inputs, axis) => {
    const first = inputs[0]!;
    const fits = inputs.every(({ dtype, shape }) => {
      return (
        dtype === first.dtype &&
        shape.length === first.shape.length &&
        shape.every((dimension, i) => i === axis || dimension === first.shape[i])
      );
    });
    if (!fits) throw shapeError("concat", inputs, `tensors of one type that differ along axis ${axis} alone`);
    const joint = addDimensions(...inputs.map(({ shape }) => shape[axis]!));
    return [
      { dtype: first.dtype, shape: first.shape.map((dimension, i) => (i === axis ? joint : dimension)) },
    ];
  },
  lower: (onnx, inputs, { attributes: axis }) =>
    onnx.emit("Concat", inputs, { attributes: { axis: { int: axis } } }),
  gradient: ({ inputs, attributes: axis }, [dy]) => {
    let start: Dimension = 0;
    return inputs.map(({ shape }) => {
      const end = addDimensions(start, shape[axis]!);
      const part = slice(dy!, axis, start, end);
      start = end;
      return part;
    });
  },
});

export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  return concatOp(tensors, normalizeAxis("concat", axis, tensors[0]!.shape.length));
}

interface SliceAttributes {
  readonly axis: number;
  readonly start: Dimension;
  readonly end: Dimension;
}

const sliceOp = define<SliceAttributes>({
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const size = subtractDimensions(end, start);
    if (typeof size === "number" && size < 0)
      throw shapeError("slice", [x!], `start ${start} before end ${end}`);
    return [{ dtype: x!.dtype, shape: x!.shape.map((dimension, i) => (i === axis ? size : dimension)) }];
  },
  lower: (onnx, [x], { attributes: { axis, start, end } }) =>
    onnx.emit("Slice", [x!, onnx.shape([start]), onnx.shape([end]), onnx.constant([axis])]),
  gradient: ({ inputs, attributes: { axis, start, end } }, [dy]) => [
    pad(dy!, axis, start, subtractDimensions(inputs[0]!.shape[axis]!, end)),
  ],
});

/** The part of x from `start` up to but not including `end` along one axis. */
export function slice(x: Tensor, axis: number, start: Dimension, end: Dimension): Tensor {
  return sliceOp([x], { axis: normalizeAxis("slice", axis, x.shape.length), start, end });
}

interface PadAttributes {
  readonly axis: number;
  readonly before: Dimension;
  readonly after: Dimension;
}

const padOp = define<PadAttributes>({
  name: "pad",
  infer: ([x], { axis, before, after }) => [
    { dtype: x!.dtype, shape: x!.shape.map((d, i) => (i === axis ? addDimensions(before, d, after) : d)) },
  ],
  lower: (onnx, [x], { inputs, attributes: { axis, before, after } }) => {
    const along = (amount: Dimension): Dimension[] =>
      inputs[0]!.shape.map((_, i) => (i === axis ? amount : 0));
    return onnx.emit("Pad", [x!, onnx.shape([...along(before), ...along(after)])]);
  },
  gradient: ({ inputs, attributes: { axis, before } }, [dy]) => [
    slice(dy!, axis, before, addDimensions(before, inputs[0]!.shape[axis]!)),
  ],
});

/** Zeros before and after x along one axis. */
export function pad(x: Tensor, axis: number, before: Dimension, after: Dimension): Tensor {
  return before === 0 && after === 0
    ? x
    : padOp([x], { axis: normalizeAxis("pad", axis, x.shape.length), before, after });
}

const scalar = (onnx: Emitter, dimension: Dimension): string[] =>
  onnx.emit("Reshape", [onnx.shape([dimension]), onnx.constant([], [0])]);

const sizeOp = define<Dimension>({
  name: "sizeOf",
  infer: (_, dimension) => {
    if (typeof dimension === "number")
      throw new LingolensError(
        "shape-mismatch",
        `sizeOf: expected a named dimension; got the number ${dimension}.`,
      );
    return [{ dtype: "int64", shape: [] }];
  },
  lower: (onnx, _, { attributes }) => scalar(onnx, attributes),
});

/** The size of a dimension as a scalar of the same type as `like`, for arithmetic when the program runs. */
export function sizeOf(like: Tensor, dimension: Dimension): Tensor {
  return cast(sizeOp([], dimension), like.dtype);
}
