/**
 * The table of character rewritings inside a SentencePiece model (`precompiled_charsmap`), such as Unicode's NFKC
 * with the additions of machine translation ("nmt_nfkc"): a uint32 with the trie's size in bytes, the trie, then
 * the replacement texts in UTF-8, each closed by a zero byte. The trie is a Darts-clone double array
 * (https://github.com/s-yata/darts-clone) over the bytes of the text to be replaced; its values are offsets into
 * the replacement texts.
 */
import { LingolensError } from "../errors.js";

export interface CharsMapMatch {
  /** UTF-8 bytes of text that the rule replaces. */
  readonly length: number;
  readonly replacement: string;
}

// The longest rewriting of NFKC (U+FDFA) takes 33 bytes. The limit keeps a hostile file from blowing up a text.
const maximalReplacementBytes = 1024;

export class CharsMap {
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;
  readonly #decoder = new TextDecoder();
  readonly #decoded = new Map<number, string>();

  /** @throws {LingolensError} `tokenizer-damaged` where the bytes do not hold what they promise. */
  constructor(readonly bytes: Uint8Array) {
    if (bytes.length < 8) throw damaged(`${bytes.length} bytes cannot hold one`);
    const trieBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
      throw damaged(`its trie should take ${trieBytes} bytes, the whole has ${bytes.length}`);
    }
    // A copy, because a view must be aligned. The file and every machine that runs JavaScript are little-endian.
    this.#units = new Uint32Array(new Uint8Array(bytes.subarray(4, 4 + trieBytes)).buffer);
    this.#texts = bytes.subarray(4 + trieBytes);
  }

  /** The longest rule that `utf8` begins with from `start` on: SentencePiece's choice. */
  longestMatch(utf8: Uint8Array, start = 0): CharsMapMatch | undefined {
    return this.#match(utf8, start, false);
  }

  /** The shortest one: the choice of Hugging Face's tokenizers. */
  shortestMatch(utf8: Uint8Array, start = 0): CharsMapMatch | undefined {
    return this.#match(utf8, start, true);
  }

  #match(utf8: Uint8Array, start: number, shortest: boolean): CharsMapMatch | undefined {
    let node = offsetOf(this.#unit(0));
    let length = 0;
    let value = 0;
    for (let at = start; at < utf8.length; at++) {
      const byte = utf8[at]!;
      // Zero is the label of values, not of a byte.
      if (byte === 0) break;
      node ^= byte;
      // Nothing may stand at the end of the array: no rule goes on with this byte.
      if (node >= this.#units.length) break;
      const unit = this.#unit(node);
      if ((unit & 0x8000_00ff) !== byte) break;
      node ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        length = at + 1 - start;
        value = this.#unit(node) & 0x7fff_ffff;
        if (shortest) break;
      }
    }
    return length === 0 ? undefined : { length, replacement: this.#replacement(value) };
  }

  #unit(node: number): number {
    const unit = this.#units[node];
    if (unit === undefined) throw damaged(`its trie points to unit ${node} of ${this.#units.length}`);
    return unit;
  }

  #replacement(offset: number): string {
    let text = this.#decoded.get(offset);
    if (text === undefined) {
      const end = this.#texts.indexOf(0, offset);
      if (end < 0) throw damaged(`a rule points to byte ${offset} of ${this.#texts.length} bytes of texts`);
      if (end - offset > maximalReplacementBytes) throw damaged(`a replacement takes ${end - offset} bytes`);
      text = this.#decoder.decode(this.#texts.subarray(offset, end));
      this.#decoded.set(offset, text);
    }
    return text;
  }
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}

function damaged(reason: string): LingolensError {
  return new LingolensError(
    "tokenizer-damaged",
    `The tokenizer's table of character rewritings (precompiled_charsmap) is damaged: ${reason}. ` +
      "Fetch the tokenizer's files again from where the model was published.",
  );
}
