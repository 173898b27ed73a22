import type { DType } from "../../engine/engine.js";
import { broadcastShapes } from "../shape.js";
import { constant, define, type Op, shapeError, type Tensor, type TensorType } from "../tensor.js";
import { sumTo } from "./reduce.js";

/** A tensor, or a number that stands for a float32 scalar. */
export type Operand = Tensor | number;

function asTensor(operand: Operand): Tensor {
  return typeof operand === "number" ? constant(operand) : operand;
}

function broadcastTypes(op: string, inputs: readonly TensorType[], dtype?: DType): TensorType[] {
  const [a, b] = inputs as [TensorType, TensorType];
  const shape = broadcastShapes(a.shape, b.shape);
  if (a.dtype !== b.dtype || !shape)
    throw shapeError(op, inputs, "two tensors of one type whose shapes broadcast");
  return [{ dtype: dtype ?? a.dtype, shape }];
}

type BinaryGradient = (a: Tensor, b: Tensor, dy: Tensor, y: Tensor) => [Tensor, Tensor];

/** An op of two tensors that broadcast; the gradient is summed back over what was broadcast. */
function binary(name: string, opType: string, gradient?: BinaryGradient, dtype?: DType) {
  const op: Op<null> = {
    name,
    infer: (inputs) => broadcastTypes(name, inputs, dtype),
    lower: (onnx, inputs) => onnx.emit(opType, inputs),
  };
  if (gradient) {
    op.gradient = ({ inputs, outputs }, [dy]) => {
      const [a, b] = inputs as [Tensor, Tensor];
      const [da, db] = gradient(a, b, dy!, outputs[0]!);
      return [sumTo(da, a.shape), sumTo(db, b.shape)];
    };
  }
  const applyOp = define(op);
  return (a: Operand, b: Operand): Tensor => applyOp([asTensor(a), asTensor(b)], null);
}

type UnaryGradient = (x: Tensor, dy: Tensor, y: Tensor) => Tensor;

/** An op of one float32 tensor, element by element. */
function unary(name: string, opType: string, gradient: UnaryGradient) {
  const applyOp = define<null>({
    name,
    infer: ([x]) => {
      if (x!.dtype !== "float32") throw shapeError(name, [x!], "a float32 tensor");
      return [x!];
    },
    lower: (onnx, inputs) => onnx.emit(opType, inputs),
    gradient: ({ inputs, outputs }, [dy]) => [gradient(inputs[0]!, dy!, outputs[0]!)],
  });
  return (x: Tensor): Tensor => applyOp([x], null);
}

export const add = binary("add", "Add", (_a, _b, dy) => [dy, dy]);
export const subtract = binary("subtract", "Sub", (_a, _b, dy) => [dy, negate(dy)]);
export const multiply = binary("multiply", "Mul", (a, b, dy) => [multiply(dy, b), multiply(dy, a)]);
export const divide = binary("divide", "Div", (_a, b, dy, y) => {
  const da = divide(dy, b);
  return [da, negate(multiply(da, y))];
});
/** Where the operands are equal, the gradient goes to the first. */
export const maximum = binary("maximum", "Max", (a, b, dy) => {
  const first = cast(lessOrEqual(b, a), "float32");
  return [multiply(dy, first), multiply(dy, subtract(1, first))];
});
export const equal = binary("equal", "Equal", undefined, "bool");
export const lessOrEqual = binary("lessOrEqual", "LessOrEqual", undefined, "bool");

export const negate = unary("negate", "Neg", (_x, dy) => negate(dy));
export const exp = unary("exp", "Exp", (_x, dy, y) => multiply(dy, y));
export const log = unary("log", "Log", (x, dy) => divide(dy, x));
export const sqrt = unary("sqrt", "Sqrt", (_x, dy, y) => divide(multiply(dy, 0.5), y));
export const sigmoid = unary("sigmoid", "Sigmoid", (_x, dy, y) => multiply(dy, multiply(y, subtract(1, y))));
/** d erf(x) / dx = 2/√π · exp(−x²). */
export const erf = unary("erf", "Erf", (x, dy) =>
  multiply(dy, multiply(2 / Math.sqrt(Math.PI), exp(negate(multiply(x, x))))),
);

const ONNX_ELEMENT_TYPE: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

/** ONNX's number for an element type (TensorProto.DataType). */
export function onnxElementType(dtype: DType): number {
  return ONNX_ELEMENT_TYPE[dtype];
}

const castOp = define<DType>({
  name: "cast",
  infer: ([x], dtype) => [{ dtype, shape: x!.shape }],
  lower: (onnx, inputs, { attributes }) =>
    onnx.emit("Cast", inputs, { attributes: { to: { int: onnxElementType(attributes) } } }),
  // Only float32 has gradients, so a cast cuts them.
});

export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : castOp([x], dtype);
}

const whereOp = define<null>({
  name: "where",
  infer: (inputs) => {
    const [condition, a, b] = inputs as [TensorType, TensorType, TensorType];
    const branches = broadcastShapes(a.shape, b.shape);
    const shape = branches && broadcastShapes(condition.shape, branches);
    if (condition.dtype !== "bool" || a.dtype !== b.dtype || !shape)
      throw shapeError("where", inputs, "a bool tensor and two of one type, all of which broadcast");
    return [{ dtype: a.dtype, shape }];
  },
  lower: (onnx, inputs) => onnx.emit("Where", inputs),
  gradient: ({ inputs }, [dy]) => {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor];
    return [undefined, sumTo(where(condition, dy!, 0), a.shape), sumTo(where(condition, 0, dy!), b.shape)];
  },
});

/** `a` where the condition holds, else `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return whereOp([condition, asTensor(a), asTensor(b)], null);
}
