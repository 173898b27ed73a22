/** The original's layout: its nested config and Flax's weights. */
import { join } from "node:path";
import { writeConfig } from "../model/config.js";
import { type FlaxTree, writeFlaxMsgpack } from "../weights/flax-writer.js";
import type { ModelFolder } from "../weights/model-folder.js";
import type { SafetensorsSource } from "../weights/safetensors.js";
import { copyTokenizer, writeGenerationConfig, writeJson, writePreprocessorConfig } from "./folder-files.js";
import { type ExportOptions, type Parameter, tracked } from "./parameters.js";

/** The epsilon that Flax's mBART computes with, whatever the config says. */
const FLAX_EPSILON = 1e-6;

/** Writes the model's files into a folder that is there. */
export async function exportFlax(
  folder: ModelFolder,
  out: string,
  options: ExportOptions = {},
): Promise<void> {
  const { layerNormEps } = folder.config.decoder;
  if (layerNormEps !== FLAX_EPSILON) {
    options.onNotice?.(
      `The decoder's norms have the epsilon ${layerNormEps}, which config.json records and lingolens heeds. The ` +
        `original's program always computes with ${FLAX_EPSILON}; its logits will differ by some thousandths.`,
    );
  }
  await writeJson(out, "config.json", writeConfig(folder.config));
  await writeGenerationConfig(folder, out);
  await writePreprocessorConfig(folder, out);
  await copyTokenizer(folder, out);
  const arrays = new Map([...folder.weights].map(([name, parameter]) => flaxArray(name, parameter)));
  await writeFlaxMsgpack(join(out, "flax_model.msgpack"), flaxTree(tracked(arrays, options)));
}

/** Modules that have an embedding or a norm's scale where all others have a kernel. */
const EMBEDDING = /(^|\.)(shared|embed_positions|position_embedding)\.weight$/;
const NORM = /(layer_?norm\w*|layrnorm)\.weight$/;

/** A parameter's path in Flax, joined by dots, and its values in Flax's order of axes. */
function flaxArray(name: string, { shape, read }: Parameter): [string, SafetensorsSource] {
  const as = (word: string) => name.replace(/weight$/, word);
  const same: SafetensorsSource = { dtype: "F32", shape, data: read };
  if (EMBEDDING.test(name)) return [as("embedding"), same];
  if (NORM.test(name)) return [as("scale"), same];
  if (!name.endsWith(".weight")) return [name, same];
  const [outputs, inputs, ...places] = shape as [number, number, ...number[]];
  const kernel: SafetensorsSource = {
    dtype: "F32",
    shape: [...places, inputs, outputs],
    data: async () => toKernel(await read(), outputs, inputs),
  };
  return [as("kernel"), kernel];
}

/** Rows and columns that are worked on together, so that what was fetched from memory is used before it is gone. */
const BLOCK = 32;

/** [out, in, ...places] as [...places, in, out]. */
function toKernel(values: Float32Array, outputs: number, inputs: number): Float32Array {
  const kernel = new Float32Array(values.length);
  const columns = values.length / outputs;
  const places = columns / inputs;
  for (let rowBlock = 0; rowBlock < outputs; rowBlock += BLOCK) {
    const rowEnd = Math.min(outputs, rowBlock + BLOCK);
    for (let columnBlock = 0; columnBlock < columns; columnBlock += BLOCK) {
      const columnEnd = Math.min(columns, columnBlock + BLOCK);
      for (let column = columnBlock; column < columnEnd; column++) {
        // [input, place] becomes [place, input].
        const target = (column % places) * inputs + Math.floor(column / places);
        for (let row = rowBlock; row < rowEnd; row++)
          kernel[target * outputs + row] = values[row * columns + column]!;
      }
    }
  }
  return kernel;
}

/** The tree that paths joined by dots stand for, sorted by name. */
function flaxTree(arrays: ReadonlyMap<string, SafetensorsSource>): FlaxTree {
  const root = new Map<string, FlaxTree | SafetensorsSource>();
  for (const path of [...arrays.keys()].sort()) {
    const modules = path.split(".");
    const leaf = modules.pop()!;
    let branch = root;
    for (const module of modules) {
      if (!branch.has(module)) branch.set(module, new Map());
      branch = branch.get(module) as typeof root;
    }
    branch.set(leaf, arrays.get(path)!);
  }
  return root;
}
