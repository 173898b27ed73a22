/** The golden model as the original is published: its files on one page of the hub, its tokenizer on another. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { languages } from "../../src/text/languages.js";
import { type Piece, writeSentencePieceModel } from "../../src/text/sentencepiece-model.js";
import { ORIGINAL } from "../../src/weights/hub/reference.js";
import type { HubModel } from "./hub-server.js";
import { tinyModel } from "./model-folder-fixture.js";
import { smallModel, smallPieces } from "./small-tokenizer.js";

/** Tokens of the golden model. */
const VOCABULARY = 1000;

/** The pages of the hub that the original needs, by name. */
export async function originalOnHub(weights: string): Promise<Map<string, HubModel>> {
  const file = (name: string): Promise<Buffer> => readFile(join(tinyModel, name));
  const files = {
    "config.json": await file("config.json"),
    [weights]: await file(weights),
    "README.md": "# A model",
  };
  return new Map([
    [ORIGINAL, { files }],
    ["facebook/mbart-large-50", { licence: "mit", files: { "sentencepiece.bpe.model": tokenizer() } }],
  ]);
}

/** As many pieces as leave room for what mBART-50 adds: a token in front, the languages and the mask. */
function tokenizer(): Uint8Array {
  const count = VOCABULARY - languages.length - 2;
  const more = Array.from({ length: count - smallPieces.length }, (_, i): Piece => {
    return { text: `▁word${i}`, score: -20, type: "normal" };
  });
  return writeSentencePieceModel(smallModel([...smallPieces, ...more]));
}
