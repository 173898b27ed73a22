import type { CompiledProgram, HostTensors } from "../engine/compile.js";
import type { SearchedModel } from "../model/search-step.js";
import { FloatPool } from "./float-pool.js";
import { KeyValueCache } from "./key-value-cache.js";
import type { StepMemory } from "./step-memory.js";

/** Keys and values in this machine's memory, where the program reads and writes them in place. */
export class HostStepMemory implements StepMemory {
  readonly #cache: KeyValueCache;
  /** Memory for the new keys and values, which every step fills anew. */
  readonly #own: Record<string, Float32Array> = {};
  /** Memory of `cross`, once pictures have left. */
  #kept: readonly Float32Array[] = [];

  /**
   * @param program compiled `searchStep`
   * @param cross what is fed at every step: float32, pictures first, such as `cross.N.key`, `cross.N.value`
   * @param searches of each picture
   * @param pool where the memory comes from, and goes to with `close`
   */
  constructor(
    private readonly program: CompiledProgram,
    private readonly config: SearchedModel["decoder"],
    private cross: HostTensors,
    searches: number,
    private readonly pool: FloatPool = new FloatPool(),
  ) {
    this.#cache = new KeyValueCache(config, pool, this.pictures * searches);
  }

  get pictures(): number {
    return Object.values(this.cross)[0]!.shape[0]!;
  }

  get rows(): number {
    return this.#cache.rows;
  }

  get slots(): number {
    return this.#cache.capacity;
  }

  get used(): number {
    return this.#cache.used;
  }

  hasRoom(length: number): boolean {
    return this.#cache.used + length <= this.#cache.capacity;
  }

  async step(feeds: HostTensors, length: number): Promise<HostTensors> {
    this.#reserve(this.rows * length * this.config.hiddenSize);
    const results = await this.program.run({ ...this.cross, ...this.#cache.feeds(), ...feeds }, this.#own);
    this.#cache.append(results, length);
    return results;
  }

  async rebuild(
    kept: readonly number[],
    needed: readonly (readonly number[])[],
    length: number,
  ): Promise<void> {
    this.#cache.rebuild(kept, needed, length);
  }

  async keepPictures(pictures: readonly number[]): Promise<void> {
    const before = this.#kept;
    const all: Float32Array[] = [];
    this.cross = Object.fromEntries(
      Object.entries(this.cross).map(([name, { shape, data }]) => {
        const size = data.length / shape[0]!;
        const kept = this.pool.take(pictures.length * size).subarray(0, pictures.length * size);
        all.push(kept);
        pictures.forEach((picture, i) => {
          kept.set((data as Float32Array).subarray(picture * size, (picture + 1) * size), i * size);
        });
        return [name, { dtype: "float32", shape: [pictures.length, ...shape.slice(1)], data: kept }];
      }),
    );
    this.#kept = all;
    for (const array of before) this.pool.give(array);
  }

  async close(): Promise<void> {
    this.#cache.close();
    for (const array of [...Object.values(this.#own), ...this.#kept]) this.pool.give(array);
  }

  /** Memory for `own.N.*`, as the program will fill it. */
  #reserve(size: number): void {
    if ((this.#own["own.0.key"]?.length ?? 0) >= size) return;
    for (let layer = 0; layer < this.config.layers; layer++)
      for (const part of ["key", "value"]) {
        const name = `own.${layer}.${part}`;
        if (this.#own[name]) this.pool.give(this.#own[name]);
        this.#own[name] = this.pool.take(size);
      }
  }
}
