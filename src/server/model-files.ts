import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { LingolensError } from "../errors.js";

/** What `lingolens/browser` reads of a model folder. */
const NAMES = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "model.safetensors",
  "sentencepiece.bpe.model",
  "tokenizer_config.json",
  "tokenizer.json",
];

/** The files of a model folder, for browsers that run the model themselves. */
export class ModelFiles {
  private constructor(
    private readonly folder: string,
    private readonly sizes: ReadonlyMap<string, number>,
    /**
     * Path of the folder on the server, with a slash at its end. It changes with the model, since browsers keep files by
     * their URLs.
     */
    readonly path: string,
  ) {}

  /** @throws {LingolensError} `option-unsupported` where the weights do not lie there in one safetensors file */
  static async of(folder: string): Promise<ModelFiles> {
    const sizes = new Map<string, number>();
    const hash = createHash("sha256");
    for (const name of NAMES) {
      const found = await stat(join(folder, name)).catch(() => undefined);
      if (!found?.isFile()) continue;
      sizes.set(name, found.size);
      hash.update(`${name} ${found.size} ${found.mtimeMs}\n`);
    }
    if (!sizes.has("model.safetensors"))
      throw new LingolensError(
        "option-unsupported",
        `${folder}: browsers need the weights in one file, model.safetensors, and there is none. Convert the model with ` +
          "lingolens export, or leave --share-model out.",
      );
    return new ModelFiles(folder, sizes, `model/${hash.digest("hex").slice(0, 12)}/`);
  }

  /** Size in bytes of a file; undefined where there is none of this name. */
  size(name: string): number | undefined {
    return this.sizes.get(name);
  }

  read(name: string, signal: AbortSignal): ReadableStream {
    return Readable.toWeb(createReadStream(join(this.folder, name), { signal })) as ReadableStream;
  }
}
