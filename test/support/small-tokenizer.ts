/** A SentencePiece model small enough to follow by hand, with a table of character rewritings of its own. */
import {
  defaultNormalizer,
  defaultTrainer,
  type Piece,
  type SentencePieceModel,
} from "../../src/text/sentencepiece-model.js";

export const smallRules: Readonly<Record<string, string>> = {
  "\t": " ",
  "\n": " ",
  "\r": " ",
  "\u00a0": " ",
  "\u200b": "",
  "\ufffd": " ",
  "…": "...",
  "½": "1/2",
  ﬁ: "fi",
  Ａ: "A",
  Ａｂ: "AB",
  "e\u0301": "é",
  ﾊ: "ハ",
  ﾊﾟ: "パ",
};

const normal: Readonly<Record<string, number>> = {
  "▁": -2,
  "▁a": -2.5,
  "▁dog": -5,
  "▁the": -4,
  "▁fi": -6,
  a: -3,
  b: -3.5,
  c: -4.25,
  d: -4,
  e: -3,
  f: -4.5,
  g: -4.5,
  h: -5,
  i: -4,
  o: -4,
  t: -4,
  A: -5,
  B: -6,
  é: -6,
  ハ: -9,
  パ: -9.5,
  ".": -3,
  "...": -5.5,
  "..": -6,
  "1/2": -8,
  ab: -6,
  bc: -7.5,
  abc: -10,
  dog: -8,
  og: -7.75,
  he: -7,
  the: -9,
  "👍": -10,
};

export const smallPieces: readonly Piece[] = [
  { text: "<unk>", score: 0, type: "unknown" },
  { text: "<s>", score: 0, type: "control" },
  { text: "</s>", score: 0, type: "control" },
  ...Object.entries(normal).map(
    ([text, score]): Piece => ({ text, score: Math.fround(score), type: "normal" }),
  ),
];

export function smallModel(pieces: readonly Piece[] = smallPieces): SentencePieceModel {
  return {
    pieces,
    trainer: defaultTrainer,
    normalizer: { ...defaultNormalizer, name: "small", precompiledCharsMap: buildCharsMap(smallRules) },
  };
}

/** The bytes that `CharsMap` reads. A plain builder of Darts-clone double arrays, fit for a handful of rules. */
export function buildCharsMap(rules: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const units = [0];
  const used = new Set([0]);
  const bases = new Set<number>();
  const texts: number[] = [];

  const place = (at: number, keys: readonly (readonly [readonly number[], number])[]) => {
    const labels = [...new Set(keys.map(([bytes]) => bytes[0] ?? 0))];
    let base = 1;
    // Two nodes with one base would each find the other's children.
    while (bases.has(base) || labels.some((label) => used.has(base ^ label))) base++;
    bases.add(base);
    for (const label of labels) used.add(base ^ label);
    units[at] = (units[at] ?? 0) | ((at ^ base) << 10) | (labels.includes(0) ? 1 << 8 : 0);
    for (const label of labels) {
      const below = keys.filter(([bytes]) => (bytes[0] ?? 0) === label);
      if (label === 0) units[base] = (below[0]![1] | 0x8000_0000) >>> 0;
      else {
        units[base ^ label] = label;
        place(
          base ^ label,
          below.map(([bytes, value]) => [bytes.slice(1), value] as const),
        );
      }
    }
  };

  const keys = Object.entries(rules).map(([from, to]) => {
    const value = texts.length;
    texts.push(...encoder.encode(to), 0);
    return [[...encoder.encode(from)], value] as const;
  });
  place(0, keys);

  // SentencePiece takes whole blocks of 256 units only.
  const length = Math.ceil((Math.max(...used) + 1) / 256) * 256;
  const trie = Uint32Array.from({ length }, (_, index) => units[index] ?? 0);
  const bytes = new Uint8Array(4 + trie.byteLength + texts.length);
  new DataView(bytes.buffer).setUint32(0, trie.byteLength, true);
  bytes.set(new Uint8Array(trie.buffer), 4);
  bytes.set(texts, 4 + trie.byteLength);
  return bytes;
}

/** `tokenizer.json` of the small model, as `MBart50TokenizerFast` would save it, with two languages. */
export function smallTokenizerJson(): Record<string, unknown> & {
  model: Record<string, unknown> & { vocab: [string, number][] };
} {
  const front = ["<s>", "<pad>", "</s>", "<unk>"];
  const back = ["de_DE", "en_XX", "<mask>"];
  const own = smallPieces.slice(3).map(({ text, score }): [string, number] => [text, score]);
  const special = (text: string): [string, number] => [text, 0];
  const vocab = [...front.map(special), ...own, ...back.map(special)];
  const isSpecial = ([text]: [string, number]) => front.includes(text) || back.includes(text);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: vocab.flatMap((entry, id) => {
      const [content] = entry;
      if (!isSpecial(entry)) return [];
      return [
        {
          id,
          content,
          single_word: false,
          lstrip: content === "<mask>",
          rstrip: false,
          normalized: false,
          special: true,
        },
      ];
    }),
    normalizer: {
      type: "Sequence",
      normalizers: [
        {
          type: "Precompiled",
          precompiled_charsmap: Buffer.from(buildCharsMap(smallRules)).toString("base64"),
        },
        { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
      ],
    },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    post_processor: null,
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    model: { type: "Unigram", unk_id: 3, byte_fallback: false, vocab },
  };
}
