import type { HostTensor } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { sharedStretches } from "../shared-memory.js";
import { type Ranks, type Share, shareOf } from "./collective/collective.js";
import { oneProcess } from "./collective/one-process.js";

/** Shapes of parameters by name. */
export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

type FloatTensor = HostTensor & { readonly data: Float32Array };

/** Long arrays of shared memory: an optimiser walks each in one loop. */
export interface Stretches {
  readonly stretches: readonly Float32Array[];
  /** For each stretch its numbers in bf16, of which the tensors' `rounded` are views, where they are kept. */
  readonly rounded?: readonly Uint16Array[];
}

/** A tensor for every parameter, in few stretches. */
export interface FlatTensors extends Stretches {
  /** Views into the stretches, by parameter name. */
  readonly tensors: Readonly<Record<string, FloatTensor>>;
}

/** What a step of the optimiser reads and writes. */
export interface TrainingMemory {
  /** `tensors` are all parameters of the model; `stretches` hold those that are trained. */
  readonly parameters: FlatTensors;
  /** In stretches of the same lengths. */
  readonly gradients: FlatTensors;
  /** AdamW's means of gradients and of their squares: of every stretch, this rank's share. */
  readonly mean: Stretches;
  readonly square: Stretches;
}

/**
 * Zeroed memory for training.
 * @param shapes of all parameters
 * @param trainable of those that are trained: only they have gradients and moments
 * @param ranks whose share of the moments this is. Default: one process has them all
 * @param rounded whether parameters have copies in bf16, which `roundParameters` and `adamWStep` write
 */
export function allocateTraining(
  shapes: ParameterShapes,
  trainable: ParameterShapes,
  ranks: Ranks = oneProcess,
  rounded = false,
): TrainingMemory {
  const [parameters, gradients] = [emptyFlat(rounded), emptyFlat()];
  const [mean, square] = [[] as Float32Array[], [] as Float32Array[]];
  for (const group of groups(trainable, rounded ? BYTES_WITH_COPY : BYTES)) {
    const count = elementsOf(group);
    const share = shareOf(count, ranks);
    // Places that belong together lie alike in their pages (see `sharedStretches`).
    const before = share.start % FLOATS_OF_A_PAGE;
    const moments = before + share.end - share.start;
    // A copy that the loop writes where the rest is costs it next to nothing; the original's embedding leaves no room.
    const copied = rounded && BYTES_WITH_COPY * count <= ADDRESSABLE ? [halves(count)] : [];
    const [p, g, m, s, copy] = sharedStretches([count, count, moments, moments, ...copied]) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array?,
    ];
    addStretch(parameters, p, group, copy);
    addStretch(gradients, g, group);
    mean.push(m.subarray(before));
    square.push(s.subarray(before));
  }
  const frozen = new Map([...shapes].filter(([name]) => !trainable.has(name)));
  const all = { ...allocateFlat(frozen, rounded).tensors, ...parameters.tensors };
  return {
    parameters: { ...parameters, tensors: all },
    gradients,
    mean: { stretches: mean },
    square: { stretches: square },
  };
}

/** @param rounded whether there are copies in bf16 */
export function allocateFlat(shapes: ParameterShapes, rounded = false): FlatTensors {
  const flat = emptyFlat(rounded);
  for (const group of groups(shapes, BYTES))
    addStretch(flat, sharedStretches([elementsOf(group)])[0]!, group);
  return flat;
}

/** What the optimiser of a rank works on: of every stretch, its share. */
export function shareOfMemory(
  { parameters, gradients, mean, square }: TrainingMemory,
  ranks: Ranks,
): Readonly<Record<keyof TrainingMemory, Stretches>> {
  const part = <T extends Float32Array | Uint16Array>(stretch: T) => {
    const { start, end } = shareOf(stretch.length, ranks);
    return stretch.subarray(start, end) as T;
  };
  const share = ({ stretches, rounded }: Stretches) => ({
    stretches: stretches.map(part),
    ...(rounded && { rounded: rounded.map(part) }),
  });
  return { parameters: share(parameters), gradients: share(gradients), mean, square };
}

/** Of a parameter, its gradient and moments, without and with a copy in bf16. */
const BYTES = 16;
const BYTES_WITH_COPY = 18;

/** What a WebAssembly loop can address, but for what alignment and its own memory take. */
const ADDRESSABLE = 2 ** 32 - 2 ** 24;

