import { LingolensError } from "../../errors.js";
import { onnxElementType } from "../../graph/ops/elementwise.js";
import { type Dimension, evaluateDimension, type Shape, type Sizes } from "../../graph/shape.js";
import type { Tensor } from "../../graph/tensor.js";
import type { HostTensor, TensorData } from "../engine.js";
import { ARGUMENT, type MatrixType, type OneDnnApi, type Primitive } from "../onednn/onednn-api.js";
import type { Primitives } from "../onednn/primitives.js";
import type { OnnxRuntimeApi, Pointer } from "../onnxruntime-api.js";
import { BYTES } from "../signature.js";
import { CALL_WORDS, EXECUTE, RUN } from "./call-thread.js";
import { type Constants, packedType } from "./constants.js";
import { type MemoryPlan, planMemory, type Span } from "./memory-plan.js";
import { addressOf, NativeWords, numberedNames, sharedWords } from "./native-words.js";
import type { Partition, SegmentStep } from "./partition.js";
import { isLeaf, type Operand, type ProductStep } from "./products.js";

/** What plans of one program share. */
export interface PlanContext {
  readonly runtime: OnnxRuntimeApi;
  /** Describes the caller's memory to ONNX Runtime. */
  readonly memory: Pointer;
  readonly oneDnn: OneDnnApi;
  readonly primitives: Primitives;
  readonly partition: Partition;
  /** The session of every segment. */
  readonly sessions: ReadonlyMap<SegmentStep["program"], Pointer>;
  /** The parameters' numbers, where they do not change and are not fed. */
  readonly constants?: Constants | undefined;
}

/** A tensor of the caller's: an input, or its copy in bf16, or an output. */
type Place = `${"input" | "rounded" | "output"}:${string}`;

