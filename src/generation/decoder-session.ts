import type { HostTensor } from "../engine/engine.js";
import type { SearchedModel } from "../model/search-step.js";
import type { StepResult } from "./candidates.js";
import type { StepMemory } from "./step-memory.js";

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

/** Per row and hypothesis, the slots of its tokens. */
type Slots = readonly (readonly (readonly number[])[])[];

/**
 * Runs the decoder token by token for the searches of some pictures, as many for each. Searches stand picture by
 * picture, each in a row of its own; one that is finished has no hypotheses.
 */
export class DecoderSession {
  /** Of the last step. */
  #pasts: Slots;
  /** Tokens so far of every hypothesis. */
  #length = 0;

  constructor(
    private readonly config: SearchedModel,
    private readonly memory: StepMemory,
  ) {
    this.#pasts = Array.from({ length: memory.rows }, () => []);
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
    const seen = await this.#makeRoom(pasts, length);

    const { vocabularySize } = this.config.decoder;
    const { pictures } = this.memory;
    const edits = Math.max(0, ...edited.map((ids) => ids.length));
    const k = Math.min(top + edits, vocabularySize);
    const sizes = [pictures, rows.length / pictures, length];
    const first = this.memory.used;
    const results = await this.memory.step(
      {
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
      length,
    );

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
  async keep(pictures: readonly number[], rows: readonly number[]): Promise<void> {
    const needed = rows.map((row) => neededSlots(this.#pasts[row]!));
    await this.memory.rebuild(rows, needed, 0);
    this.#pasts = rows.map((row, r) => renumber(this.#pasts[row]!, needed[r]!));
    if (pictures.length < this.memory.pictures) await this.memory.keepPictures(pictures);
  }

  /** Where the cache is full, the slots that these hypotheses do not need are given up; the slots that they have then. */
  async #makeRoom(pasts: Slots, length: number): Promise<Slots> {
    if (this.memory.hasRoom(length)) return pasts;
    const needed = pasts.map(neededSlots);
    await this.memory.rebuild([...pasts.keys()], needed, length);
    return pasts.map((row, r) => renumber(row, needed[r]!));
  }

  /** A token sees the slots of its hypothesis' past and the new tokens of its hypothesis up to itself. */
  #bias(seen: Slots, each: number, length: number): HostTensor {
    const { slots: all } = this.memory;
    const width = all + length;
    const data = new Float32Array(seen.length * length * width).fill(UNSEEN);
    seen.forEach((row, r) => {
      row.forEach((slots, h) => {
        for (let i = 0; i < each; i++) {
          const start = (r * length + h * each + i) * width;
          for (const slot of slots) data[start + slot] = 0;
          const own = start + all + h * each;
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
