import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { smallModel } from "../../test/support/small-tokenizer.js";
import { splitAtWhitespace } from "./fast-normalizer.js";
import { loadTokenizer, tokenizerOfModel } from "./load-tokenizer.js";
import { Mbart50Tokenizer } from "./mbart50-tokenizer.js";

describe("a small tokenizer", () => {
  const tokenizer = tokenizerOfModel(smallModel(), ["de_DE", "en_XX"]);
  const english = tokenizer.vocabularySize - 2;
  const [a, the, dog] = [5, 7, 6];

  test("lays its ids out as mBART-50", () => {
    expect(tokenizer.tokens([0, 1, 2, 3, 4, english - 1, english, tokenizer.maskId])).toEqual([
      "<s>",
      "<pad>",
      "</s>",
      "<unk>",
      "▁",
      "de_DE",
      "en_XX",
      "<mask>",
    ]);
    expect(tokenizer.vocabularySize).toBe(smallModel().pieces.length + 1 + 2 + 1);
    expect(tokenizer.languages.map(({ iso }) => iso)).toEqual(["de", "en"]);
    expect(tokenizer.languageId("en")).toBe(english);
    expect(tokenizer.languageId("en_XX")).toBe(english);
    expect(() => tokenizer.languageId("fr")).toThrow(expect.objectContaining({ code: "unknown-language" }));
  });

  test("encodes [language] tokens </s>", () => {
    expect(tokenizer.encode("the dog", "en")).toEqual([english, the, dog, 2]);
    expect(tokenizer.encode("", "de_DE")).toEqual([english - 1, 2]);
    expect(tokenizer.encode("the dog a a a", "en", { maxLength: 4 })).toEqual([english, the, dog, 2]);
  });

  test("decodes with and without special tokens, and leaves the text as it is", () => {
    expect(tokenizer.decode([2, english, the, dog, 4, 25, 2, 1])).toBe("the dog .");
    expect(tokenizer.decode([english, the, 2], { skipSpecialTokens: false })).toBe("en_XX the</s>");
    expect(tokenizer.decode([])).toBe("");
    expect(() => tokenizer.decode([a, tokenizer.vocabularySize])).toThrow(
      expect.objectContaining({ code: "checkpoint-mismatch" }),
    );
  });

  test("the text of the ids so far begins the text of all of them", () => {
    const ids = tokenizer.encode("the dog, a  dog… ½ 👍", "en");
    const text = tokenizer.decode(ids);
    for (let length = 0; length <= ids.length; length++) {
      expect(text.startsWith(tokenizer.decode(ids.slice(0, length)))).toBe(true);
    }
  });

  test("refuses a vocabulary of another layout", () => {
    const { definition } = tokenizer;
    const shifted = { ...definition, pieces: definition.pieces.slice(1) };
    expect(() => new Mbart50Tokenizer(shifted)).toThrow("expected <s> as id 0, got <pad>");
    const maskless = { ...definition, pieces: definition.pieces.slice(0, -1) };
    expect(() => new Mbart50Tokenizer(maskless)).toThrow("it has no <mask>");
  });
});

const shared = process.env.LINGOLENS_SHARED;
const fixtures = `${shared}/fixtures`;

interface Row {
  readonly lang: string;
  readonly text: string;
  readonly ids: number[];
  readonly decoded?: string;
}

interface Pair {
  readonly tokenizer: string;
  readonly impl: string;
  readonly text: string;
  readonly ids: number[];
  readonly add_special_tokens: boolean;
  readonly decoded?: string;
}

