import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { smallModel } from "../../test/support/small-tokenizer.js";
import { loadTokenizer, tokenizerOfModel } from "./load-tokenizer.js";
import { writeTokenizerJson } from "./write-tokenizer-json.js";

const shared = process.env.LINGOLENS_SHARED;

describe("writeTokenizerJson", () => {
  it("gives back a tokenizer that cuts, decodes and knows languages alike", () => {
    const tokenizer = tokenizerOfModel(smallModel(), ["de_DE", "fr_XX"]);
    const again = loadTokenizer({ tokenizerJson: writeTokenizerJson(tokenizer) });
    expect(again.definition.pieces).toEqual(tokenizer.definition.pieces);
    expect(again.definition.scores).toEqual(tokenizer.definition.scores);
    expect(again.definition.specialTokens).toEqual(tokenizer.definition.specialTokens);
    expect(again.definition.precompiledCharsMap).toEqual(tokenizer.definition.precompiledCharsMap);
    for (const text of ["the  dog ﬁ½", " \tＡｂ\u0301 abc ", "a<mask>de_DE é👍", ""])
      expect(again.encode(text, "fr")).toEqual(tokenizer.encode(text, "fr"));
  });

  it("begins with the first language where there is no English", () => {
    const json = JSON.parse(writeTokenizerJson(tokenizerOfModel(smallModel(), ["de_DE", "fr_XX"])));
    expect(json.post_processor.single[0]).toEqual({ SpecialToken: { id: "de_DE", type_id: 0 } });
  });

  it.skipIf(!shared)("equals the file that Hugging Face made of the same SentencePiece model", () => {
    const file = (name: string) => readFileSync(join(shared!, "goldens/tiny-e2e/tokenizer", name));
    const tokenizer = loadTokenizer({ sentencePieceModel: file("sentencepiece.bpe.model") });
    expect(JSON.parse(writeTokenizerJson(tokenizer))).toEqual(JSON.parse(file("tokenizer.json").toString()));
  });
});
