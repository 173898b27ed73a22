import {
  type Dimension,
  elementCount,
  formatShape,
  multiplyDimensions,
  normalizeAxis,
  type Shape,
  sameShape,
} from "../shape.js";
import { apply, define, type Emitter, type Op, shapeError, type Tensor, type TensorType } from "../tensor.js";
import { expand, reshape } from "./shape.js";

const gatherOp = define<null>({
  name: "gather",
  infer: (inputs) => {
    const [table, ids] = inputs as [TensorType, TensorType];
    if (ids.dtype !== "int64" || table.shape.length === 0)
      throw shapeError("gather", inputs, "a table [rows, ...] and int64 ids");
    return [{ dtype: table.dtype, shape: [...ids.shape, ...table.shape.slice(1)] }];
  },
  lower: (onnx, inputs) => onnx.emit("Gather", inputs, { attributes: { axis: { int: 0 } } }),
  gradient: ({ inputs }, [dy]) => {
    const [table, ids] = inputs as [Tensor, Tensor];
    const rows: Dimension = elementCount(ids.shape);
    const width = table.shape.slice(1);
    const updates = reshape(dy!, [rows, ...width]);
    const indices = expand(reshape(ids, [rows, ...width.map(() => 1)]), updates.shape);
    return [scatterAdd(table.shape, indices, updates, 0), undefined];
  },
});

/** Rows of a table: the result has the shape of `ids` followed by that of a row. */
export function gather(table: Tensor, ids: Tensor): Tensor {
  return gatherOp([table, ids], null);
}

const gatherColumnsOp = define<null>({
  name: "gatherColumns",
  infer: (inputs) => {
    const [table, ids] = inputs as [TensorType, TensorType];
    if (ids.dtype !== "int64" || table.shape.length !== 2)
      throw shapeError("gatherColumns", inputs, "a table [rows, columns] and int64 ids");
    return [{ dtype: table.dtype, shape: [table.shape[0]!, ...ids.shape] }];
  },
  lower: (onnx, inputs) => onnx.emit("Gather", inputs, { attributes: { axis: { int: 1 } } }),
});

/** Columns of a table: the result has the size of a column followed by the shape of `ids`. No gradient. */
export function gatherColumns(table: Tensor, ids: Tensor): Tensor {
  return gatherColumnsOp([table, ids], null);
}

const gatherElementsOp = define<number>({
  name: "gatherElements",
  infer: (inputs, axis) => {
    const [x, indices] = inputs as [TensorType, TensorType];
    const fits =
      indices.dtype === "int64" &&
      indices.shape.length === x.shape.length &&
      indices.shape.every((dimension, i) => i === axis || dimension === x.shape[i]);
    if (!fits)
      throw shapeError("gatherElements", inputs, `x and int64 indices that differ along axis ${axis} alone`);
    return [{ dtype: x.dtype, shape: indices.shape }];
  },
  lower: (onnx, inputs, { attributes: axis }) =>
    onnx.emit("GatherElements", inputs, { attributes: { axis: { int: axis } } }),
  gradient: ({ inputs, attributes: axis }, [dy]) => {
    const [x, indices] = inputs as [Tensor, Tensor];
    return [scatterAdd(x.shape, indices, dy!, axis), undefined];
  },
});

/** For every index, the element of x at that place along `axis` (and the index's own place along the others). */
export function gatherElements(x: Tensor, indices: Tensor, axis: number): Tensor {
  return gatherElementsOp([x, indices], normalizeAxis("gatherElements", axis, x.shape.length));
}

const scatterAddOp = define<{ shape: Shape; axis: number }>({
  name: "scatterAdd",
  infer: (inputs, { shape }) => {
    const [indices, updates] = inputs as [TensorType, TensorType];
    if (updates.shape.length !== shape.length)
      throw shapeError("scatterAdd", inputs, `rank of ${formatShape(shape)}`);
    if (indices.dtype !== "int64") throw shapeError("scatterAdd", inputs, "int64 indices");
    return [{ dtype: updates.dtype, shape }];
  },
  // ScatterElements adds in the order of the indices, so the sum has the same bits at every run; ScatterND with
  // "add" works in parallel, so its does not.
  lower: (onnx, [indices, updates], { attributes: { shape, axis } }) => {
    const zeros = onnx.emit("ConstantOfShape", [onnx.shape(shape)])[0]!;
    return onnx.emit("ScatterElements", [zeros, indices!, updates!], {
      attributes: { axis: { int: axis }, reduction: { string: "add" } },
    });
  },
  gradient: ({ inputs, attributes: { axis } }, [dy]) => [undefined, gatherElements(dy!, inputs[0]!, axis)],
});

/** Zeros of `shape` with every update added at its index along `axis`. */
export function scatterAdd(shape: Shape, indices: Tensor, updates: Tensor, axis: number): Tensor {
  return scatterAddOp([indices, updates], { shape, axis: normalizeAxis("scatterAdd", axis, shape.length) });
}

