import type { CompiledProgram, HostTensors } from "../engine/compile.js";
import type { HostTensor } from "../engine/engine.js";
import type { SearchedModel } from "../model/search-step.js";
import type { StepResult } from "./candidates.js";
import { FloatPool } from "./float-pool.js";
import { KeyValueCache } from "./key-value-cache.js";

/** A hypothesis to be continued. */
export interface Continuation {
  /** Its tokens that the decoder has not seen: of the first step the prompt, later one. */
  readonly tokens: readonly number[];
  /** Which of its search's hypotheses in the step before it continues. Of no meaning in the first step. */
  readonly parent: number;
}

/** What is asked of the next tokens. */
export interface NextTokenRequest {
  /** How many of the largest logits. */
  readonly top: number;
  /** Per hypothesis, the ids whose logits are wanted whatever their rank. */
  readonly edited: readonly (readonly number[])[];
}

/**
 * Runs the decoder token by token for the searches of some pictures, as many for each. Searches stand picture by
 * picture, each in a row of its own; one that is finished has no hypotheses.
 */
export class DecoderSession {
  readonly #cache: KeyValueCache;
  /** Per row and hypothesis of the last step, the slots of its tokens. */
  #pasts: readonly (readonly (readonly number[])[])[];
  /** Tokens so far of every hypothesis. */
  #length = 0;
  /** Memory for the new keys and values, which every step fills anew. */
  readonly #own: Record<string, Float32Array> = {};

  /**
   * @param program compiled `searchStep`
   * @param cross what is fed at every step: float32, pictures first, such as `cross.N.key`, `cross.N.value`
   * @param searches of each picture
   * @param pool where the memory comes from, and goes to with `close`
   */
  constructor(
    private readonly program: CompiledProgram,
    private readonly config: SearchedModel,
    private cross: HostTensors,
    searches: number,
    private readonly pool: FloatPool = new FloatPool(),
  ) {
    const rows = this.#pictures * searches;
    this.#cache = new KeyValueCache(config.decoder, pool, rows);
    this.#pasts = Array.from({ length: rows }, () => []);
  }