interface Growing extends FlatTensors {
  readonly stretches: Float32Array[];
  readonly rounded?: Uint16Array[];
  readonly tensors: Record<string, FloatTensor>;
}

const emptyFlat = (rounded = false): Growing => ({
  stretches: [],
  tensors: {},
  ...(rounded && { rounded: [] }),
});

function addStretch(
  { stretches, rounded, tensors }: Growing,
  stretch: Float32Array,
  group: readonly Entry[],
  /** For the copy in bf16. Default: memory of its own. */
  memory?: Float32Array,
): void {
  stretches.push(stretch);
  const copy = rounded && bf16Numbers(stretch.length, memory);
  if (copy) rounded.push(copy);
  let start = 0;
  for (const [name, shape] of group) {
    const end = start + elements(shape);
    tensors[name] = {
      dtype: "float32",
      shape,
      data: stretch.subarray(start, end),
      ...(copy && { rounded: copy.subarray(start, end) }),
    };
    start = end;
  }
}

function bf16Numbers(
  count: number,
  memory = sharedStretches([halves(count)])[0] as Float32Array,
): Uint16Array {
  return new Uint16Array(memory.buffer, memory.byteOffset, count);
}

/** Floats whose memory so many numbers in bf16 take. */
const halves = (count: number): number => Math.ceil(count / 2);

type Entry = readonly [name: string, shape: readonly number[]];

/**
 * Parameters in their order, as many together as a WebAssembly loop can work on.
 * @param bytes of an element in all arrays of the loop
 */
function groups(shapes: ParameterShapes, bytes: number): Entry[][] {
  const all: Entry[][] = [];
  let room = 0;
  for (const entry of shapes) {
    const size = elements(entry[1]);
    if (size > room || all.length === 0) {
      all.push([]);
      room = Math.floor(ADDRESSABLE / bytes);
    }
    all.at(-1)!.push(entry);
    room -= size;
  }
  return all;
}

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const elementsOf = (group: readonly Entry[]): number =>
  group.reduce((sum, [, shape]) => sum + elements(shape), 0);

/** Elements of a page of memory. */
const FLOATS_OF_A_PAGE = 1024;

/**
 * Copies a parameter's values into place, checking that they are as many as it has.
 * @throws {LingolensError} `checkpoint-mismatch`
 */
export function fillTensor({ tensors }: FlatTensors, name: string, values: Float32Array | undefined): void {
  const { data } = tensors[name]!;
  checkCount(name, values, data.length);
  data.set(values);
}

/**
 * Copies what a rank keeps of a parameter's moment into its share of the stretches; it may be nothing.
 * @param flat tensors that lie as the parameters do, such as the gradients
 * @throws {LingolensError} `checkpoint-mismatch`
 */
export function fillShare(
  { stretches }: Stretches,
  { stretches: whole, tensors }: FlatTensors,
  name: string,
  values: Float32Array,
  ranks: Ranks,
): void {
  const { data } = tensors[name]!;
  checkCount(name, values, data.length);
  const { at, first } = placeOf(whole, data);
  const own = shareOf(whole[at]!.length, ranks);
  const common: Share = {
    start: Math.max(first, own.start),
    end: Math.min(first + data.length, own.end),
  };
  if (common.start < common.end)
    stretches[at]!.set(values.subarray(common.start - first, common.end - first), common.start - own.start);
}

/** The stretch that a tensor is a view of, and where in it the tensor begins. */
function placeOf(stretches: readonly Float32Array[], data: Float32Array): { at: number; first: number } {
  const at = stretches.findIndex(({ buffer }) => buffer === data.buffer);
  return { at, first: (data.byteOffset - stretches[at]!.byteOffset) / data.BYTES_PER_ELEMENT };
}

/** A view of what stretches hold of a tensor, where one process holds all. */
export function partOf(
  { stretches }: Stretches,
  { stretches: whole, tensors }: FlatTensors,
  name: string,
): Float32Array {
  const { data } = tensors[name]!;
  const { at, first } = placeOf(whole, data);
  return stretches[at]!.subarray(first, first + data.length);
}

function checkCount(
  name: string,
  values: Float32Array | undefined,
  expected: number,
): asserts values is Float32Array {
  if (values?.length === expected) return;
  const got = values ? `${values.length}` : "nothing";
  throw new LingolensError(
    "checkpoint-mismatch",
    `${name}: expected ${expected} values; got ${got}. Was this checkpoint made with another recipe?`,
  );
}