const addRowsOp = define<null>({
  name: "addRows",
  infer: (inputs) => {
    const [table, ids, rows] = inputs as [TensorType, TensorType, TensorType];
    const fits =
      ids.dtype === "int64" &&
      ids.shape.length === 1 &&
      rows.dtype === table.dtype &&
      sameShape(rows.shape, [ids.shape[0]!, ...table.shape.slice(1)]);
    if (!fits)
      throw shapeError("addRows", inputs, "a table [rows, ...], int64 ids [n], and what is added [n, ...]");
    return [table];
  },
  lower: (onnx, [table, ids, rows]) => {
    const indices = onnx.emit("Reshape", [ids!, onnx.constant([-1, 1])])[0]!;
    return onnx.emit("ScatterND", [table!, indices, rows!], { attributes: { reduction: { string: "add" } } });
  },
});

/** The table with a row added to each of those that `ids` names, which must be different ones. No gradient. */
export function addRows(table: Tensor, ids: Tensor, rows: Tensor): Tensor {
  return addRowsOp([table, ids, rows], null);
}

const topKOp: Op<null> = {
  name: "topK",
  infer: (inputs) => {
    const [x, k] = inputs as [TensorType, TensorType];
    refuseOther("topK", x, k);
    const shape = [...x.shape.slice(0, -1), k.shape[0]!];
    return [
      { dtype: x.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  lower: (onnx, [x, k], { inputs }) => {
    const count = onnx.emit("Shape", [k!])[0]!;
    const size = blockSize(inputs[0]!.shape);
    if (size === 1) return onnx.emit("TopK", [x!, count], { outputs: 2 });
    const places = emitCandidates(onnx, x!, count, inputs[0]!.shape);
    const along = { attributes: { axis: { int: 1 } } };
    const candidates = onnx.emit("GatherElements", [x!, places], along)[0]!;
    const [values, best] = onnx.emit("TopK", [candidates, count], { outputs: 2 });
    return [values!, onnx.emit("GatherElements", [places, best!], along)[0]!];
  },
};

/**
 * The k largest elements along the last axis, largest first, and their indices. k is the length of the vector
 * `k` (its elements do not matter), so that it may change from run to run.
 */
export function topK(x: Tensor, k: Tensor): { values: Tensor; indices: Tensor } {
  const [values, indices] = apply(topKOp, [x, k], null) as [Tensor, Tensor];
  return { values, indices };
}

const candidatesOp = define<null>({
  name: "topKCandidates",
  infer: (inputs) => {
    const [x, k] = inputs as [TensorType, TensorType];
    refuseOther("topKCandidates", x, k);
    const count = multiplyDimensions(blockSize(x.shape), k.shape[0]!);
    return [{ dtype: "int64", shape: [...x.shape.slice(0, -1), count] }];
  },
  lower: (onnx, [x, k], { inputs }) => {
    const count = onnx.emit("Shape", [k!])[0]!;
    if (blockSize(inputs[0]!.shape) > 1) return [emitCandidates(onnx, x!, count, inputs[0]!.shape)];
    return [onnx.emit("TopK", [x!, count], { outputs: 2 })[1]!];
  },
});

/**
 * Indices of some elements along the last axis, the k largest among them: a few for each of the k, as many for every
 * row. They are in no order, but the largest is among the first `LARGEST_WITHIN`. For whoever puts several such lists
 * together before taking the `topK`.
 */
export function topKCandidates(x: Tensor, k: Tensor): Tensor {
  return candidatesOp([x, k], null);
}

function refuseOther(name: string, x: TensorType, k: TensorType): void {
  if (k.dtype !== "int64" || k.shape.length !== 1)
    throw shapeError(name, [x, k], "x and an int64 vector of length k");
}

/** Elements of the largest blocks. */
export const LARGEST_WITHIN = 16;

/** Elements of a row below which blocks are not worth their trouble. */
const NARROW = 1024;

/** Elements of a block, where blocks make up the rows of such a tensor; 1 where none do. */
function blockSize(shape: Shape): number {
  const [, width] = shape;
  if (shape.length !== 2 || typeof width !== "number" || width < NARROW) return 1;
  return [LARGEST_WITHIN, 15, 14, 13, 12, 11, 10, 9, 8].find((size) => width % size === 0) ?? 1;
}

/**
 * `TopK` goes through elements one by one. The largest of each block find, many at a time, the k blocks that hold the k
 * largest of all. Block b is made of the elements b, b + blocks, b + 2·blocks, …: so maxima are taken of whole rows.
 */
function emitCandidates(onnx: Emitter, x: string, count: string, shape: Shape): string {
  const size = blockSize(shape);
  const blocks = (shape[1] as number) / size;
  const rows = onnx.emit("Reshape", [x, onnx.constant([0, size, blocks])])[0]!;
  const largest = onnx.emit("ReduceMax", [rows, onnx.constant([1])], {
    attributes: { keepdims: { int: 0 } },
  })[0]!;
  const kept = onnx.emit("Min", [count, onnx.constant([blocks])])[0]!;
  const [, found] = onnx.emit("TopK", [largest, kept], { outputs: 2 });
  const starts = Array.from({ length: size }, (_, i) => i * blocks);
  const places = onnx.emit("Add", [
    onnx.emit("Unsqueeze", [found!, onnx.constant([2])])[0]!,
    onnx.constant(starts),
  ])[0]!;
  return onnx.emit("Reshape", [places, onnx.constant([0, -1])])[0]!;
}