  /**
   * @param rows the hypotheses of every search, all with as many new tokens
   * @returns a row a hypothesis, in the same order
   */
  async step(
    rows: readonly (readonly Continuation[])[],
    { top, edited }: NextTokenRequest,
  ): Promise<StepResult> {
    const hypotheses = Math.max(...rows.map((row) => row.length));
    const each = rows.find((row) => row.length > 0)![0]!.tokens.length;
    const length = hypotheses * each;
    const pasts = rows.map((row, r) => row.map(({ parent }) => this.#pasts[r]![parent] ?? []));
    const seen = this.#makeRoom(pasts, length);

    const { vocabularySize, hiddenSize } = this.config.decoder;
    const edits = Math.max(0, ...edited.map((ids) => ids.length));
    const k = Math.min(top + edits, vocabularySize);
    const sizes = [this.#pictures, rows.length / this.#pictures, length];
    this.#reserve(rows.length * length * hiddenSize);
    const results = await this.program.run(
      {
        ...this.cross,
        ...this.#cache.feeds(),
        ids: int64(
          sizes,
          padded(
            rows.map((row) => row.flatMap(({ tokens }) => tokens)),
            length,
            this.config.ids.pad,
          ),
        ),
        positions: int64(
          [length],
          Array.from({ length }, (_, i) => this.#length + (i % each)),
        ),
        bias: this.#bias(seen, each, length),
        wanted: int64(
          [edited.length],
          rows.flatMap((row, r) => row.map((_, h) => r * length + (h + 1) * each - 1)),
        ),
        k: int64([k], Array(k).fill(0)),
        edited: int64([edited.length, edits], padded(edited, edits, 0)),
      },
      this.#own,
    );

    const first = this.#cache.used;
    this.#cache.append(results, length);
    this.#pasts = seen.map((row) =>
      row.map((slots, h) => [...slots, ...Array.from({ length: each }, (_, i) => first + h * each + i)]),
    );
    this.#length += each;
    const floats = (name: string): Float32Array => results[name]!.data as Float32Array;
    return {
      logSumExp: floats("logSumExp"),
      topLogits: floats("topLogits"),
      topIds: results.topIds!.data as BigInt64Array,
      editedLogits: floats("editedLogits"),
    };
  }

  /**
   * Forgets the others.
   * @param pictures which pictures go on
   * @param rows which searches, as many for each of these pictures
   */
  keep(pictures: readonly number[], rows: readonly number[]): void {
    const needed = rows.map((row) => neededSlots(this.#pasts[row]!));
    this.#cache.rebuild(rows, needed, 0);
    this.#pasts = rows.map((row, r) => renumber(this.#pasts[row]!, needed[r]!));
    if (pictures.length === this.#pictures) return;
    this.cross = Object.fromEntries(
      Object.entries(this.cross).map(([name, { shape, data }]) => {
        const size = data.length / shape[0]!;
        const kept = new Float32Array(pictures.length * size);
        pictures.forEach((picture, i) => {
          kept.set((data as Float32Array).subarray(picture * size, (picture + 1) * size), i * size);
        });
        return [name, { dtype: "float32", shape: [pictures.length, ...shape.slice(1)], data: kept }];
      }),
    );
  }

  /** Gives its memory back; no step may be running. */
  close(): void {
    this.#cache.close();
    for (const array of Object.values(this.#own)) this.pool.give(array);
  }

  get #pictures(): number {
    return Object.values(this.cross)[0]!.shape[0]!;
  }

  /** Where the cache is full, the slots that these hypotheses do not need are given up; the slots that they have then. */
  #makeRoom(pasts: readonly (readonly (readonly number[])[])[], length: number): typeof pasts {
    if (this.#cache.used + length <= this.#cache.capacity) return pasts;
    const needed = pasts.map(neededSlots);
    this.#cache.rebuild([...pasts.keys()], needed, length);
    return pasts.map((row, r) => renumber(row, needed[r]!));
  }

  /** Memory for `own.N.*`, as the program will fill it. */
  #reserve(size: number): void {
    if ((this.#own["own.0.key"]?.length ?? 0) >= size) return;
    for (let layer = 0; layer < this.config.decoder.layers; layer++)
      for (const part of ["key", "value"]) {
        const name = `own.${layer}.${part}`;
        if (this.#own[name]) this.pool.give(this.#own[name]);
        this.#own[name] = this.pool.take(size);
      }
  }

  /** A token sees the slots of its hypothesis' past and the new tokens of its hypothesis up to itself. */
  #bias(seen: readonly (readonly (readonly number[])[])[], each: number, length: number): HostTensor {
    const { capacity } = this.#cache;
    const width = capacity + length;
    const data = new Float32Array(seen.length * length * width).fill(UNSEEN);
    seen.forEach((row, r) => {
      row.forEach((slots, h) => {
        for (let i = 0; i < each; i++) {
          const start = (r * length + h * each + i) * width;
          for (const slot of slots) data[start + slot] = 0;
          const own = start + capacity + h * each;
          data.fill(0, own, own + i + 1);
        }
      });
    });
    return { dtype: "float32", shape: [seen.length, length, width], data };
  }
}

const UNSEEN = -1e9;

/** The slots of any of these, ascending. */
function neededSlots(pasts: readonly (readonly number[])[]): number[] {
  return [...new Set(pasts.flat())].sort((a, b) => a - b);
}

function renumber(pasts: readonly (readonly number[])[], needed: readonly number[]): number[][] {
  const places = new Map(needed.map((slot, i) => [slot, i]));
  return pasts.map((slots) => slots.map((slot) => places.get(slot)!));
}

/** Lists one behind the other, each made as long as `length`. */
function padded(lists: readonly (readonly number[])[], length: number, filler: number): number[] {
  return lists.flatMap((list) => [...list, ...Array<number>(length - list.length).fill(filler)]);
}

function int64(shape: readonly number[], values: readonly number[]): HostTensor {
  return { dtype: "int64", shape, data: BigInt64Array.from(values, BigInt) };
}
