import type { HostTensors } from "../engine/compile.js";
import type { HostTensor } from "../engine/engine.js";
import { DecoderSession } from "../generation/decoder-session.js";
import { FloatPool } from "../generation/float-pool.js";
import { type GenerateOptions, generate } from "../generation/generate.js";
import type { Search } from "../generation/search.js";
import type { CaptionerConfig } from "../model/config.js";
import { resolveLanguage } from "../text/languages.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import { withPersonPolicy } from "../text/person-mask.js";
import type { RawJson } from "../weights/model-folder.js";
import type { ModelRunner, SeenPictures } from "./model-runner.js";
import type { ResolvedCaptionOptions } from "./options.js";
import { searchFor, searchSettings } from "./searches.js";

/** One caption. */
export interface Caption {
  readonly text: string;
  /** Hugging Face's `sequences_scores`: sum of log-probabilities over length^lengthPenalty. */
  readonly score: number;
  /** Ids, from the start token on. */
  readonly tokens: readonly number[];
  /**
   * For every token after the start token, its cross-attention over the picture's positions (the class position,
   * then the patches row by row), averaged over layers and heads. With the option `attention`.
   */
  readonly attention?: readonly (readonly number[])[];
  /** For every token after the start token, its log-probability after those before it. With the option `logProbs`. */
  readonly logProbs?: readonly number[];
}

/** A picture as the encoder takes it. */
interface Pixels {
  readonly pixelValues: Float32Array;
}

/** From pixels to captions: encodes pictures once, runs the searches of all their languages, and decodes the tokens. */
export class Describer {
  readonly #pool = new FloatPool();

  constructor(
    private readonly runner: ModelRunner,
    private readonly config: CaptionerConfig,
    private readonly tokenizer: Mbart50Tokenizer,
    private readonly generationConfig: RawJson | undefined,
  ) {}

  /**
   * Captions per picture and language.
   * @param onStep called after every step with the searches, per picture and language
   */
  async describe(
    pictures: readonly Pixels[],
    languages: readonly string[],
    options: ResolvedCaptionOptions,
    {
      signal,
      onStep,
    }: Pick<GenerateOptions, "signal"> & {
      readonly onStep?: (searches: readonly (readonly Search[])[]) => void;
    } = {},
  ): Promise<Caption[][][]> {
    for (const language of languages) this.text([], language, options);
    const settings = searchSettings(options, this.config, this.tokenizer, this.generationConfig);
    const searches = pictures.map(() =>
      languages.map((lang) => searchFor(settings, this.tokenizer.languageId(lang))),
    );
    const seen = await this.#encode(pictures);
    try {
      const memory = await this.runner.searchMemory(seen, languages.length);
      try {
        await generate(new DecoderSession(this.config, memory), searches, {
          ...(signal && { signal }),
          ...(onStep && { onStep: () => onStep(searches) }),
        });
      } finally {
        await memory.close();
      }
      return await this.#captions(seen, searches, languages, options);
    } finally {
      await this.runner.release(seen);
    }
  }

