import { broadcastShapes } from "../shape.js";
import { define, shapeError, type Tensor, type TensorType } from "../tensor.js";
import { sum, sumTo } from "./reduce.js";
import { reshape, transpose } from "./shape.js";

const matMulOp = define<null>({
  name: "matMul",
  infer: (inputs) => {
    const [a, b] = inputs as [TensorType, TensorType];
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const fits = a.shape.length >= 2 && b.shape.length >= 2 && a.dtype === "float32" && b.dtype === "float32";
    if (!fits || !batch || a.shape.at(-1) !== b.shape.at(-2))
      throw shapeError(
        "matMul",
        inputs,
        "float32[..., m, k] and float32[..., k, n] whose leading axes broadcast",
      );
    return [{ dtype: "float32", shape: [...batch, a.shape.at(-2)!, b.shape.at(-1)!] }];
  },
  lower: (onnx, inputs) => onnx.emit("MatMul", inputs),
  gradient: ({ inputs }, [dy]) => {
    const [a, b] = inputs as [Tensor, Tensor];
    return [sumTo(matMul(dy!, swapLast(b)), a.shape), sumTo(matMul(swapLast(a), dy!), b.shape)];
  },
});

/** The product of matrices [..., m, k] · [..., k, n], the leading axes broadcast. */
export function matMul(a: Tensor, b: Tensor): Tensor {
  return matMulOp([a, b], null);
}

/** Swaps the last two axes. */
export function swapLast(x: Tensor): Tensor {
  const rank = x.shape.length;
  return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
}

/**
 * A matrix turned over in memory of its own. ONNX Runtime lets a product read a plain transposition from where it lies,
 * which makes the product slower by more than turning over costs; through a third axis it does not see one.
 */
export function turnedOver(x: Tensor): Tensor {
  const [rows, columns] = x.shape as [Tensor["shape"][0], Tensor["shape"][0]];
  return reshape(transpose(reshape(x, [1, rows!, columns!]), [0, 2, 1]), [columns!, rows!]);
}

export interface GemmOptions {
  /** Use aᵀ. Default false. */
  readonly transposeA?: boolean;
  /** Use bᵀ. Default false. */
  readonly transposeB?: boolean;
}

const gemmOp = define<Required<GemmOptions>>({
  name: "gemm",
  infer: (inputs, { transposeA, transposeB }) => {
    const [a, b, bias] = inputs as [TensorType, TensorType, TensorType?];
    const [m, k] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
    const [k2, n] = transposeB ? [b.shape[1], b.shape[0]] : b.shape;
    const biasFits = !bias || (bias.shape.length === 1 && bias.shape[0] === n);
    if (a.shape.length !== 2 || b.shape.length !== 2 || k !== k2 || !biasFits)
      throw shapeError(
        "gemm",
        inputs,
        `matrices ${transposeA ? "[k, m]" : "[m, k]"} and ${transposeB ? "[n, k]" : "[k, n]"}, and a bias [n] if any`,
      );
    return [{ dtype: "float32", shape: [m!, n!] }];
  },
  lower: (onnx, inputs, { attributes: { transposeA, transposeB } }) =>
    onnx.emit("Gemm", inputs, {
      attributes: { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } },
    }),
  gradient: ({ inputs, attributes: { transposeA, transposeB } }, [dy]) => {
    const [a, b, bias] = inputs as [Tensor, Tensor, Tensor?];
    const da = transposeA
      ? gemm(b, dy!, undefined, { transposeA: transposeB, transposeB: true })
      : gemm(dy!, b, undefined, { transposeB: !transposeB });
    const db = transposeB
      ? gemm(turnedOver(dy!), a, undefined, { transposeB: transposeA })
      : transposeA
        ? gemm(a, dy!)
        : gemm(turnedOver(a), dy!);
    return bias ? [da, db, sum(dy!, { axes: [0] })] : [da, db];
  },
});

/** The product of two matrices, either of them transposed, plus a bias along the last axis. */
export function gemm(a: Tensor, b: Tensor, bias?: Tensor, options: GemmOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  return gemmOp(bias ? [a, b, bias] : [a, b], { transposeA, transposeB });
}
