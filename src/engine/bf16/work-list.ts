import { LingolensError } from "../../errors.js";
import { type Dimension, evaluateDimension, type Shape, type Sizes } from "../../graph/shape.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Pointer } from "../../native-library.js";
import { ARGUMENT, type MatrixType, type Primitive, type Stack } from "../onednn/onednn-api.js";
import type { Primitives } from "../onednn/primitives.js";
import { BYTES } from "../signature.js";
import { type Constants, packedType } from "./constants.js";
import { addressOf } from "./native-words.js";
import { isLeaf, type Operand, type View } from "./operands.js";
import type { Partition, SegmentStep } from "./partition.js";
import type { ProductStep } from "./products.js";
import type { RowsStep, TranspositionStep } from "./taken.js";

/** What a primitive reads or writes: a tensor in float32, or its copy in bf16, or what lies at an address. */
export interface Argument {
  readonly place: number;
  readonly type: MatrixType;
  readonly what: Tensor | Pointer;
  readonly copy: boolean;
}

export interface PrimitiveWork {
  readonly kind: "primitive";
  readonly primitive: Primitive;
  readonly reads: readonly Argument[];
  readonly writes: Argument;
  /** A tensor in whose memory the result is, since it is added to it. */
  readonly over: Tensor | undefined;
}

/** A step with all its sizes. */
export type Work = PrimitiveWork | { readonly kind: "segment"; readonly step: SegmentStep };

export interface WorkContext {
  readonly primitives: Primitives;
  readonly partition: Partition;
  /** The parameters' numbers, where they do not change and are not fed. */
  readonly constants?: Constants | undefined;
}

/** The steps of a program for inputs of certain sizes, and a conversion wherever a product reads what is only there in float32. */
export class WorkList {
  readonly work: Work[] = [];
  /** What is there in bf16. */
  readonly #copies = new Set<Tensor>();
  readonly #known = new Map<Dimension, number>();

  /**
   * @param sizes of named dimensions
   * @param rounded names of inputs that come with a copy in bf16
   */
  constructor(
    private readonly context: WorkContext,
    private readonly sizes: Sizes,
    private readonly rounded: ReadonlySet<string>,
  ) {
    for (const step of context.partition.steps)
      switch (step.kind) {
        case "segment":
          this.work.push({ kind: "segment", step });
          break;
        case "product":
          this.#addProduct(step);
          break;
        case "rows":
          this.#addRows(step);
          break;
        case "transposition":
          this.#addTransposition(step);
      }
  }

  shape(shape: Shape): number[] {
    return shape.map((dimension) => this.#size(dimension));
  }

  /** Whether a tensor is an input that comes with a copy in bf16. */
  isRounded(tensor: Tensor): boolean {
    return isLeaf(tensor) && this.rounded.has((tensor.node.attributes as { name: string }).name);
  }

  #addProduct(step: ProductStep): void {
    const { primitives, constants } = this.context;
    const packed = constants?.packed(step.b);
    const a = this.#matrix(step.a);
    const b = packed === undefined ? this.#matrix(step.b) : packedType(step.b);
    const out = this.#result(step, a.rows, b.columns);
    if (out.rows * out.columns === 0) return;
    if (a.columns === 0)
      throw new LingolensError(
        "option-unsupported",
        "A product of matrices of no columns cannot be computed in bf16.",
      );
    for (const { source } of packed === undefined ? [step.a, step.b] : [step.a]) this.#addCopy(source);
    const bias: MatrixType | undefined = step.bias && { rows: 1, columns: out.columns, dtype: "float32" };
    const { factor, activation, addend, rounded } = step;
    const reads: Argument[] = [
      { place: ARGUMENT.source, type: a, what: step.a.source, copy: true },
      { place: ARGUMENT.weights, type: b, what: packed ?? step.b.source, copy: true },
    ];
    if (bias) reads.push({ place: ARGUMENT.bias, type: bias, what: this.#biasOf(step), copy: false });
    this.#add(
      primitives.product(a, b, out, { bias, factor, activation, added: addend !== undefined }),
      reads,
      { place: ARGUMENT.destination, type: out, what: step.out, copy: rounded },
      addend,
    );
    if (rounded) this.#copies.add(step.out);
  }

  /** Some numbers of a bias are found by their address: those of a constant. */
  #biasOf({ bias, biasFrom = 0 }: ProductStep): Tensor | Pointer {
    if (biasFrom === 0) return bias!;
    return addressOf(this.context.constants!.plain(bias!)!) + BigInt(BYTES.float32 * biasFrom);
  }