/** A step with all its sizes, and a conversion wherever a product reads what is only there in float32. */
type Work =
  | { readonly kind: "conversion"; readonly source: Tensor; readonly primitive: Primitive }
  | { readonly kind: "product"; readonly step: ProductStep; readonly primitive: Primitive }
  | { readonly kind: "segment"; readonly step: SegmentStep };

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
  readonly #work: Work[] = [];
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
  readonly #known = new Map<Dimension, number>();
  #arena: Uint8Array = new Uint8Array(0);

  /**
   * @param sizes of named dimensions
   * @param rounded names of inputs that come with a copy in bf16
   */
  constructor(
    private readonly context: PlanContext,
    private readonly sizes: Sizes,
    private readonly rounded: ReadonlySet<string>,
  ) {
    const { steps, results } = context.partition;
    for (const [name, tensor] of results) {
      const known = this.#outputs.get(tensor);
      if (isLeaf(tensor)) this.#repeated.push({ name, from: `input:${nameOf(tensor)}` });
      else if (known !== undefined) this.#repeated.push({ name, from: `output:${known}` });
      else this.#outputs.set(tensor, name);
    }
    this.#nothing = new Uint8Array(new SharedArrayBuffer(Math.max(1, ...sizes.values())));
    for (const step of steps) {
      if (step.kind === "segment") this.#work.push({ kind: "segment", step });
      else this.#addProduct(step);
    }
    this.#findSpans();
    this.#plan = planMemory(this.#spans);
  }

  /** Of memory that it works in. */
  get bytes(): number {
    return this.#plan.total;
  }

  #addProduct(step: ProductStep): void {
    const { primitives } = this.context;
    const [a, b, out] = this.#types(step);
    if (out.rows * out.columns === 0) return;
    if (a.columns === 0)
      throw new LingolensError(
        "option-unsupported",
        "A product of matrices of no columns cannot be computed in bf16.",
      );
    for (const { source } of b.packed ? [step.a] : [step.a, step.b]) {
      if (this.#copies.has(source) || this.#isRounded(source)) continue;
      const primitive = primitives.conversion(this.#line(source, "float32"), this.#line(source, "bfloat16"));
      this.#copies.set(source, -1);
      this.#work.push({ kind: "conversion", source, primitive });
    }
    const bias: MatrixType | undefined = step.bias && { rows: 1, columns: out.columns, dtype: "float32" };
    const primitive = primitives.product(a, b, out, bias, step.activation);
    this.#work.push({ kind: "product", step, primitive });
    if (step.rounded) this.#copies.set(step.out, -1);
  }

  /** Of both operands and the result. */
  #types(step: ProductStep): [a: MatrixType, b: MatrixType, out: MatrixType] {
    const a = this.#matrix(step.a);
    const packed = this.context.constants?.packed(step.b) !== undefined;
    const b = packed ? packedType(step.b) : this.#matrix(step.b);
    return [a, b, { rows: a.rows, columns: b.columns, dtype: step.rounded ? "bfloat16" : "float32" }];
  }

  #isRounded(source: Tensor): boolean {
    return isLeaf(source) && this.rounded.has(nameOf(source));
  }

  #matrix({ rows, columns, transposed }: Operand): MatrixType {
    return { rows: this.#size(rows), columns: this.#size(columns), dtype: "bfloat16", transposed };
  }

  /** All elements of a tensor in one row. */
  #line({ shape }: Tensor, dtype: MatrixType["dtype"]): MatrixType {
    return { rows: 1, columns: this.#shape(shape).reduce((x, y) => x * y, 1), dtype };
  }

  #size(dimension: Dimension): number {
    if (typeof dimension === "number") return dimension;
    const size = this.#known.get(dimension) ?? evaluateDimension(dimension, this.sizes);
    this.#known.set(dimension, size);
    return size;
  }

  #shape(shape: Shape): number[] {
    return shape.map((dimension) => this.#size(dimension));
  }

  /** When each piece of memory is first written and last read. */
  #findSpans(): void {
    const open = (map: Map<Tensor, number>, tensor: Tensor, elementBytes: number, at: number) => {
      const bytes = elementBytes * this.#shape(tensor.shape).reduce((x, y) => x * y, 1);
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
      const read = (tensor: Tensor) => extend(this.#values, tensor, at);
      if (work.kind === "segment") {
        for (const { source } of work.step.inputs) read(source);
        for (const tensor of work.step.outputs) write(tensor);
        return;
      }
      if (work.kind === "conversion") {
        read(work.source);
        open(this.#copies, work.source, BYTES.bfloat16, at);
      } else {
        for (const { source } of [work.step.a, work.step.b]) extend(this.#copies, source, at);
        const { bias, out, rounded } = work.step;
        if (bias) read(bias);
        if (rounded) open(this.#copies, out, BYTES.bfloat16, at);
        else write(out);
      }
      const bytes = work.primitive.scratchpadBytes;
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

  #primitiveCall(work: Exclude<Work, { kind: "segment" }>): bigint[] {
    const { pointer, scratchpadBytes } = work.primitive;
    const args: [number, Pointer][] = [];
    if (work.kind === "conversion") {
      const { source } = work;
      args.push([ARGUMENT.source, this.#valueMemory(source, this.#line(source, "float32"))]);
      args.push([ARGUMENT.destination, this.#copyMemory(source, this.#line(source, "bfloat16"))]);
    } else {
      const { a, b, bias, out, rounded } = work.step;
      const [left, right, result] = this.#types(work.step);
      const { columns } = result;
      const packed = this.context.constants?.packed(b);
      const weights = packed === undefined ? this.#copyMemory(b.source, right) : this.#memory(right, packed);
      args.push([ARGUMENT.source, this.#copyMemory(a.source, left)], [ARGUMENT.weights, weights]);
      if (bias) args.push([ARGUMENT.bias, this.#valueMemory(bias, { rows: 1, columns, dtype: "float32" })]);
      const destination = rounded ? this.#copyMemory(out, result) : this.#valueMemory(out, result);
      args.push([ARGUMENT.destination, destination]);
    }
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

  #copyMemory(source: Tensor, type: MatrixType): Pointer {
    if (this.#isRounded(source)) return this.#callersMemory(`rounded:${nameOf(source)}`, type);
    return this.#arenaMemory(this.#copies.get(source)!, type);
  }

  #valueMemory(tensor: Tensor, type: MatrixType): Pointer {
    const constant = this.context.constants?.plain(tensor);
    if (constant) return this.#memory(type, addressOf(constant));
    const place = this.#placeOf(tensor);
    return place ? this.#callersMemory(place, type) : this.#arenaMemory(this.#values.get(tensor)!, type);
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
      this.#setTensor(read, i, source, this.#shape(shape));
    for (const [i, name] of partition.sizes.entries()) {
      const size = this.sizes.get(name)!;
      this.#makeTensor(read, inputs.length + i, this.#nothing.subarray(0, size), [size], "uint8");
    }
    for (const [i, tensor] of outputs.entries())
      this.#setTensor(written, i, tensor, this.#shape(tensor.shape));
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
      if (work.kind !== "segment") this.context.primitives.giveBack(work.primitive);
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
