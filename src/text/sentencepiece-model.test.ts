import { readFileSync } from "node:fs";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { smallModel, smallPieces } from "../../test/support/small-tokenizer.js";
import { SentencePiece } from "./sentencepiece.js";
import { type Piece, readSentencePieceModel, writeSentencePieceModel } from "./sentencepiece-model.js";

const bytes = writeSentencePieceModel(smallModel());

test("what is written is read again", () => {
  const model = {
    pieces: smallPieces,
    trainer: {
      modelType: "bpe",
      treatWhitespaceAsSuffix: true,
      byteFallback: true,
      unknownSurface: "?",
    } as const,
    normalizer: { ...smallModel().normalizer, addDummyPrefix: false, removeExtraWhitespaces: false },
    denormalizer: { ...smallModel().normalizer, name: "back", escapeWhitespaces: false },
  };
  expect(readSentencePieceModel(writeSentencePieceModel(model))).toEqual(model);
  expect(readSentencePieceModel(bytes)).toEqual(smallModel());
});

test("fields that a file leaves out have the schema's defaults, unknown ones are skipped", () => {
  const writer = new BinaryWriter();
  writer.tag(99, WireType.LengthDelimited).string("unknown");
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(3, WireType.Varint).int32(2).tag(1, WireType.LengthDelimited).string("<unk>").join();
  const { pieces, trainer, normalizer } = readSentencePieceModel(writer.finish());
  expect(pieces).toEqual([{ text: "<unk>", score: 0, type: "unknown" }]);
  expect(trainer.modelType).toBe("unigram");
  expect(trainer.unknownSurface).toBe(" \u2047 ");
  expect(normalizer).toMatchObject({
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  });
});

describe("a damaged model", () => {
  const withPieces = (...pieces: Piece[]) => writeSentencePieceModel(smallModel([...smallPieces, ...pieces]));

  test.each([
    ["no bytes", new Uint8Array(), "0 unknown pieces"],
    [
      "text",
      new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
      "cannot be read",
    ],
    ["a page", new TextEncoder().encode("<!DOCTYPE html><html></html>"), "cannot be read"],
    ["an empty piece", withPieces({ text: "", score: 0, type: "normal" }), "is empty"],
    ["a null character", withPieces({ text: "a\0", score: 0, type: "normal" }), "null character"],
    ["a piece that stands there twice", withPieces({ text: "dog", score: 0, type: "normal" }), "twice"],
    ["no score", withPieces({ text: "x", score: Number.NaN, type: "normal" }), "the score NaN"],
    ["two unknown pieces", withPieces({ text: "x", score: 0, type: "unknown" }), "2 unknown pieces"],
    ["a piece of 9 kB", withPieces({ text: "x".repeat(9000), score: 0, type: "normal" }), "longer than"],
  ])("is refused: %s", (_, damaged, reason) => {
    expect(() => readSentencePieceModel(damaged)).toThrow(
      expect.objectContaining({ code: "tokenizer-damaged", message: expect.stringContaining(reason) }),
    );
  });

  test("never fails but with tokenizer-damaged or option-unsupported, wherever it is cut or changed", () => {
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
    const changes = fc.array(change, { maxLength: 5 });
    fc.assert(
      fc.property(fc.nat(bytes.length), changes, (length, list) => {
        const damaged = bytes.slice(0, list.length > 0 ? bytes.length : length);
        for (const { at, to } of list) damaged[at] = to;
        try {
          const sentencePiece = new SentencePiece(readSentencePieceModel(damaged));
          const ids = sentencePiece.encode("Ａｂ  the dog… 👍 e\u0301\n").map(({ id }) => id);
          sentencePiece.decode(ids);
        } catch (error) {
          expect(["tokenizer-damaged", "option-unsupported"]).toContain((error as { code?: string }).code);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

const shared = process.env.LINGOLENS_SHARED;
describe.skipIf(!shared)("real models", () => {
  const folder = `${shared}/fixtures/tokenizers`;
  test.each([
    ["xlm-roberta/xlmr-rebuilt.sentencepiece.bpe.model", 250_000],
    ["small-sentencepiece/spiece.model", 30_000],
    ["small-sentencepiece/test_sentencepiece_with_bytefallback.model", 2000],
    ["marian/opus-mt-en-mg/source.spm", 32_000],
  ])("%s survives reading and writing", (file, size) => {
    const model = readSentencePieceModel(readFileSync(`${folder}/${file}`));
    expect(model.pieces).toHaveLength(size);
    expect(model.normalizer.name).toBe("nmt_nfkc");
    const again = readSentencePieceModel(writeSentencePieceModel(model));
    expect(again.pieces).toEqual(model.pieces);
    expect(again.trainer).toEqual(model.trainer);
    expect(Buffer.compare(again.normalizer.precompiledCharsMap, model.normalizer.precompiledCharsMap)).toBe(
      0,
    );
  });
});
