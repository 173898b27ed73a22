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

  test("keeps what the texts use, their characters, ASCII and the lowest score", async () => {
    const { tokenizer, fullIds } = await trimTokenizer(full, {
      texts: () => ["the パ", "abc"],
      languages: ["fr", "en"],
    });
    const own = tokenizer.tokens([...fullIds.keys()]).slice(4, -3);
    // "abc" is not used, "▁a" and "bc" score higher; it is the piece with the lowest score.
    expect(own.join(" ")).toBe("▁ ▁a ▁the a b c d e f g h i o t A B パ . bc abc");
    expect(tokenizer.languages.map(({ iso }) => iso)).toEqual(["en", "fr"]);
    expect([...fullIds].slice(-3)).toEqual([full.languageId("en"), full.languageId("fr"), full.maskId]);
    expect([...fullIds].slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(tokenizer.tokens([...fullIds.keys()])).toEqual(full.tokens([...fullIds]));
  });

  test("its files load as the same tokenizer", async () => {
    const options = { texts: () => ["the dog… ½ é", "👍"], languages: ["en"] };
    const { tokenizer, sentencePieceModel, tokenizerConfig } = await trimTokenizer(full, options);
    const loaded = loadTokenizer({ sentencePieceModel, tokenizerConfig });
    expect(loaded.definition.pieces).toEqual(tokenizer.definition.pieces);
    expect(loaded.definition.scores).toEqual(tokenizer.definition.scores);
    expect(loaded.encode("the  dog…", "en")).toEqual(tokenizer.encode("the  dog…", "en"));
  });

  test("cuts all of its texts as the full one does", async () => {
    const character = fc.constantFrom(..."abcdeghot .▁…½é👍ﾊﾟxß", "the", "dog", "<s>", "<mask>");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: character, maxLength: 12 }), { maxLength: 5 }),
        async (texts) => {
          const trimmed = await trimTokenizer(full, { texts: () => texts, languages: ["de"] });
          const { tokenizer, fullIds, textsCutAlike } = trimmed;
          for (const text of texts)
            expect(fullIdsOf(tokenizer, fullIds, text)).toEqual(full.encodeText(text));
          expect([trimmed.texts, textsCutAlike]).toEqual([texts.length, texts.length]);
        },
      ),
    );
  });

  test("a size that the texts need less than is filled with the most probable pieces", async () => {
    const options = { texts: () => ["the パ"], languages: ["en"] };
    const needed = await trimTokenizer(full, options);
    const size = needed.tokenizer.vocabularySize + 3;
    const { tokenizer, fullIds } = await trimTokenizer(full, { ...options, vocabularySize: size });
    expect(tokenizer.vocabularySize).toBe(size);
    const added = [...fullIds].filter((id) => !needed.fullIds.includes(id));
    // Of those left the best: −2.5, −5 and −5.5.
    expect(full.tokens(added)).toEqual(["▁a", "▁dog", "..."]);
  });

  test("a size that the texts need more than keeps the frequent pieces, and what can be cut as before is", async () => {
    const texts = ["パ", "the", "the", "dog", "dog", "dog", "ﬁ", "abc"];
    const counted = { texts: () => texts, languages: ["en"] };
    const largest = (await trimTokenizer(full, counted)).tokenizer.vocabularySize;
    for (let vocabularySize = largest; vocabularySize > largest - 4; vocabularySize--) {
      const trimmed = await trimTokenizer(full, { ...counted, vocabularySize });
      expect(trimmed.tokenizer.vocabularySize).toBe(vocabularySize);
      const alike = texts.filter((text) => {
        const ids = fullIdsOf(trimmed.tokenizer, trimmed.fullIds, text);
        return ids.join() === full.encodeText(text).join();
      });
      expect(alike).toEqual(expect.arrayContaining(["dog"]));
      expect(trimmed.textsCutAlike).toBe(alike.length);
    }
  });

  test.each([
    [10, "leaves room for 4 pieces"],
    [1000, "leaves room for 994 pieces"],
  ])("a size of %d is refused", async (vocabularySize, message) => {
    const options = { texts: () => [], languages: ["en"], vocabularySize };
    await expect(trimTokenizer(full, options)).rejects.toMatchObject({
      code: "option-unsupported",
      message: expect.stringContaining(message),
    });
  });

  test("refuses what it cannot keep equal", async () => {
    const withStrip = { type: "Strip", strip_left: true, strip_right: true };
    const tokenizerJson = JSON.stringify({ ...smallTokenizerJson(), normalizer: withStrip });
    const stripping = loadTokenizer({ tokenizerJson });
    for (const [tokenizer, text] of [
      [stripping, "the dog "],
      [full, "fr_XX"],
    ] as const) {
      await expect(
        trimTokenizer(tokenizer, { texts: () => [text], languages: ["en"] }),
      ).rejects.toMatchObject({ code: "option-unsupported", message: expect.stringContaining(text) });
    }
    await expect(trimTokenizer(full, { texts: () => [], languages: ["es"] })).rejects.toMatchObject({
      code: "unknown-language",
    });
  });
});

const shared = process.env.LINGOLENS_SHARED;
describe.skipIf(!shared)("mBART-50's vocabulary", () => {
  test("trimmed to 2,000 captions in four languages", async () => {
    const fixtures = `${shared}/fixtures`;
    const file = `${fixtures}/tokenizers/xlm-roberta/xlmr-rebuilt.sentencepiece.bpe.model`;
    const full = loadTokenizer({ sentencePieceModel: readFileSync(file) });
    const rows = gunzipSync(readFileSync(`${fixtures}/expected/mbart50_bulk_ids.jsonl.gz`)).toString("utf8");
    const captions = rows
      .trim()
      .split("\n")
      .map((row) => JSON.parse(row) as { text: string; ids: number[] });
    const texts = captions.map(({ text }) => text);
    const trimmed = await trimTokenizer(full, { texts: () => texts, languages: ["en", "es", "de", "fr"] });
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
