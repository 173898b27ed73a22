import type { HostTensors } from "../engine/compile.js";
import type { ProgramWeights } from "../engine/programs.js";
import { LingolensError } from "../errors.js";
import type { WeightLocation } from "../graph/index.js";
import type { CaptionerConfig } from "../model/config.js";
import { captionerParameter } from "../weights/checkpoint-names.js";
import { bfloat16ToFloat32, float16ToFloat32 } from "../weights/half.js";
import { checkParameters, parameterShapes } from "../weights/parameter-shapes.js";
import {
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  type SafetensorsEntry,
} from "../weights/safetensors-header.js";

export const WEIGHTS_FILE = "model.safetensors";

const INT8_PARTS = /_(scale|smoothing)$/;

/**
 * The weights in the bytes of a `model.safetensors`: float32 and int8 stay where they are, others are widened.
 * @throws {LingolensError} `checkpoint-damaged`, `checkpoint-mismatch`
 */
export function browserWeights(bytes: Uint8Array, config: CaptionerConfig): ProgramWeights<CaptionerConfig> {
  const length = headerLength(bytes.subarray(0, LENGTH_BYTES), bytes.length, WEIGHTS_FILE);
  const json = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  const { tensors } = parseHeader(json, bytes.length, WEIGHTS_FILE);
  const locations = new Map<string, WeightLocation>();
  const converted: Record<string, HostTensors[string]> = {};
  const shapes = new Map<string, readonly number[]>();
  const int8 = new Set<string>();
  for (const [tensorName, entry] of tensors) {
    const part =
      INT8_PARTS.test(tensorName) && tensors.get(tensorName.replace(INT8_PARTS, ""))?.dtype === "I8";
    const name = part ? tensorName : captionerParameter(tensorName);
    // Tied copies come more than once; they are equal.
    if (name === undefined || shapes.has(name)) continue;
    const { dtype, shape, offset, length: byteLength } = entry;
    const place = { file: WEIGHTS_FILE, offset, byteLength };
    if (dtype === "I8") {
      int8.add(name);
      locations.set(name, { ...place, dtype: "int8" });
      shapes.set(name, shape.toReversed());
    } else {
      if (!part) shapes.set(name, shape);
      if (dtype === "F32" && offset % 4 === 0) locations.set(name, { ...place, dtype: "float32" });
      else converted[name] = { dtype: "float32", shape, data: widened(tensorName, bytes, entry) };
    }
  }
  addImplied(config, shapes, converted);
  checkParameters(shapes, parameterShapes(config), WEIGHTS_FILE);
  const size = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { config, locations, externalData: new Map([[WEIGHTS_FILE, bytes]]), converted, int8, size };
}

function widened(name: string, bytes: Uint8Array, { dtype, offset, length }: SafetensorsEntry): Float32Array {
  const { buffer } = bytes.slice(offset, offset + length);
  if (dtype === "F16") return float16ToFloat32(new Uint16Array(buffer));
  if (dtype === "BF16") return bfloat16ToFloat32(new Uint16Array(buffer));
  if (dtype === "F32") return new Float32Array(buffer);
  throw new LingolensError(
    "checkpoint-mismatch",
    `${WEIGHTS_FILE}: tensor ${name}: expected F32, F16, BF16 or our own int8, got ${dtype}.`,
  );
}

/** A bias of zeros, which checkpoints leave out because it changes nothing. */
function addImplied(
  { decoder: { vocabularySize } }: CaptionerConfig,
  shapes: Map<string, readonly number[]>,
  converted: Record<string, HostTensors[string]>,
): void {
  const name = "final_logits_bias";
  if (shapes.has(name)) return;
  const shape = [1, vocabularySize];
  shapes.set(name, shape);
  converted[name] = { dtype: "float32", shape, data: new Float32Array(vocabularySize) };
}
