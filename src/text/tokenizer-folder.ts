/** Reads the tokenizer of a model folder on disk. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { loadTokenizer } from "./load-tokenizer.js";
import type { Mbart50Tokenizer } from "./mbart50-tokenizer.js";

/**
 * The tokenizer in `sentencepiece.bpe.model` or `tokenizer.json`; the folder needs no weights.
 * @throws {LingolensError} `file-not-found` where the folder has neither file; else as `loadTokenizer`.
 */
export async function loadTokenizerFolder(folder: string): Promise<Mbart50Tokenizer> {
  const tokenizerJson = await readIfThere(join(folder, "tokenizer.json"));
  const sentencePieceModel = await readIfThere(join(folder, "sentencepiece.bpe.model"));
  const tokenizerConfig = await readIfThere(join(folder, "tokenizer_config.json"));
  if (!tokenizerJson && !sentencePieceModel) {
    throw new LingolensError(
      "file-not-found",
      `No tokenizer in ${folder}: expected sentencepiece.bpe.model or tokenizer.json there.`,
    );
  }
  return loadTokenizer({
    ...(sentencePieceModel && { sentencePieceModel }),
    ...(tokenizerJson && { tokenizerJson: tokenizerJson.toString("utf8") }),
    ...(tokenizerConfig && { tokenizerConfig: tokenizerConfig.toString("utf8") }),
  });
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
