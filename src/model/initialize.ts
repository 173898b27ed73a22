import type { CaptionerConfig } from "./config.js";
import { normalNumbers } from "./random.js";

/**
 * Values to start training from: norms 1 and 0, biases 0, matrices normal with deviation 1/√inputs, and those that
 * write into the residual stream smaller by √(2·layers), so that the stream keeps its size whatever the depth
 * (as GPT-2, Radford et al. 2019). The embedding, which also is the head, starts at 1/√hidden.
 */
export function initializeParameters(
  config: CaptionerConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Map<string, Float32Array> {
  const normal = normalNumbers(seed);
  return new Map(
    [...shapes].map(([name, shape]) => {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      const deviation = initialDeviation(name, shape, config);
      if (deviation > 0) for (let i = 0; i < values.length; i++) values[i] = normal() * deviation;
      else if (isNormWeight(name)) values.fill(1);
      return [name, values] as const;
    }),
  );
}

const isNormWeight = (name: string): boolean => /(norm\d?|layrnorm|layernorm_embedding)\.weight$/.test(name);

function initialDeviation(
  name: string,
  shape: readonly number[],
  { vision, decoder }: CaptionerConfig,
): number {
  if (isNormWeight(name) || name.endsWith("bias")) return 0;
  if (name.endsWith("class_embedding") || name.includes("position")) return 0.02;
  if (name === "model.shared.weight") return decoder.hiddenSize ** -0.5;
  const inputs = shape.slice(1).reduce((a, b) => a * b, 1);
  const writesToStream = /(out_proj|fc2)\.weight$/.test(name);
  // A decoder layer writes to its stream three times, an encoder layer twice.
  const writes = name.startsWith("model.decoder") ? 3 * decoder.layers : 2 * vision.layers;
  return inputs ** -0.5 * (writesToStream ? writes ** -0.5 : 1);
}
