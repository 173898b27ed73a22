/** A model whose weights are in int8: a quarter of the size, and two to three times as fast. */
import { createNativeEngine } from "../engine/native.js";
import { LingolensError } from "../errors.js";
import { expandInputs } from "../image/expand-inputs.js";
import type { PictureSource } from "../image/picture-source.js";
import { isInt8 } from "../quantization/cached-int8.js";
import { type QuantizationReport, quantizeModel } from "../quantization/quantize-model.js";
import type { ModelFolder } from "../weights/model-folder.js";
import type { ExportOptions } from "./parameters.js";

export interface Int8Options extends ExportOptions {
  /** Pictures on which the errors are measured, as a command line names them. Default: the examples. */
  readonly pictures?: readonly string[];
}

/**
 * Writes a model folder into a folder that is there.
 * @throws {LingolensError} `option-unsupported` for a model in int8; what is wrong with a picture
 */
export async function exportInt8(folder: ModelFolder, out: string, options: Int8Options): Promise<void> {
  const { pictures, signal, onProgress, onNotice } = options;
  if (isInt8(folder))
    throw new LingolensError(
      "option-unsupported",
      `${folder.path}: expected a model in floating point; its weights are in int8 already.`,
    );
  const engine = await createNativeEngine();
  try {
    const report = await quantizeModel(engine, folder, out, {
      ...(pictures && { pictures: await sourcesOf(pictures) }),
      signal,
      onProgress,
    });
    onNotice?.(summary(report));
  } finally {
    await engine.close();
  }
}

/** How many pictures are looked at: more change little and take their time. */
const MOST_PICTURES = 16;

async function sourcesOf(inputs: readonly string[]): Promise<PictureSource[]> {
  const sources: PictureSource[] = [];
  for await (const input of expandInputs(inputs)) {
    if ("error" in input) throw input.error;
    if (sources.length < MOST_PICTURES) sources.push(input.source);
  }
  return sources;
}

function summary({ int8, float32 }: QuantizationReport): string {
  const percent = (error: number): string => `${(100 * error).toFixed(1)} %`;
  const errors = [...int8.values()].sort((a, b) => a - b);
  const kept = [...float32].map(([name, error]) => `${name} (${percent(error)})`);
  return (
    `${int8.size} weights are in int8; the relative error of their products is ` +
    `${percent(errors[errors.length >> 1] ?? 0)} in the middle, ${percent(errors.at(-1) ?? 0)} at most.` +
    (kept.length > 0 ? ` In float32 stay ${kept.join(", ")}.` : "")
  );
}
