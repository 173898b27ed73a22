import { parameterOp, type Tensor } from "../../graph/tensor.js";
import type { Pointer } from "../../native-library.js";
import { sharedBytes } from "../../shared-memory.js";
import type { ReadConstant } from "../engine.js";
import { ARGUMENT, checkStatus, type MatrixType, type OneDnnApi } from "../onednn/onednn-api.js";
import { CALL_WORDS, type CallThread, EXECUTE } from "./call-thread.js";
import { addressOf, sharedWords } from "./native-words.js";
import type { Operand } from "./operands.js";
import type { Partition } from "./partition.js";

/** Weights that never change, kept as the programs over them read them: packed in bf16 for products, as they are for the rest. */
export class Constants {
  readonly #packed = new Map<string, Pointer>();
  readonly #plain = new Map<string, Float32Array>();
  /** Memory that addresses point into. */
  readonly #kept: Uint8Array[] = [];
  #adding: Promise<void> = Promise.resolve();

  constructor(
    private readonly api: OneDnnApi,
    private readonly read: ReadConstant,
  ) {}

  /** Reads and packs what a program needs and is not there yet. */
  add(partition: Partition, thread: CallThread): Promise<void> {
    const adding = this.#adding.then(() => this.#add(partition, thread));
    this.#adding = adding.catch(() => {});
    return adding;
  }

  async #add({ steps }: Partition, thread: CallThread): Promise<void> {
    const plain = new Set<string>();
    const packed = new Map<string, Operand>();
    const needPlain = (tensor: Tensor) => {
      if (isConstant(tensor) && !this.#plain.has(nameOf(tensor))) plain.add(nameOf(tensor));
    };
    for (const step of steps) {
      if (step.kind === "segment") for (const { source } of step.inputs) needPlain(source);
      else if (step.kind === "product") {
        needPlain(step.a.source);
        if (step.bias) needPlain(step.bias);
        if (isConstant(step.b.source) && !this.#packed.has(keyOf(step.b))) packed.set(keyOf(step.b), step.b);
      } else if (step.kind === "rows" && step.norm) {
        needPlain(step.norm.weight);
        needPlain(step.norm.bias);
      }
    }
    for (const name of plain) this.#plain.set(name, await this.read(name));

    // A weight that is packed in parts is read once.
    const operands = [...packed.values()].sort((a, b) => (nameOf(a.source) < nameOf(b.source) ? -1 : 1));
    const sizes = operands.map((operand) => this.api.bytes(packedType(operand)));
    const memory = sharedBytes(sizes.reduce((sum, bytes) => sum + aligned(bytes), 0));
    this.#kept.push(memory);
    let start = addressOf(memory);
    let read: { readonly name: string; readonly data: Float32Array } | undefined;
    for (const [i, operand] of operands.entries()) {
      const name = nameOf(operand.source);
      if (read?.name !== name) read = { name, data: this.#plain.get(name) ?? (await this.read(name)) };
      await this.#pack(operand, read.data, start, thread);
      this.#packed.set(keyOf(operand), start);
      start += BigInt(aligned(sizes[i]!));
    }
  }

  async #pack(operand: Operand, data: Float32Array, to: Pointer, thread: CallThread): Promise<void> {
    const { api } = this;
    const { type: from, start } = lying(operand);
    const primitive = api.conversion(from, packedType(operand));
    const args: [number, Pointer][] = [
      [ARGUMENT.source, api.memory(from, addressOf(data) + BigInt(start * data.BYTES_PER_ELEMENT))],
      [ARGUMENT.destination, api.memory(packedType(operand), to)],
    ];
    const scratch = new Uint8Array(primitive.scratchpadBytes);
    if (scratch.length > 0)
      args.push([ARGUMENT.scratchpad, api.scratchpad(scratch.length, addressOf(scratch))]);
    const words = sharedWords(2 * args.length);
    words.set(args.flatMap(([place, memory]) => [BigInt(place), memory]));
    const call = sharedWords(CALL_WORDS);
    call.set([EXECUTE, primitive.pointer, api.stream, BigInt(args.length), addressOf(words)]);
    try {
      const failure = await thread.run(call);
      if (failure) checkStatus(Number(failure.status));
    } finally {
      for (const [, memory] of args) api.destroyMemory(memory);
      api.destroyPrimitive(primitive);
    }
  }

  /** Where a product's second matrix lies packed; undefined for one that does not. */
  packed(operand: Operand): Pointer | undefined {
    return isConstant(operand.source) ? this.#packed.get(keyOf(operand)) : undefined;
  }

  /** The numbers of a constant; undefined for another tensor. */
  plain(tensor: Tensor): Float32Array | undefined {
    return isConstant(tensor) ? this.#plain.get(nameOf(tensor)) : undefined;
  }
}

/** Of a program whose parameters are constants. */
const isConstant = ({ node }: Tensor): boolean => node.op === parameterOp;

const nameOf = ({ node }: Tensor): string => (node.attributes as { name: string }).name;

/** The second matrix of a product with a constant. */
export const packedType = ({ rows, columns }: Operand): MatrixType => ({
  rows: rows as number,
  columns: columns as number,
  dtype: "bfloat16",
  packed: true,
});

/** How a constant's matrix lies in memory, and the place of its first number. */
function lying({ rows, columns, transposed, part }: Operand): { type: MatrixType; start: number } {
  const type = { rows: rows as number, columns: columns as number, dtype: "float32" } as const;
  if (!part) return { type: { ...type, transposed }, start: 0 };
  const [row, column] = transposed ? [1, part.of.rows] : [part.of.columns, 1];
  const start = part.start * (part.axis === "rows" ? row : column);
  return { type: { ...type, stack: { sizes: [], strides: [row, column] } }, start };
}

const keyOf = ({ source, rows, columns, transposed, part }: Operand): string =>
  `${nameOf(source)}:${rows}:${columns}:${transposed}:${part?.axis}:${part?.start}`;

/** Whole lines of the processor's cache. */
const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64;
