import { availableParallelism } from "node:os";
import type { HostTensors } from "../engine/compile.js";
import type { Engine, HostTensor } from "../engine/engine.js";
import { type ProgramOutputs, Programs, type ProgramWeights } from "../engine/programs.js";
import { BeamSearch } from "../generation/beam-search.js";
import { DecoderSession } from "../generation/decoder-session.js";
import { FloatPool } from "../generation/float-pool.js";
import { type GenerateOptions, generate } from "../generation/generate.js";
import { GreedySearch } from "../generation/greedy-search.js";
import { HostStepMemory } from "../generation/host-step-memory.js";
import type { GeneratedSequence } from "../generation/search.js";
import {
  marianDecodeOutputs,
  marianEncodeOutputs,
  marianLogitsOutputs,
  marianWeightInputOutputs,
} from "../model/marian.js";
import type { MarianConfig } from "../model/marian-config.js";

type ProgramName = "encode" | "decode" | "logits" | "weightInputs";

const OUTPUTS: ProgramOutputs<MarianConfig, ProgramName> = {
  encode: marianEncodeOutputs,
  decode: marianDecodeOutputs,
  logits: marianLogitsOutputs,
  weightInputs: marianWeightInputOutputs,
};

export interface BeamOptions extends Pick<GenerateOptions, "signal"> {
  /** Hypotheses of the beam search; 1 is greedy. */
  readonly beams: number;
  /** Shortest translation in tokens, start token counted. Default 0. */
  readonly minLength?: number;
  /** Longest translation in tokens, start token counted. Default: `longestTranslation` of each sentence. */
  readonly maxLength?: number;
}

/** A Marian model that runs: from the tokens of sentences to those of their translations. */
export class MarianTranslator {
  readonly programs: Programs<MarianConfig, ProgramName>;
  /** The keys and values of sixty sentences, of which a batch of a caption's length needs most. */
  readonly #pool = new FloatPool(256 * 2 ** 20);

  /** Parts of a batch that are worked on at once. */
  readonly #parts: number;

  /** @param threads of the engine. Default: the processors that this process may use */
  constructor(
    engine: Engine,
    weights: ProgramWeights<MarianConfig>,
    threads: number = availableParallelism(),
  ) {
    // While the search of one half takes its time, the other half computes; and what cannot be shared among threads
    // is shared between the halves.
    this.#parts = threads > 1 ? 2 : 1;
    const each = Math.floor(threads / this.#parts);
    this.programs = new Programs<MarianConfig, ProgramName>(engine, weights, OUTPUTS, ["encode", "decode"], {
      threads: each,
    });
  }

  get config(): MarianConfig {
    return this.programs.config;
  }

  /**
   * The best translation of each sentence, all in one batch: `tokens` from the start token to `</s>`.
   * @param sources ids with `</s>`, at most `maxPositions` of them
   * @throws {LingolensError} `cancelled`
   */
  async translate(
    sources: readonly (readonly number[])[],
    options: BeamOptions,
  ): Promise<GeneratedSequence[]> {
    const parts = Array.from({ length: Math.min(this.#parts, sources.length) }, (_, part) =>
      sources.filter((_, i) => i % this.#parts === part),
    );
    // All come to their ends, so that nothing runs on when one has failed.
    const settled = await Promise.allSettled(parts.map((part) => this.#translatePart(part, options)));
    const failed = settled.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const found = settled.map((result) => (result.status === "fulfilled" ? result.value : []));
    return sources.map((_, i) => found[i % this.#parts]![Math.floor(i / this.#parts)]!);
  }

  async #translatePart(
    sources: readonly (readonly number[])[],
    { beams, minLength = 0, maxLength, signal }: BeamOptions,
  ): Promise<GeneratedSequence[]> {
    const { ids, maxPositions, forcedEos, bannedSequences } = this.config;
    const encode = await this.programs.get("encode");
    const feeds = this.sourceFeeds(sources);
    const memory = this.#crossMemory(feeds.ids!.data.length);
    const seen = await encode.run(feeds, memory);
    const searches = sources.map((source) => {
      const options = {
        beams,
        numCaptions: 1,
        lengthPenalty: 1,
        earlyStopping: false,
        minLength,
        maxLength: Math.min(maxLength ?? longestTranslation(source.length), maxPositions),
        noRepeatNgramSize: 0,
        repetitionPenalty: 1,
        bannedSequences,
        eosId: ids.eos,
        prompt: [ids.decoderStart],
        ...(forcedEos !== undefined && { forcedEosId: forcedEos }),
      };
      return [beams === 1 ? new GreedySearch(options) : new BeamSearch(options)];
    });
    const decode = await this.programs.get("decode");
    const steps = new HostStepMemory(decode, this.config.decoder, seen, 1, this.#pool);
    try {
      await generate(new DecoderSession(this.config, steps), searches, { ...(signal && { signal }) });
    } finally {
      await steps.close();
      for (const array of Object.values(memory)) this.#pool.give(array);
    }
    return searches.map(([search]) => search!.results()[0]!);
  }

  /** For what the encoder makes of so many tokens. */
  #crossMemory(tokens: number): Record<string, Float32Array> {
    const { layers, hiddenSize } = this.config.decoder;
    const names = Array.from({ length: layers }, (_, i) => [`cross.${i}.key`, `cross.${i}.value`]).flat();
    return Object.fromEntries(names.map((name) => [name, this.#pool.take(tokens * hiddenSize)]));
  }

  /** `ids` [sentences, length], padded, and `sourcePositions` [length]. */
  sourceFeeds(sources: readonly (readonly number[])[]): HostTensors {
    const ids = paddedRows(sources, this.config.ids.pad);
    return { ids, sourcePositions: counted(ids.shape[1]!) };
  }

  /** With `decoderInputIds` [sentences, 1, length] and `positions`: what the programs take that look at translations. */
  teacherForcedFeeds(
    sources: readonly (readonly number[])[],
    targets: readonly (readonly number[])[],
  ): HostTensors {
    const { shape, ...ids } = paddedRows(targets, this.config.ids.pad);
    const [sentences, length] = shape as [number, number];
    return {
      ...this.sourceFeeds(sources),
      decoderInputIds: { ...ids, shape: [sentences, 1, length] },
      positions: counted(length),
    };
  }

  close(): Promise<void> {
    return this.programs.close();
  }
}

/**
 * Tokens after which a translation is cut off. No honest one is so long; one that repeats itself would else go on to
 * the model's last position, and the batch with it.
 */
function longestTranslation(sourceLength: number): number {
  return 2 * sourceLength + 20;
}

function paddedRows(rows: readonly (readonly number[])[], pad: number): HostTensor {
  const length = Math.max(...rows.map((ids) => ids.length));
  const data = new BigInt64Array(rows.length * length).fill(BigInt(pad));
  rows.forEach((row, r) => {
    row.forEach((id, i) => {
      data[r * length + i] = BigInt(id);
    });
  });
  return { dtype: "int64", shape: [rows.length, length], data };
}

/** 0, 1, 2, …: the positions of tokens. */
function counted(length: number): HostTensor {
  return { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) };
}
