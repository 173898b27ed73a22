/** The golden model as the original is published: its files on one page of the hub, its tokenizer on another. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { languages } from "../../src/text/languages.js";
import { type Piece, writeSentencePieceModel } from "../../src/text/sentencepiece-model.js";
import { ORIGINAL } from "../../src/weights/hub/reference.js";
import type { HubModel } from "./hub-server.js";
import { tinyModel } from "./model-folder-fixture.js";
import { smallModel, smallPieces } from "./small-tokenizer.js";

/** Tokens of the golden model. */
const VOCABULARY = 1000;
const TOKENIZER = "sentencepiece.bpe.model";

/** The pages of the hub that the original needs, by name. */
export async function originalOnHub(): Promise<Map<string, HubModel>> {
  const files = {
    "README.md": "# A model",
    "config.json": await file("config.json"),
    "flax_model.msgpack": await file("flax_model.msgpack"),
  };
  return new Map([
    [ORIGINAL, { files }],
    ["facebook/mbart-large-50", { licence: "mit", files: { [TOKENIZER]: tokenizer() } }],
  ]);
}

/** The same model as a folder, of the same weights in another format, and with Flax's epsilon. */
export async function writeSafetensorsModel(folder: string): Promise<void> {
  const config = JSON.parse((await file("config.json")).toString());
  config.mbart_config.layer_norm_eps = 1e-6;
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await writeFile(join(folder, "model.safetensors"), await file("model.safetensors"));
  await writeFile(join(folder, TOKENIZER), tokenizer());
}

function file(name: string): Promise<Buffer> {
  return readFile(join(tinyModel, name));
}

/** As many pieces as leave room for what mBART-50 adds: a token in front, the languages and the mask. */
function tokenizer(): Uint8Array {
  const count = VOCABULARY - languages.length - 2;
  const more = Array.from({ length: count - smallPieces.length }, (_, i): Piece => {
    return { text: `▁word${i}`, score: -20, type: "normal" };
  });
  return writeSentencePieceModel(smallModel([...smallPieces, ...more]));
}
