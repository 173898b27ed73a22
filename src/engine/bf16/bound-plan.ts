import { LingolensError } from "../../errors.js";
import { onnxElementType } from "../../graph/ops/elementwise.js";
import type { Sizes } from "../../graph/shape.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Pointer } from "../../native-library.js";
import type { HostTensor, TensorData } from "../engine.js";
import { ARGUMENT, type MatrixType, type OneDnnApi } from "../onednn/onednn-api.js";
import type { OnnxRuntimeApi } from "../onnxruntime-api.js";
import { BYTES } from "../signature.js";
import { CALL_WORDS, EXECUTE, RUN } from "./call-thread.js";
import { type MemoryPlan, planMemory, type Span } from "./memory-plan.js";
import { addressOf, NativeWords, numberedNames, sharedWords } from "./native-words.js";
import { isLeaf } from "./operands.js";
import type { SegmentStep } from "./partition.js";
import { type Argument, type PrimitiveWork, type Work, type WorkContext, WorkList } from "./work-list.js";

/** What plans of one program share. */
export interface PlanContext extends WorkContext {
  readonly runtime: OnnxRuntimeApi;
  /** Describes the caller's memory to ONNX Runtime. */
  readonly memory: Pointer;
  readonly oneDnn: OneDnnApi;
  /** The session of every segment. */
  readonly sessions: ReadonlyMap<SegmentStep["program"], Pointer>;
}

/** A tensor of the caller's: an input, or its copy in bf16, or an output. */
type Place = `${"input" | "rounded" | "output"}:${string}`;

/** Reads of the caller's memory change with every run, the rest stays. */
interface Binding {
  bound: TensorData | undefined;
  readonly bind: (data: TensorData) => void;
}

const INPUT_NAMES = numberedNames("i");
const OUTPUT_NAMES = numberedNames("o");

/** A program for inputs of certain sizes: a list of native calls over one stretch of memory. */
export class BoundPlan {
  /** To be made one after the other. */
  calls = sharedWords(0);
  readonly #plan: MemoryPlan;
  readonly #list: WorkList;
  readonly #work: readonly Work[];
  readonly #spans: Span[] = [];
  /** Indices of spans: of values in float32 (or whatever they are), of copies in bf16, of scratchpads. */
  readonly #values = new Map<Tensor, number>();
  readonly #copies = new Map<Tensor, number>();
  readonly #scratchpads = new Map<Work, number>();
  /** The outputs that tensors are, and outputs that are the same as another output or an input. */
  readonly #outputs = new Map<Tensor, string>();
  readonly #repeated: { readonly name: string; readonly from: Place }[] = [];
  readonly #bindings = new Map<Place, Binding[]>();
  readonly #memories: Pointer[] = [];
  /** ONNX Runtime's tensors, by the word that holds the address of each. */
  readonly #tensors: { readonly words: BigUint64Array; readonly index: number }[] = [];
  readonly #words = new NativeWords();
  /** Bytes that nothing reads: tensors whose sizes alone matter. */
  readonly #nothing: Uint8Array;
  #arena: Uint8Array = new Uint8Array(0);

  /**
   * @param sizes of named dimensions
   * @param rounded names of inputs that come with a copy in bf16
   */
  constructor(
    private readonly context: PlanContext,
    private readonly sizes: Sizes,
    rounded: ReadonlySet<string>,
  ) {
    for (const [name, tensor] of context.partition.results) {
      const known = this.#outputs.get(tensor);
      if (isLeaf(tensor)) this.#repeated.push({ name, from: `input:${nameOf(tensor)}` });
      else if (known !== undefined) this.#repeated.push({ name, from: `output:${known}` });
      else this.#outputs.set(tensor, name);
    }
    this.#nothing = new Uint8Array(new SharedArrayBuffer(Math.max(1, ...sizes.values())));
    this.#list = new WorkList(context, sizes, rounded);
    this.#work = this.#list.work;
    this.#findSpans();
    this.#plan = planMemory(this.#spans);
  }

  /** Of memory that it works in. */
  get bytes(): number {
    return this.#plan.total;
  }

