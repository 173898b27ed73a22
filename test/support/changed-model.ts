/** A model folder like another one, with some things changed. */
import { readFile } from "node:fs/promises";
import type { CaptionerConfig } from "../../src/model/config.js";
import { openModelFolder, type RawJson, writeModelFolder } from "../../src/weights/model-folder.js";

export interface ModelChanges {
  readonly config?: (config: CaptionerConfig) => CaptionerConfig;
  /** Gives a parameter's new values. */
  readonly parameter?: (name: string, values: Float32Array) => Float32Array;
  /** Instead of the model's own. */
  readonly generationConfig?: RawJson;
}

export async function writeChangedModel(from: string, to: string, changes: ModelChanges): Promise<void> {
  const { config, weights, tokenizerFiles, ...folder } = await openModelFolder(from);
  const parameters = [...weights].map(async ([name, { shape, read }]) => {
    const values = await read();
    return [name, { shape, data: changes.parameter?.(name, values) ?? values }] as const;
  });
  const files = [...tokenizerFiles].map(async ([name, path]) => [name, await readFile(path)] as const);
  await writeModelFolder(to, {
    config: changes.config?.(config) ?? config,
    parameters: new Map(await Promise.all(parameters)),
    tokenizerFiles: new Map(await Promise.all(files)),
    preprocessorConfig: folder.preprocessorConfig ?? {},
    generationConfig: changes.generationConfig ?? folder.generationConfig ?? {},
  });
}
