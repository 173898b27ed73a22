import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { smallModel, smallPieces, smallTokenizerJson } from "../../test/support/small-tokenizer.js";
import { loadTokenizer } from "./load-tokenizer.js";
import { defaultTrainer, writeSentencePieceModel } from "./sentencepiece-model.js";
import { loadTokenizerFolder } from "./tokenizer-folder.js";

const sentencePieceModel = writeSentencePieceModel(smallModel());
const tokenizerJson = JSON.stringify(smallTokenizerJson());
const configOf = (tokens: unknown, name = "additional_special_tokens") => JSON.stringify({ [name]: tokens });
const isoCodes = (tokenizerConfig?: string) =>
  loadTokenizer({
    sentencePieceModel,
    ...(tokenizerConfig !== undefined && { tokenizerConfig }),
  }).languages.map(({ iso }) => iso);

describe("loadTokenizer", () => {
  test("both files make the same tokenizer", () => {
    const tokenizerConfig = configOf(["en_XX", "de_DE"]);
    const ofModel = loadTokenizer({ sentencePieceModel, tokenizerConfig });
    const ofJson = loadTokenizer({ tokenizerJson });
    expect(ofModel.definition.pieces).toEqual(ofJson.definition.pieces);
    expect(ofModel.definition.scores).toEqual(ofJson.definition.scores);
    expect(ofModel.definition.specialTokens).toEqual(ofJson.definition.specialTokens);
    const text = " the <mask> dog…  e\u0301 de_DE ";
    expect(ofModel.encode(text, "en")).toEqual(ofJson.encode(text, "en"));
  });

  test("a SentencePiece model has the languages that tokenizer_config.json lists, in mBART-50's order", () => {
    expect(isoCodes(configOf(["fr_XX", "en_XX"]))).toEqual(["en", "fr"]);
    expect(isoCodes(configOf([{ content: "de_DE" }, "<s>", "<mask>"], "extra_special_tokens"))).toEqual([
      "de",
    ]);
  });

  test.each([undefined, "{}", configOf([]), configOf(null), configOf(["<s>"])])(
    "52 languages with %j",
    (config) => {
      expect(isoCodes(config)).toHaveLength(52);
    },
  );

  test("refuses special tokens that it cannot place", () => {
    expect(() => isoCodes(configOf(["en_XX", "<PERSON>"]))).toThrow(
      expect.objectContaining({ code: "option-unsupported", message: expect.stringContaining("<PERSON>") }),
    );
  });

  test.each(["", "[", '{"additional_special_tokens":"en_XX"}', "null"])(
    "refuses the configuration %j",
    (config) => {
      expect(() => isoCodes(config)).toThrow(expect.objectContaining({ code: "tokenizer-damaged" }));
    },
  );

  test("refuses models that are not mBART's, and none at all", () => {
    const other = writeSentencePieceModel(smallModel([...smallPieces].reverse()));
    expect(() => loadTokenizer({ sentencePieceModel: other })).toThrow(
      "expected its first pieces to be <unk> <s>",
    );
    for (const trainer of [
      { ...defaultTrainer, byteFallback: true },
      { ...defaultTrainer, modelType: "bpe" as const },
    ]) {
      const model = writeSentencePieceModel({ ...smallModel(), trainer });
      expect(() => loadTokenizer({ sentencePieceModel: model })).toThrow(
        expect.objectContaining({ code: "option-unsupported" }),
      );
    }
    expect(() => loadTokenizer({})).toThrow("The model has no tokenizer");
  });
});

describe("loadTokenizerFolder", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lingolens-tokenizer-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("needs one of the two files", async () => {
    await expect(loadTokenizerFolder(folder)).rejects.toMatchObject({ code: "file-not-found" });
    await writeFile(join(folder, "sentencepiece.bpe.model"), sentencePieceModel);
    expect((await loadTokenizerFolder(folder)).languages).toHaveLength(52);
    await writeFile(join(folder, "tokenizer_config.json"), configOf(["en_XX", "es_XX"]));
    expect((await loadTokenizerFolder(folder)).languages.map(({ iso }) => iso)).toEqual(["en", "es"]);
    await writeFile(join(folder, "tokenizer.json"), tokenizerJson);
    expect((await loadTokenizerFolder(folder)).languages.map(({ iso }) => iso)).toEqual(["de", "en"]);
  });
});
