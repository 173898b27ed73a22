/**
 * The unigram language model of Kudo (2018), https://arxiv.org/abs/1804.10959: of all ways to cut a text into
 * pieces, the one whose piece scores (log-probabilities) add up to the most. Viterbi as in `EncodeOptimized` of
 * https://github.com/google/sentencepiece/blob/master/src/unigram_model.cc.
 */
import { PieceTrie } from "./piece-trie.js";

export interface UnigramOptions {
  /** Pieces that text can be cut into, with their ids. */
  readonly trie: PieceTrie;
  /** Score of each id. */
  readonly scores: Float64Array;
  readonly unknownId: number;
  /** Score of a character that is no piece of its own. */
  readonly unknownScore: number;
  /** How sums of scores are kept: SentencePiece adds up float32, Hugging Face's tokenizers float64. */
  readonly precision: "float32" | "float64";
}

/** `text.slice(start, end)` is the piece with this id. */
export interface Segment {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** What an unknown character costs below the lowest score of the vocabulary. */
export const unknownPenalty = 10;

export class Unigram {
  readonly #options: UnigramOptions;
  // Of the best path that ends before code unit n: its score, and start and id of its last piece.
  #scores: Float32Array | Float64Array;
  #starts = new Int32Array(0);
  #ids = new Int32Array(0);

  constructor(options: UnigramOptions) {
    this.#options = options;
    this.#scores = new Float64Array(0);
  }

  /** Cuts well-formed text; neighbouring unknown characters make one segment. */
  segment(text: string): Segment[] {
    const { trie, scores, unknownId, unknownScore, precision } = this.#options;
    const round = precision === "float32" ? Math.fround : identity;
    this.#prepare(text.length + 1);
    for (let start = 0; start < text.length; ) {
      const scoreSoFar = this.#scores[start]!;
      const width = text.codePointAt(start)! > 0xffff ? 2 : 1;
      let characterIsPiece = false;
      let node = PieceTrie.root;
      for (let end = start; end < text.length; ) {
        node = trie.child(node, text.charCodeAt(end++));
        if (node < 0) break;
        const id = trie.value(node);
        if (id < 0) continue;
        this.#offer(end, start, id, round(scoreSoFar + scores[id]!));
        if (end - start === width) characterIsPiece = true;
      }
      if (!characterIsPiece) {
        this.#offer(start + width, start, unknownId, round(scoreSoFar + unknownScore));
      }
      start += width;
    }
    return this.#trace(text.length);
  }

  #prepare(size: number): void {
    if (this.#starts.length < size) {
      this.#scores =
        this.#options.precision === "float32" ? new Float32Array(size * 2) : new Float64Array(size * 2);
      this.#starts = new Int32Array(size * 2);
      this.#ids = new Int32Array(size * 2);
    }
    this.#starts.fill(-1, 0, size);
    this.#scores[0] = 0;
  }

  #offer(end: number, start: number, id: number, score: number): void {
    if (this.#starts[end] !== -1 && score <= this.#scores[end]!) return;
    this.#scores[end] = score;
    this.#starts[end] = start;
    this.#ids[end] = id;
  }

  #trace(length: number): Segment[] {
    const segments: Segment[] = [];
    for (let end = length; end > 0; ) {
      const id = this.#ids[end]!;
      let start = this.#starts[end]!;
      if (id === this.#options.unknownId) {
        while (start > 0 && this.#ids[start] === id) start = this.#starts[start]!;
      }
      segments.push({ id, start, end });
      end = start;
    }
    return segments.reverse();
  }
}

const identity = (value: number) => value;
