import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { smallModel, smallTokenizerJson } from "../../test/support/small-tokenizer.js";
import { loadTokenizer, tokenizerOfModel } from "./load-tokenizer.js";
import type { Mbart50Tokenizer } from "./mbart50-tokenizer.js";
import { trimTokenizer } from "./trim-tokenizer.js";

function fullIdsOf(trimmed: Mbart50Tokenizer, fullIds: Int32Array, text: string): number[] {
  return trimmed.encodeText(text).map((id) => fullIds[id]!);
}

describe("the small tokenizer", () => {
  const full = tokenizerOfModel(smallModel(), ["de_DE", "en_XX", "fr_XX"]);

  test("keeps what the texts use, their characters, ASCII and the lowest score", () => {
    const { tokenizer, fullIds } = trimTokenizer(full, { texts: ["the パ", "abc"], languages: ["fr", "en"] });
    const own = tokenizer.tokens([...fullIds.keys()]).slice(4, -3);
    // "abc" is not used, "▁a" and "bc" score higher; it is the piece with the lowest score.
    expect(own.join(" ")).toBe("▁ ▁a ▁the a b c d e f g h i o t A B パ . bc abc");
    expect(tokenizer.languages.map(({ iso }) => iso)).toEqual(["en", "fr"]);
    expect([...fullIds].slice(-3)).toEqual([full.languageId("en"), full.languageId("fr"), full.maskId]);
    expect([...fullIds].slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(tokenizer.tokens([...fullIds.keys()])).toEqual(full.tokens([...fullIds]));
  });

  test("its files load as the same tokenizer", () => {
    const options = { texts: ["the dog… ½ é", "👍"], languages: ["en"] };
    const { tokenizer, sentencePieceModel, tokenizerConfig } = trimTokenizer(full, options);
    const loaded = loadTokenizer({ sentencePieceModel, tokenizerConfig });
    expect(loaded.definition.pieces).toEqual(tokenizer.definition.pieces);
    expect(loaded.definition.scores).toEqual(tokenizer.definition.scores);
    expect(loaded.encode("the  dog…", "en")).toEqual(tokenizer.encode("the  dog…", "en"));
  });

  test("cuts all of its texts as the full one does", () => {
    const character = fc.constantFrom(..."abcdeghot .▁…½é👍ﾊﾟxß", "the", "dog", "<s>", "<mask>");
    fc.assert(
      fc.property(fc.array(fc.string({ unit: character, maxLength: 12 }), { maxLength: 5 }), (texts) => {
        const { tokenizer, fullIds } = trimTokenizer(full, { texts, languages: ["de"] });
        for (const text of texts) expect(fullIdsOf(tokenizer, fullIds, text)).toEqual(full.encodeText(text));
      }),
    );
  });

  test("refuses what it cannot keep equal", () => {
    const withStrip = { type: "Strip", strip_left: true, strip_right: true };
    const tokenizerJson = JSON.stringify({ ...smallTokenizerJson(), normalizer: withStrip });
    const stripping = loadTokenizer({ tokenizerJson });
    for (const [tokenizer, text] of [
      [stripping, "the dog "],
      [full, "fr_XX"],
    ] as const) {
      expect(() => trimTokenizer(tokenizer, { texts: [text], languages: ["en"] })).toThrow(
        expect.objectContaining({ code: "option-unsupported", message: expect.stringContaining(text) }),
      );
    }
    expect(() => trimTokenizer(full, { texts: [], languages: ["es"] })).toThrow(
      expect.objectContaining({ code: "unknown-language" }),
    );
  });
});

const shared = process.env.LINGOLENS_SHARED;
describe.skipIf(!shared)("mBART-50's vocabulary", () => {
  test("trimmed to 2,000 captions in four languages", () => {
    const fixtures = `${shared}/fixtures`;
    const file = `${fixtures}/tokenizers/xlm-roberta/xlmr-rebuilt.sentencepiece.bpe.model`;
    const full = loadTokenizer({ sentencePieceModel: readFileSync(file) });
    const rows = gunzipSync(readFileSync(`${fixtures}/expected/mbart50_bulk_ids.jsonl.gz`)).toString("utf8");
    const captions = rows
      .trim()
      .split("\n")
      .map((row) => JSON.parse(row) as { text: string; ids: number[] });
    const texts = captions.map(({ text }) => text);
    const trimmed = trimTokenizer(full, { texts, languages: ["en", "es", "de", "fr"] });
    const { sentencePieceModel, tokenizerConfig, fullIds } = trimmed;
    const tokenizer = loadTokenizer({ sentencePieceModel, tokenizerConfig });
    for (const { text, ids } of captions) {
      expect(fullIdsOf(tokenizer, fullIds, text)).toEqual(ids.slice(1, -1));
    }
    expect(tokenizer.vocabularySize).toBe(fullIds.length);
    expect(tokenizer.vocabularySize).toBeLessThan(6000);
    expect(tokenizer.decode(tokenizer.encode("Unseen words: quixotic zebras!", "en"))).toBe(
      "Unseen words: quixotic zebras!",
    );
  });
});
