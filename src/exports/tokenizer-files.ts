import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { languages } from "../text/languages.js";
import { type Mbart50Tokenizer, maskToken } from "../text/mbart50-tokenizer.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { writeTokenizerJson } from "../text/write-tokenizer-json.js";
import type { ModelFolder } from "../weights/model-folder.js";
import { writeJson } from "./folder-files.js";

/**
 * Writes a model's tokenizer into another folder, for programs that read `tokenizer.json`: it is made where the model
 * has only the SentencePiece model.
 */
export async function writeFastTokenizer({ path, tokenizerFiles }: ModelFolder, out: string): Promise<void> {
  const tokenizer = await loadTokenizerFolder(path);
  for (const name of ["sentencepiece.bpe.model", "tokenizer.json"]) {
    const file = tokenizerFiles.get(name);
    if (file !== undefined) await writeFile(join(out, name), await readFile(file));
  }
  if (!tokenizerFiles.has("tokenizer.json"))
    await writeFile(join(out, "tokenizer.json"), writeTokenizerJson(tokenizer));
  await writeJson(out, "tokenizer_config.json", tokenizerConfig(tokenizer));
}

function tokenizerConfig(tokenizer: Mbart50Tokenizer): Record<string, unknown> {
  // Hugging Face's class for mBART-50 takes all 52 languages to be there, and adds those that are not.
  const complete = tokenizer.languages.length === languages.length;
  return {
    tokenizer_class: complete ? "MBart50TokenizerFast" : "PreTrainedTokenizerFast",
    bos_token: "<s>",
    eos_token: "</s>",
    cls_token: "<s>",
    sep_token: "</s>",
    pad_token: "<pad>",
    unk_token: "<unk>",
    mask_token: maskToken,
    ...(!complete && { additional_special_tokens: tokenizer.languages.map(({ code }) => code) }),
  };
}