  #addCopy(source: Tensor): void {
    if (this.#copies.has(source) || this.isRounded(source)) return;
    this.#copies.add(source);
    const [columns, rows] = [this.shape(source.shape).reduce((x, y) => x * y, 1), 1];
    this.#addConversion(
      { place: ARGUMENT.source, type: { rows, columns, dtype: "float32" }, what: source, copy: false },
      { place: ARGUMENT.destination, type: { rows, columns, dtype: "bfloat16" }, what: source, copy: true },
    );
  }

  #addConversion(from: Argument, to: Argument): void {
    this.#add(this.context.primitives.conversion(from.type, to.type), [from], to);
  }

  #addRows({ source, out, norm }: RowsStep): void {
    const shape = this.shape(source.shape);
    const columns = shape.at(-1)!;
    const type: MatrixType = {
      rows: shape.slice(0, -1).reduce((x, y) => x * y, 1),
      columns,
      dtype: "float32",
    };
    if (type.rows * columns === 0) return;
    const reads: Argument[] = [{ place: ARGUMENT.source, type, what: source, copy: false }];
    if (norm) {
      const row: MatrixType = { rows: 1, columns, dtype: "float32" };
      reads.push({ place: ARGUMENT.normWeight, type: row, what: norm.weight, copy: false });
      reads.push({ place: ARGUMENT.normBias, type: row, what: norm.bias, copy: false });
    }
    const { primitives } = this.context;
    this.#add(norm ? primitives.layerNorm(type, norm.epsilon) : primitives.softmax(type), reads, {
      place: ARGUMENT.destination,
      type,
      what: out,
      copy: false,
    });
  }

  #addTransposition({ source, view, out, rounded }: TranspositionStep): void {
    const from = this.#view(view, "float32");
    const lying = { shape: out.shape, permutation: out.shape.map((_, axis) => axis) };
    const to = this.#view(lying, rounded ? "bfloat16" : "float32");
    if (to.rows * to.columns * to.stack!.sizes.reduce((x, y) => x * y, 1) === 0) return;
    this.#addConversion(
      { place: ARGUMENT.source, type: from, what: source, copy: false },
      { place: ARGUMENT.destination, type: to, what: out, copy: rounded },
    );
    if (rounded) this.#copies.add(out);
  }

  #add(primitive: Primitive, reads: readonly Argument[], writes: Argument, over?: Tensor): void {
    this.work.push({ kind: "primitive", primitive, reads, writes, over });
  }

  #matrix({ rows, columns, transposed, view }: Operand): MatrixType {
    if (view) return this.#view(view, "bfloat16");
    return { rows: this.#size(rows), columns: this.#size(columns), dtype: "bfloat16", transposed };
  }

  #result({ view, rounded, out, a }: ProductStep, rows: number, columns: number): MatrixType {
    const dtype = rounded ? "bfloat16" : "float32";
    if (!a.view) return { rows, columns, dtype };
    return this.#view(view ?? { shape: out.shape, permutation: out.shape.map((_, axis) => axis) }, dtype);
  }

  #view({ shape, permutation }: View, dtype: MatrixType["dtype"]): MatrixType {
    const lying = this.shape(shape);
    const steps = lying.map((_, axis) => lying.slice(axis + 1).reduce((x, y) => x * y, 1));
    const sizes = permutation.map((axis) => lying[axis]!);
    const stack: Stack = {
      sizes: sizes.slice(0, -2),
      strides: permutation.map((axis) => steps[axis]!),
    };
    return { rows: sizes.at(-2)!, columns: sizes.at(-1)!, dtype, stack };
  }

  #size(dimension: Dimension): number {
    if (typeof dimension === "number") return dimension;
    const size = this.#known.get(dimension) ?? evaluateDimension(dimension, this.sizes);
    this.#known.set(dimension, size);
    return size;
  }
}
