import { LingolensError } from "../errors.js";
import { type EncodeOptions, encodeProgram, type Program, programInputs } from "../graph/onnx.js";
import { type Dimension, evaluateDimension, formatShape, type Shape } from "../graph/shape.js";
import type { CompileOptions, DType, Engine, Executable, HostTensor, TensorData } from "./engine.js";

/** Feeds and results of a run, by name. */
export type HostTensors = Readonly<Record<string, HostTensor>>;

/** A program ready to run. Unlike an `Executable` it finds out the outputs' sizes and allocates them. */
export interface CompiledProgram {
  /**
   * Runs once. Parameters that were not given a location when the program was compiled are fed like inputs.
   * @param into memory for some of the outputs; the others are allocated.
   */
  run(feeds: HostTensors, into?: Readonly<Record<string, TensorData>>): Promise<HostTensors>;
  close(): Promise<void>;
}

/** Encodes a program and compiles it on an engine. */
export async function compileProgram(
  engine: Engine,
  program: Program,
  options: CompileOptions & EncodeOptions = {},
): Promise<CompiledProgram> {
  const executable =
    options.dtype === "bf16"
      ? await compileBf16(engine, program, options)
      : await engine.compile(encodeProgram(program, options), options);
  const shapes = [...programInputs(program)].map(([name, { shape }]) => ({ name, shape }));
  const outputs = Object.entries(program.outputs);

  return {
    async run(feeds, into = {}) {
      const sizes = bindSizes(shapes, feeds);
      const results: Record<string, HostTensor> = {};
      for (const [name, { dtype, shape }] of outputs) {
        const concrete = shape.map((dimension) => evaluateDimension(dimension, sizes));
        const count = concrete.reduce((a, b) => a * b, 1);
        results[name] = {
          dtype,
          shape: concrete,
          data: into[name]?.subarray(0, count) ?? allocate(dtype, count),
        };
      }
      await executable.run(feeds, results);
      return results;
    },
    close: () => executable.close(),
  };
}

function compileBf16(
  engine: Engine,
  program: Program,
  options: CompileOptions & EncodeOptions,
): Promise<Executable> {
  if (!engine.compileGraph)
    throw new LingolensError("option-unsupported", `${engine.description} has no products in bf16.`);
  if (options.weights)
    throw new LingolensError("option-unsupported", "Weights in files cannot be multiplied in bf16.");
  return engine.compileGraph(program, options);
}

/** Sizes of the named dimensions, read off what is fed; the inputs must agree on them. */
function bindSizes(
  inputs: readonly { name: string; shape: Shape }[],
  feeds: HostTensors,
): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { name, shape } of inputs) {
    const fed = feeds[name];
    if (!fed)
      throw new LingolensError(
        "shape-mismatch",
        `The program's input "${name}" ${formatShape(shape)} was not fed.`,
      );
    shape.forEach((dimension, axis) => {
      const size = fed.shape[axis];
      if (isName(dimension) && size !== undefined && !sizes.has(dimension)) sizes.set(dimension, size);
    });
  }
  for (const { name, shape } of inputs) {
    const got = feeds[name]!.shape;
    const fits =
      got.length === shape.length && shape.every((d, axis) => evaluateDimension(d, sizes) === got[axis]);
    if (!fits) {
      const known = [...sizes].map(([dimension, size]) => `${dimension} = ${size}`).join(", ");
      throw new LingolensError(
        "shape-mismatch",
        `Input "${name}": expected ${formatShape(shape)}${known && ` with ${known}`}; got ${formatShape(got)}.`,
      );
    }
  }
  return sizes;
}

const isName = (dimension: Dimension): dimension is string =>
  typeof dimension === "string" && /^\w+$/.test(dimension);

/** Zeroed memory for so many elements. */
export function allocate(dtype: DType, count: number): TensorData {
  switch (dtype) {
    case "float32":
      return new Float32Array(count);
    case "int64":
      return new BigInt64Array(count);
    case "int32":
      return new Int32Array(count);
    case "int8":
      return new Int8Array(count);
    case "float16":
    case "bfloat16":
      return new Uint16Array(count);
    case "uint8":
    case "bool":
      return new Uint8Array(count);
  }
}
