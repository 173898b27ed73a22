import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { smallModel, smallPieces } from "../../test/support/small-tokenizer.js";
import { SentencePiece } from "./sentencepiece.js";
import { defaultTrainer, type Piece, readSentencePieceModel } from "./sentencepiece-model.js";

interface Case {
  readonly text: string;
  readonly sentencePiece: number[];
  readonly pieces: string[];
  readonly sentencePieceText: string;
}

const { cases } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/text/small-tokenizer.json", import.meta.url), "utf8"),
) as { cases: Case[] };

describe("the small model, as the C++ library", () => {
  const sentencePiece = new SentencePiece(smallModel());

  test.each(cases)("encodes and decodes $text", ({ text, sentencePiece: ids, pieces, sentencePieceText }) => {
    const encoded = sentencePiece.encode(text);
    expect(encoded.map(({ id }) => id)).toEqual(ids);
    expect(encoded.map((piece) => piece.text)).toEqual(pieces);
    expect(sentencePiece.decode(ids)).toBe(sentencePieceText);
  });

  test("decodes control pieces to nothing and refuses ids that do not exist", () => {
    expect(sentencePiece.decode([1, 5, 2])).toBe("dog");
    expect(() => sentencePiece.decode([1000])).toThrow(RangeError);
  });
});

test("user-defined pieces are taken whole and as they are written", () => {
  const pieces: Piece[] = [...smallPieces, { text: "dog½", score: 0, type: "user-defined" }];
  const sentencePiece = new SentencePiece(smallModel(pieces));
  expect(sentencePiece.encode("the dog½ ½").map(({ text }) => text)).toEqual([
    "▁the",
    "▁",
    "dog½",
    "▁",
    "1/2",
  ]);
});

test("unused pieces are not used", () => {
  const pieces = smallPieces.map(
    (piece): Piece => (piece.text === "▁dog" ? { ...piece, type: "unused" } : piece),
  );
  expect(new SentencePiece(smallModel(pieces)).encode("dog").map(({ text }) => text)).toEqual(["▁", "dog"]);
});

test("the unknown surface and the decoder's white space follow the model", () => {
  const model = { ...smallModel(), trainer: { ...defaultTrainer, unknownSurface: "?" } };
  expect(new SentencePiece(model).decode([3, 3, 4, 0, 4])).toBe("a? a");
  const { normalizer } = smallModel();
  const keeping = { ...smallModel(), normalizer: { ...normalizer, removeExtraWhitespaces: false } };
  expect(new SentencePiece(keeping).decode([3, 3, 4])).toBe("  a");
});

describe("byte fallback", () => {
  const bytePieces = Array.from({ length: 256 }, (_, byte): Piece => {
    const text = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    return { text, score: 0, type: "byte" };
  });
  const trainer = { ...defaultTrainer, byteFallback: true };
  const first = smallPieces.length;

  test("spells unknown characters in bytes", () => {
    const sentencePiece = new SentencePiece({ ...smallModel([...smallPieces, ...bytePieces]), trainer });
    const ids = sentencePiece.encode("aß").map(({ id }) => id);
    expect(ids).toEqual([4, first + 0xc3, first + 0x9f]);
    expect(sentencePiece.decode(ids)).toBe("aß");
    expect(sentencePiece.decode([4, first + 0xe2, first + 0x82, 4])).toBe("a\ufffd\ufffd a");
  });

  test("needs all bytes", () => {
    const model = { ...smallModel([...smallPieces, ...bytePieces.slice(1)]), trainer };
    expect(() => new SentencePiece(model)).toThrow(expect.objectContaining({ code: "tokenizer-damaged" }));
  });
});

test("models of other types are refused", () => {
  const model = { ...smallModel(), trainer: { ...defaultTrainer, modelType: "bpe" as const } };
  expect(() => new SentencePiece(model)).toThrow(expect.objectContaining({ code: "option-unsupported" }));
});

const shared = process.env.LINGOLENS_SHARED;
describe.skipIf(!shared)("Marian's models, as transformers", () => {
  interface MarianPair {
    readonly tokenizer: string;
    readonly side: "source" | "target";
    readonly text: string;
    readonly ids: number[];
  }
  const fixtures = `${shared}/fixtures`;
  const readJson = (path: string) => JSON.parse(readFileSync(`${fixtures}/${path}`, "utf8"));
  const { pairs } = shared ? readJson("expected/marian_tokenization_generated.json") : { pairs: [] };

  test("all pairs", () => {
    expect(pairs.length).toBeGreaterThan(0);
    for (const { tokenizer, side, text, ids } of pairs as MarianPair[]) {
      const folder = `tokenizers/marian/${tokenizer}`;
      const vocabulary = readJson(`${folder}/vocab.json`) as Record<string, number>;
      const model = readSentencePieceModel(readFileSync(`${fixtures}/${folder}/${side}.spm`));
      const pieces = new SentencePiece(model).encode(text).map((piece) => piece.text);
      const unknown = vocabulary["<unk>"]!;
      expect([...pieces.map((piece) => vocabulary[piece] ?? unknown), vocabulary["</s>"]!], text).toEqual(
        ids,
      );
    }
  });
});