  /** When each piece of memory is first written and last read. */
  #findSpans(): void {
    const open = (map: Map<Tensor, number>, tensor: Tensor, elementBytes: number, at: number) => {
      const bytes = elementBytes * this.#list.shape(tensor.shape).reduce((x, y) => x * y, 1);
      map.set(tensor, this.#spans.push({ bytes, first: at, last: at }) - 1);
    };
    const extend = (map: Map<Tensor, number>, tensor: Tensor, at: number) => {
      const index = map.get(tensor);
      if (index !== undefined) this.#spans[index] = { ...this.#spans[index]!, last: at };
    };
    this.#work.forEach((work, at) => {
      const write = (tensor: Tensor) => {
        if (!this.#outputs.has(tensor)) open(this.#values, tensor, BYTES[tensor.dtype], at);
      };
      if (work.kind === "segment") {
        for (const { source } of work.step.inputs) extend(this.#values, source, at);
        for (const tensor of work.step.outputs) write(tensor);
        return;
      }
      const { primitive, reads, writes, over } = work;
      for (const { what, copy } of reads)
        if (typeof what !== "bigint") extend(copy ? this.#copies : this.#values, what, at);
      const result = writes.what as Tensor;
      if (over) {
        extend(this.#values, over, at);
        const index = this.#values.get(over);
        if (index !== undefined) this.#values.set(result, index);
      } else if (writes.copy) open(this.#copies, result, BYTES.bfloat16, at);
      else write(result);
      const bytes = primitive.scratchpadBytes;
      if (bytes > 0) this.#scratchpads.set(work, this.#spans.push({ bytes, first: at, last: at }) - 1);
    });
  }

  /** Makes the calls over memory that has at least `bytes`. Done again, it replaces the calls. */
  bind(arena: Uint8Array): void {
    this.#release();
    this.#arena = arena;
    this.calls = sharedWords(CALL_WORDS * this.#work.length);
    this.#work.forEach((work, at) => {
      this.calls.set(
        work.kind === "segment" ? this.#segmentCall(work.step) : this.#primitiveCall(work),
        CALL_WORDS * at,
      );
    });
  }

  #primitiveCall(work: PrimitiveWork): bigint[] {
    const { pointer, scratchpadBytes } = work.primitive;
    const args = [...work.reads, work.writes].map(
      (argument) => [argument.place, this.#argumentMemory(argument)] as [number, Pointer],
    );
    const scratchpad = this.#scratchpads.get(work);
    if (scratchpad !== undefined) {
      const memory = this.context.oneDnn.scratchpad(
        scratchpadBytes,
        addressOf(this.#arena) + BigInt(this.#plan.offsets[scratchpad]!),
      );
      this.#memories.push(memory);
      args.push([ARGUMENT.scratchpad, memory]);
    }
    const words = this.#words.take(2 * args.length);
    words.set(args.flatMap(([place, memory]) => [BigInt(place), memory]));
    return [EXECUTE, pointer, this.context.oneDnn.stream, BigInt(args.length), addressOf(words)];
  }

  #argumentMemory({ what, copy, type }: Argument): Pointer {
    if (typeof what === "bigint") return this.#memory(type, what);
    if (copy) {
      if (this.#list.isRounded(what)) return this.#callersMemory(`rounded:${nameOf(what)}`, type);
      return this.#arenaMemory(this.#copies.get(what)!, type);
    }
    const constant = this.context.constants?.plain(what);
    if (constant) return this.#memory(type, addressOf(constant));
    const place = this.#placeOf(what);
    return place ? this.#callersMemory(place, type) : this.#arenaMemory(this.#values.get(what)!, type);
  }

  /** Where the caller has a tensor that is no constant; undefined where it is the plan's own. */
  #placeOf(tensor: Tensor): Place | undefined {
    if (isLeaf(tensor)) return `input:${nameOf(tensor)}`;
    const output = this.#outputs.get(tensor);
    return output === undefined ? undefined : `output:${output}`;
  }

  #arenaMemory(span: number, type: MatrixType): Pointer {
    return this.#memory(type, addressOf(this.#arena) + BigInt(this.#plan.offsets[span]!));
  }

  #memory(type: MatrixType, address: Pointer): Pointer {
    const memory = this.context.oneDnn.memory(type, address);
    this.#memories.push(memory);
    return memory;
  }

