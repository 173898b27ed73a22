import { parameter, scaleFeatures, type Tensor } from "../graph/index.js";

/** What all scopes of a model share. */
interface ParameterTable {
  readonly tensors: Map<string, Tensor>;
  /** Names of the weights that are kept in int8. */
  readonly int8: ReadonlySet<string>;
  /** Of every weight of a product, what it was multiplied with. */
  readonly inputs: Map<string, Tensor>;
  /** Inputs of int8 weights, and what they are after smoothing. */
  readonly smoothed: Map<Tensor, Tensor>;
}

/** Finds or makes the parameters of a model by name, so that tied weights are one tensor. */
export class ParameterScope {
  private constructor(
    private readonly prefix: string,
    private readonly table: ParameterTable,
  ) {}

  static root(int8: ReadonlySet<string> = new Set()): ParameterScope {
    return new ParameterScope("", { tensors: new Map(), int8, inputs: new Map(), smoothed: new Map() });
  }

  /** The scope whose names start with this one's prefix, `name` and a dot. */
  at(name: string): ParameterScope {
    return new ParameterScope(`${this.prefix}${name}.`, this.table);
  }

  get(name: string, shape: readonly number[]): Tensor {
    return this.#find(this.prefix + name, () => parameter(this.prefix + name, shape));
  }

  isInt8(name: string): boolean {
    return this.table.int8.has(this.prefix + name);
  }

  /** An int8 weight; its scales are float32 parameters beside it. */
  getInt8(name: string, shape: readonly number[]): Tensor {
    return this.#find(this.prefix + name, () => parameter(this.prefix + name, shape, "int8"));
  }

  /**
   * The input x of an int8 weight, smoothed. Weights of one input have equal smoothings, so that those of the first will
   * do, and the input is smoothed and rounded once.
   */
  smoothed(name: string, x: Tensor): Tensor {
    const known = this.table.smoothed.get(x);
    if (known) return known;
    const smoothed = scaleFeatures(x, this.get(`${name}_smoothing`, [x.shape.at(-1) as number]));
    this.table.smoothed.set(x, smoothed);
    return smoothed;
  }

  /** Remembers what a weight is multiplied with, for whoever wants to see the values. */
  noteInput(name: string, x: Tensor): void {
    this.table.inputs.set(this.prefix + name, x);
  }

  /** By the weights' full names, what each was multiplied with. */
  get inputs(): ReadonlyMap<string, Tensor> {
    return this.table.inputs;
  }

  #find(path: string, make: () => Tensor): Tensor {
    const tensor = this.table.tensors.get(path) ?? make();
    this.table.tensors.set(path, tensor);
    return tensor;
  }
}