describe.skipIf(!shared)("mBART-50's vocabulary, as Hugging Face's fast tokenizer", () => {
  const tokenizers = shared
    ? {
        "sentencepiece.bpe.model": loadTokenizer({
          sentencePieceModel: readFileSync(
            `${fixtures}/tokenizers/xlm-roberta/xlmr-rebuilt.sentencepiece.bpe.model`,
          ),
        }),
        "tokenizer.json": loadTokenizer({
          tokenizerJson: gunzip(`${fixtures}/tokenizers/mbart50-rebuilt/tokenizer.json.gz`),
        }),
      }
    : {};

  describe.each(Object.entries(tokenizers))("from %s", (_, tokenizer) => {
    test("special ids", () => {
      expect(tokenizer.vocabularySize).toBe(250_054);
      expect(tokenizer.languages).toHaveLength(52);
      expect(["ar", "cs", "de", "en", "es", "fr"].map((iso) => tokenizer.languageId(iso))).toEqual([
        250_001, 250_002, 250_003, 250_004, 250_005, 250_008,
      ]);
      expect(tokenizer.maskId).toBe(250_053);
    });

    test("2,028 captions and odd texts", () => {
      const rows = gunzip(`${fixtures}/expected/mbart50_bulk_ids.jsonl.gz`).trim().split("\n");
      expect(rows).toHaveLength(2028);
      for (const row of rows) {
        const { lang, text, ids, decoded } = JSON.parse(row) as Row;
        expect(tokenizer.encode(text, lang), text).toEqual(ids);
        if (decoded !== undefined) expect(tokenizer.decode(ids), text).toBe(decoded);
      }
    });

    test("published pairs of mBART and XLM-R", () => {
      // These files cut at white space before all else, so that none survives before a special token or at the end.
      const atWhitespace = new Mbart50Tokenizer({
        ...tokenizer.definition,
        preTokenizers: [splitAtWhitespace, ...tokenizer.definition.preTokenizers],
      });
      const published: Record<string, [Mbart50Tokenizer, (ids: number[]) => number[]]> = {
        "facebook/mbart-large-50": [tokenizer, (ids) => [250_004, ...ids, 2]],
        "facebook/mbart-large-50-one-to-many-mmt": [tokenizer, (ids) => [250_004, ...ids, 2]],
        "Xenova/bge-reranker-base": [tokenizer, (ids) => [0, ...ids, 2]],
        "facebook/mbart-large-en-ro": [atWhitespace, (ids) => [...ids, 2, 250_004]],
        "xlm-roberta-base": [atWhitespace, (ids) => [0, ...ids, 2]],
        "FacebookAI/xlm-roberta-base": [atWhitespace, (ids) => [0, ...ids, 2]],
        "Xenova/paraphrase-multilingual-mpnet-base-v2": [atWhitespace, (ids) => [0, ...ids, 2]],
      };
      let compared = 0;
      for (const pair of readPairs()) {
        const [used, frame] = published[pair.tokenizer] ?? [];
        if (!used || !frame) continue;
        const ids = used.encodeText(pair.text);
        expect(pair.add_special_tokens ? frame(ids) : ids, `${pair.tokenizer}: ${pair.text}`).toEqual(
          pair.ids,
        );
        // The other pairs' texts are cleaned up: "word !" became "word!".
        if (pair.decoded !== undefined && pair.impl.startsWith("transformers v5")) {
          expect(used.decode(pair.ids, { skipSpecialTokens: false }), pair.text).toBe(pair.decoded);
        }
        compared++;
      }
      expect(compared).toBe(43);
    });
  });

  test("pairs of Hugging Face's fixture of 1,000 pieces", () => {
    const model = readFileSync(`${fixtures}/tokenizers/small-sentencepiece/test_sentencepiece.model`);
    const tokenizer = loadTokenizer({ sentencePieceModel: model });
    const pairs = readPairs().filter((pair) => pair.tokenizer.startsWith("fixture test_sentencepiece.model"));
    expect(pairs).toHaveLength(2);
    for (const { text, ids } of pairs) expect(tokenizer.encodeText(text)).toEqual(ids);
  });
});

describe.skipIf(!shared)("the tiny captioner's tokenizer", () => {
  const golden = `${shared}/goldens/tiny-e2e`;
  const read = (file: string) => readFileSync(`${golden}/${file}`);
  const expected = shared ? JSON.parse(read("expected.json").toString()) : {};

  test.each([
    [
      "sentencepiece.bpe.model",
      () => loadTokenizer({ sentencePieceModel: read("tokenizer/sentencepiece.bpe.model") }),
    ],
    ["tokenizer.json", () => loadTokenizer({ tokenizerJson: read("tokenizer/tokenizer.json").toString() })],
  ])("gives labels and captions from %s", (_, load) => {
    const tokenizer = load();
    expect(tokenizer.vocabularySize).toBe(1000);
    for (const { lang, caption, labels } of expected.teacher_forced) {
      expect(tokenizer.encode(caption, lang)).toEqual(labels);
    }
    for (const { sequences, texts } of expected.cases) {
      expect(sequences.map((ids: number[]) => tokenizer.decode(ids))).toEqual(texts);
    }
    expect(expected.cases).toHaveLength(240);
  });
});

function gunzip(path: string): string {
  return gunzipSync(readFileSync(path)).toString("utf8");
}

function readPairs(): Pair[] {
  return JSON.parse(readFileSync(`${fixtures}/expected/tokenization_pairs.json`, "utf8")).pairs;
}