  #callersMemory(place: Place, type: MatrixType): Pointer {
    const memory = this.#memory(type, addressOf(this.#nothing));
    this.#onBind(place, (data) => this.context.oneDnn.moveMemory(memory, addressOf(data)));
    return memory;
  }

  #segmentCall({ program, inputs, outputs }: SegmentStep): bigint[] {
    const { partition, sessions } = this.context;
    const count = inputs.length + partition.sizes.length;
    const [read, written] = [this.#words.take(count), this.#words.take(outputs.length)];
    if (count > INPUT_NAMES.count || outputs.length > OUTPUT_NAMES.count)
      throw new LingolensError(
        "option-unsupported",
        "A part of the program between two products has too many tensors.",
      );
    for (const [i, { source, shape }] of inputs.entries())
      this.#setTensor(read, i, source, this.#list.shape(shape));
    for (const [i, name] of partition.sizes.entries()) {
      const size = this.sizes.get(name)!;
      this.#makeTensor(read, inputs.length + i, this.#nothing.subarray(0, size), [size], "uint8");
    }
    for (const [i, tensor] of outputs.entries())
      this.#setTensor(written, i, tensor, this.#list.shape(tensor.shape));
    return [
      RUN,
      sessions.get(program)!,
      INPUT_NAMES.address,
      addressOf(read),
      BigInt(count),
      OUTPUT_NAMES.address,
      BigInt(outputs.length),
      addressOf(written),
    ];
  }

  #setTensor(words: BigUint64Array, index: number, tensor: Tensor, shape: readonly number[]): void {
    const { dtype } = tensor;
    const constant = this.context.constants?.plain(tensor);
    const place = this.#placeOf(tensor);
    if (constant) this.#makeTensor(words, index, constant, shape, dtype);
    else if (place) {
      words[index] = 0n;
      this.#onBind(place, (data) => this.#makeTensor(words, index, data, shape, dtype));
    } else {
      const start = this.#plan.offsets[this.#values.get(tensor)!]!;
      const bytes = BYTES[dtype] * shape.reduce((x, y) => x * y, 1);
      this.#makeTensor(words, index, this.#arena.subarray(start, start + bytes), shape, dtype);
    }
  }

  #makeTensor(
    words: BigUint64Array,
    index: number,
    data: ArrayBufferView,
    shape: readonly number[],
    dtype: Tensor["dtype"],
  ): void {
    const { runtime, memory } = this.context;
    if (words[index]) runtime.releaseTensor(words[index]!);
    else this.#tensors.push({ words, index });
    words[index] = runtime.createTensor(memory, data, shape, onnxElementType(dtype));
  }

  #onBind(place: Place, bind: (data: TensorData) => void): void {
    const bindings = this.#bindings.get(place);
    const binding = { bound: undefined, bind };
    if (bindings) bindings.push(binding);
    else this.#bindings.set(place, [binding]);
  }

  /** Points the calls to the caller's tensors, which must be kept until they are made. */
  point(inputs: Readonly<Record<string, HostTensor>>, outputs: Readonly<Record<string, HostTensor>>): void {
    for (const [place, bindings] of this.#bindings) {
      const [kind, name] = split(place);
      const tensor = (kind === "output" ? outputs : inputs)[name]!;
      const data = kind === "rounded" ? tensor.rounded! : tensor.data;
      for (const binding of bindings) {
        if (sameMemory(binding.bound, data)) continue;
        binding.bind(data);
        binding.bound = data;
      }
    }
  }

  /** After the calls: outputs that are the same as another or as an input. */
  repeat(inputs: Readonly<Record<string, HostTensor>>, outputs: Readonly<Record<string, HostTensor>>): void {
    for (const { name, from } of this.#repeated) {
      const [kind, source] = split(from);
      outputs[name]!.data.set((kind === "output" ? outputs : inputs)[source]!.data as never);
    }
  }

  #release(): void {
    for (const { words, index } of this.#tensors.splice(0)) this.context.runtime.releaseTensor(words[index]!);
    for (const memory of this.#memories.splice(0)) this.context.oneDnn.destroyMemory(memory);
    this.#bindings.clear();
  }

  close(): void {
    this.#release();
    for (const work of this.#work)
      if (work.kind === "primitive") this.context.primitives.giveBack(work.primitive);
  }
}

const nameOf = ({ node }: Tensor): string => (node.attributes as { name: string }).name;

function split(place: Place): [kind: string, name: string] {
  const at = place.indexOf(":");
  return [place.slice(0, at), place.slice(at + 1)];
}

function sameMemory(a: TensorData | undefined, b: TensorData): boolean {
  return (
    a !== undefined && a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.byteLength === b.byteLength
  );
}
