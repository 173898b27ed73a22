import { keyOf, type MatrixType, type OneDnnApi, type Primitive, type ProductOptions } from "./onednn-api.js";

/** Primitives that nobody uses are kept up to so many: a batch of the same sizes may come again. */
const KEPT = 512;

interface Entry {
  readonly primitive: Primitive;
  users: number;
}

/** Primitives by what they compute, each made once. Whoever takes one gives it back. */
export class Primitives {
  /** Those least recently taken first. */
  readonly #entries = new Map<string, Entry>();
  readonly #keys = new Map<Primitive, string>();

  /** @param threads that a primitive divides its work among */
  constructor(
    private readonly api: OneDnnApi,
    private readonly threads: number,
  ) {}

  /** See `OneDnnApi.product`. */
  product(a: MatrixType, b: MatrixType, out: MatrixType, options: ProductOptions = {}): Primitive {
    const { bias, factor, activation, added } = options;
    const key = `product:${[a, b, out].map(keyOf)}:${bias !== undefined}:${factor}:${activation}:${added}`;
    return this.#take(key, () => this.api.product(a, b, out, options));
  }

  /** See `OneDnnApi.softmax`. */
  softmax(matrix: MatrixType): Primitive {
    return this.#take(`softmax:${keyOf(matrix)}`, () => this.api.softmax(matrix));
  }

  /** See `OneDnnApi.layerNorm`. */
  layerNorm(matrix: MatrixType, epsilon: number): Primitive {
    return this.#take(`layerNorm:${keyOf(matrix)}:${epsilon}`, () => this.api.layerNorm(matrix, epsilon));
  }

  /** See `OneDnnApi.conversion`. */
  conversion(from: MatrixType, to: MatrixType): Primitive {
    return this.#take(`conversion:${keyOf(from)}:${keyOf(to)}`, () => this.api.conversion(from, to));
  }

  #take(key: string, make: () => Primitive): Primitive {
    let entry = this.#entries.get(key);
    if (entry) this.#entries.delete(key);
    else {
      this.api.divideAmong(this.threads);
      entry = { primitive: make(), users: 0 };
      this.#keys.set(entry.primitive, key);
    }
    this.#entries.set(key, entry);
    entry.users++;
    return entry.primitive;
  }

  giveBack(primitive: Primitive): void {
    this.#entries.get(this.#keys.get(primitive)!)!.users--;
    if (this.#entries.size <= KEPT) return;
    for (const [key, { primitive: old, users }] of this.#entries) {
      if (this.#entries.size <= KEPT) return;
      if (users === 0) this.#destroy(key, old);
    }
  }

  /** Destroys all: nobody may use them any more. */
  close(): void {
    for (const [key, { primitive }] of this.#entries) this.#destroy(key, primitive);
  }

  #destroy(key: string, primitive: Primitive): void {
    this.#entries.delete(key);
    this.#keys.delete(primitive);
    this.api.destroyPrimitive(primitive);
  }
}
