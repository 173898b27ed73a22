import { allocate, type CompiledProgram, type HostTensors } from "../engine/compile.js";
import type { HostTensor } from "../engine/engine.js";
import type { CaptionerConfig } from "../model/config.js";
import type { StepResult } from "./candidates.js";

export interface DecoderPrograms {
  /** Compiled `prefillOutputs`. */
  readonly prefill: CompiledProgram;
  /** Compiled `stepOutputs`. */
  readonly step: CompiledProgram;
}

/** What is asked of the next tokens of a step's rows. */
export interface NextTokenRequest {
  /** How many of the largest logits. */
  readonly top: number;
  /** Per row, the ids whose logits are wanted whatever their rank. */
  readonly edited: readonly (readonly number[])[];
}

/**
 * Runs the decoder token by token over the captions of some pictures, with the keys and values of all tokens so
 * far. Rows stand picture by picture, as many for each.
 */
export class DecoderSession {
  #past: Readonly<Record<string, HostTensor>> = {};
  #length = 0;
  /** Two sets of memory for keys and values: a step reads one and writes the other. */
  readonly #arenas = [new KeyValueArena(), new KeyValueArena()];
  #turn = 0;

  /** @param cross `cross.N.key`, `cross.N.value` [pictures, heads, positions, headSize] */
  constructor(
    private readonly programs: DecoderPrograms,
    private readonly config: CaptionerConfig,
    private cross: HostTensors,
  ) {}

  get pictures(): number {
    return Object.values(this.cross)[0]!.shape[0]!;
  }

  /** @param prompts of every row, all of one length */
  async prefill(prompts: readonly (readonly number[])[], request: NextTokenRequest): Promise<StepResult> {
    return this.#run(this.programs.prefill, prompts, {}, request);
  }

  /**
   * @param ids the newest token of every row
   * @param parents the row of the step before that each row continues
   */
  async step(
    ids: readonly number[],
    parents: readonly number[],
    request: NextTokenRequest,
  ): Promise<StepResult> {
    const shape = [this.pictures, parents.length / this.pictures];
    const feeds = { ...this.#past, parents: int64(shape, parents) };
    return this.#run(
      this.programs.step,
      ids.map((id) => [id]),
      feeds,
      request,
    );
  }

  /** Forgets pictures whose captions are finished. The rows of the next step are of these pictures, in this order. */
  keepPictures(kept: readonly number[]): void {
    if (kept.length === this.pictures) return;
    this.cross = Object.fromEntries(
      Object.entries(this.cross).map(([name, { dtype, shape, data }]) => {
        const size = data.length / shape[0]!;
        const rows = allocate(dtype, kept.length * size) as Float32Array;
        kept.forEach((picture, i) => {
          rows.set((data as Float32Array).subarray(picture * size, (picture + 1) * size), i * size);
        });
        return [name, { dtype, shape: [kept.length, ...shape.slice(1)], data: rows }];
      }),
    );
  }

  async #run(
    program: CompiledProgram,
    ids: readonly (readonly number[])[],
    feeds: HostTensors,
    { top, edited }: NextTokenRequest,
  ): Promise<StepResult> {
    const rows = ids.length;
    const captions = rows / this.pictures;
    const length = ids[0]!.length;
    const edits = Math.max(0, ...edited.map((list) => list.length));
    const vocabulary = this.config.decoder.vocabularySize;
    const editedIds = new BigInt64Array(rows * edits);
    edited.forEach((list, row) => {
      list.forEach((id, i) => {
        editedIds[row * edits + i] = BigInt(id);
      });
    });

    // The memory that holds the past is read by this step, so the other set is written.
    this.#turn = 1 - this.#turn;
    const arena = this.#arenas[this.#turn]!;
    const k = Math.min(top + edits, vocabulary);
    const results = await program.run(
      {
        ...this.cross,
        ...feeds,
        ids: int64([this.pictures, captions, length], ids.flat()),
        positions: int64(
          [length],
          Array.from({ length }, (_, i) => this.#length + i),
        ),
        k: { dtype: "int64", shape: [k], data: new BigInt64Array(k) },
        edited: { dtype: "int64", shape: [this.pictures, captions, edits], data: editedIds },
      },
      arena.memory(this.config, rows, this.#length + length),
    );
    this.#length += length;
    this.#past = Object.fromEntries(
      Object.entries(results).flatMap(([name, tensor]) => {
        return name.startsWith("present.") ? [[name.replace("present", "past"), tensor]] : [];
      }),
    );
    const floats = (name: string): Float32Array => results[name]!.data as Float32Array;
    return {
      logSumExp: floats("logSumExp"),
      topLogits: floats("topLogits"),
      topIds: results.topIds!.data as BigInt64Array,
      editedLogits: floats("editedLogits"),
    };
  }
}

/** Memory for the keys and values of all layers, which grows by blocks of positions. */
class KeyValueArena {
  #memory: Record<string, Float32Array> = {};
  #capacity = 0;

  memory({ decoder }: CaptionerConfig, rows: number, length: number): Record<string, Float32Array> {
    const needed = rows * length * decoder.hiddenSize;
    if (needed > this.#capacity) {
      this.#capacity = rows * Math.ceil((length + 1) / BLOCK) * BLOCK * decoder.hiddenSize;
      for (let layer = 0; layer < decoder.layers; layer++)
        for (const part of ["key", "value"])
          this.#memory[`present.${layer}.${part}`] = new Float32Array(this.#capacity);
    }
    return this.#memory;
  }
}

/** Positions by which memory grows. */
const BLOCK = 16;

function int64(shape: readonly number[], values: readonly number[]): HostTensor {
  return { dtype: "int64", shape, data: BigInt64Array.from(values, BigInt) };
}
