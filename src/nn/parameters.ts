import { parameter, type Tensor } from "../graph/index.js";

/** Finds or makes the parameters of a model by name, so that tied weights are one tensor. */
export class ParameterScope {
  readonly #prefix: string;
  readonly #tensors: Map<string, Tensor>;

  constructor(prefix = "", tensors = new Map<string, Tensor>()) {
    this.#prefix = prefix;
    this.#tensors = tensors;
  }

  /** The scope whose names start with this one's prefix, `name` and a dot. */
  at(name: string): ParameterScope {
    return new ParameterScope(`${this.#prefix}${name}.`, this.#tensors);
  }

  get(name: string, shape: readonly number[]): Tensor {
    const path = this.#prefix + name;
    let tensor = this.#tensors.get(path);
    if (!tensor) {
      tensor = parameter(path, shape);
      this.#tensors.set(path, tensor);
    }
    return tensor;
  }
}
