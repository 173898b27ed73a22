import type { HostTensor } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { sharedStretches } from "./shared-memory.js";

/** Shapes of parameters by name. */
export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

type FloatTensor = HostTensor & { readonly data: Float32Array };

/** A tensor for every parameter, in few long stretches of shared memory: an optimiser walks them in one loop each. */
export interface FlatTensors {
  readonly stretches: readonly Float32Array[];
  /** Views into the stretches, by parameter name. */
  readonly tensors: Readonly<Record<string, FloatTensor>>;
}

/** What a step of the optimiser reads and writes. The stretches of all have the same lengths. */
export interface TrainingMemory {
  /** `tensors` are all parameters of the model; `stretches` hold those that are trained. */
  readonly parameters: FlatTensors;
  readonly gradients: FlatTensors;
  /** AdamW's means of gradients and of their squares. */
  readonly mean: FlatTensors;
  readonly square: FlatTensors;
}

/**
 * Zeroed memory for training.
 * @param shapes of all parameters
 * @param trainable of those that are trained: only they have gradients and moments
 */
export function allocateTraining(shapes: ParameterShapes, trainable: ParameterShapes): TrainingMemory {
  const [parameters, gradients, mean, square] = allocateTogether(trainable, 4) as [
    FlatTensors,
    FlatTensors,
    FlatTensors,
    FlatTensors,
  ];
  const frozen = new Map([...shapes].filter(([name]) => !trainable.has(name)));
  const all = { ...allocateFlat(frozen).tensors, ...parameters.tensors };
  return { parameters: { stretches: parameters.stretches, tensors: all }, gradients, mean, square };
}

export function allocateFlat(shapes: ParameterShapes): FlatTensors {
  return allocateTogether(shapes, 1)[0]!;
}

/** The most elements of a stretch: four of them fit the memory that a WebAssembly loop can address. */
const MAX_STRETCH = 2 ** 28 - 2 ** 14;

/** Several tensors for every parameter; those in one place of the stretches lie in one memory. */
function allocateTogether(shapes: ParameterShapes, count: number): FlatTensors[] {
  const made = Array.from({ length: count }, () => ({
    stretches: [] as Float32Array[],
    tensors: {} as Record<string, FloatTensor>,
  }));
  for (const group of groups(shapes)) {
    const sizes = group.map(([, shape]) => elements(shape));
    const stretches = sharedStretches(
      count,
      sizes.reduce((a, b) => a + b, 0),
    );
    made.forEach((flat, i) => {
      const stretch = stretches[i]!;
      flat.stretches.push(stretch);
      let start = 0;
      group.forEach(([name, shape], j) => {
        flat.tensors[name] = { dtype: "float32", shape, data: stretch.subarray(start, start + sizes[j]!) };
        start += sizes[j]!;
      });
    });
  }
  return made;
}

type Entry = readonly [name: string, shape: readonly number[]];

/** Parameters in their order, as many together as a stretch takes. */
function groups(shapes: ParameterShapes): Entry[][] {
  const all: Entry[][] = [];
  let room = 0;
  for (const entry of shapes) {
    const size = elements(entry[1]);
    if (size > room || all.length === 0) {
      all.push([]);
      room = MAX_STRETCH;
    }
    all.at(-1)!.push(entry);
    room -= size;
  }
  return all;
}

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/**
 * Copies a parameter's values into place, checking that they are as many as it has.
 * @throws {LingolensError} `checkpoint-mismatch`
 */
export function fillTensor({ tensors }: FlatTensors, name: string, values: Float32Array | undefined): void {
  const tensor = tensors[name]!;
  if (values?.length !== tensor.data.length) {
    const got = values ? `${values.length}` : "nothing";
    throw new LingolensError(
      "checkpoint-mismatch",
      `${name}: expected ${tensor.data.length} values; got ${got}. Was this checkpoint made with another recipe?`,
    );
  }
  tensor.data.set(values);
}