  async #captions(
    seen: SeenPictures,
    searches: readonly (readonly Search[])[],
    languages: readonly string[],
    options: ResolvedCaptionOptions,
  ): Promise<Caption[][][]> {
    const found = searches.map((row) => row.map((search) => search.results()));
    const sequences = found.map((row) => row.flat().map(({ tokens }) => tokens));
    const attention = options.attention ? await this.#attention(seen, sequences) : undefined;
    const logProbs = options.logProbs ? await this.#logProbs(seen, sequences) : undefined;
    return found.map((row, picture) => {
      let place = 0;
      return row.map((results, language) =>
        results.map(({ tokens, score }) => {
          const text = this.text(tokens, languages[language]!, options);
          const i = place++;
          return {
            text,
            score,
            tokens,
            ...(attention && { attention: attention[picture]![i]! }),
            ...(logProbs && { logProbs: logProbs[picture]![i]! }),
          };
        }),
      );
    });
  }

  /** What is shown of a caption: its tokens' text after the person policy. */
  text(
    tokens: readonly number[],
    language: string,
    { person }: Pick<ResolvedCaptionOptions, "person">,
  ): string {
    return withPersonPolicy(this.tokenizer.decode(tokens), resolveLanguage(language).iso, person);
  }

  /** Log-probabilities of the labels of a picture's captions. */
  async score(picture: Pixels, captions: HostTensors): Promise<HostTensor> {
    const seen = await this.#encode([picture]);
    try {
      return (await this.runner.run("score", seen, captions)).logProbs!;
    } finally {
      await this.runner.release(seen);
    }
  }

  async #encode(pictures: readonly Pixels[]): Promise<SeenPictures> {
    const { channels, imageSize } = this.config.vision;
    const pixels = channels * imageSize * imageSize;
    const data = this.#pool.take(pictures.length * pixels).subarray(0, pictures.length * pixels);
    pictures.forEach(({ pixelValues }, i) => {
      data.set(pixelValues, i * pixels);
    });
    const shape = [pictures.length, channels, imageSize, imageSize];
    const seen = await this.runner.encode({ dtype: "float32", shape, data });
    this.#pool.give(data);
    return seen;
  }

  /** One more pass over the finished captions, which is cheaper than keeping the attention of all that were tried. */
  async #attention(seen: SeenPictures, sequences: Sequences): Promise<number[][][][]> {
    const { decoderInputIds, positions } = this.#finished(sequences);
    const { attention } = await this.runner.run("attention", seen, { decoderInputIds, positions });
    const width = attention!.shape.at(-1)!;
    const data = attention!.data as Float32Array;
    return perToken(sequences, (token) => Array.from(data.subarray(token * width, (token + 1) * width)));
  }

  async #logProbs(seen: SeenPictures, sequences: Sequences): Promise<number[][][]> {
    const { logProbs } = await this.runner.run("score", seen, this.#finished(sequences));
    const data = logProbs!.data as Float32Array;
    return perToken(sequences, (token) => data[token]!);
  }

  /** Finished captions as teacher-forced inputs: every token but the last is followed by its label. */
  #finished(sequences: Sequences) {
    const captions = Math.max(...sequences.map((row) => row.length));
    const length = longest(sequences) - 1;
    const shape = [sequences.length, captions, length];
    const pad = BigInt(this.config.ids.pad);
    const size = sequences.length * captions * length;
    const ids = new BigInt64Array(size).fill(pad);
    const labels = new BigInt64Array(size).fill(pad);
    sequences.forEach((row, picture) => {
      row.forEach((tokens, caption) => {
        const start = (picture * captions + caption) * length;
        for (let t = 0; t + 1 < tokens.length; t++) {
          ids[start + t] = BigInt(tokens[t]!);
          labels[start + t] = BigInt(tokens[t + 1]!);
        }
      });
    });
    return {
      decoderInputIds: { dtype: "int64", shape, data: ids },
      labels: { dtype: "int64", shape, data: labels },
      positions: positions(length),
    } as const;
  }
}

/** Tokens of captions, per picture. */
type Sequences = readonly (readonly (readonly number[])[])[];

function longest(sequences: Sequences): number {
  return Math.max(...sequences.flat().map((tokens) => tokens.length));
}

/** What `read` finds for each token after the start token, by its place among all inputs of `#finished`. */
function perToken<T>(sequences: Sequences, read: (place: number) => T): T[][][] {
  const captions = Math.max(...sequences.map((row) => row.length));
  const length = longest(sequences) - 1;
  return sequences.map((row, picture) =>
    row.map((tokens, caption) =>
      Array.from({ length: tokens.length - 1 }, (_, t) => read((picture * captions + caption) * length + t)),
    ),
  );
}

/** 0, 1, 2, …: the positions of a caption's tokens, as a program's input. */
export function positions(length: number): HostTensors[string] {
  return { dtype: "int64", shape: [length], data: BigInt64Array.from({ length }, (_, i) => BigInt(i)) };
}
