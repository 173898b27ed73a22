/** The parameters of the captioner and their shapes, by the names of the original's PyTorch checkpoint. */
import { LingolensError } from "../errors.js";
import type { CaptionerConfig, DecoderConfig, VisionConfig } from "../model/config.js";

export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

/** mBART's table of learned positions has two rows before the first position, for reasons of fairseq. */
const POSITION_OFFSET = 2;

/** Tied weights once: `model.shared.weight` is the decoder's embedding and its head. Linear weights are [out, in]. */
export function parameterShapes(config: CaptionerConfig): Map<string, readonly number[]> {
  const { vision, decoder } = config;
  return new Map([
    ["final_logits_bias", [1, decoder.vocabularySize]],
    ["model.shared.weight", [decoder.vocabularySize, decoder.hiddenSize]],
    ...linear("model.visual_projection", decoder.hiddenSize, vision.hiddenSize),
    ...visionShapes("model.encoder.vision_model", vision),
    ...decoderShapes("model.decoder", decoder),
  ]);
}

type Entry = [name: string, shape: readonly number[]];

function visionShapes(prefix: string, config: VisionConfig): Entry[] {
  const { hiddenSize, patchSize, channels, intermediateSize } = config;
  const patches = (config.imageSize / patchSize) ** 2;
  return [
    [`${prefix}.embeddings.class_embedding`, [hiddenSize]],
    [`${prefix}.embeddings.patch_embedding.weight`, [hiddenSize, channels, patchSize, patchSize]],
    [`${prefix}.embeddings.position_embedding.weight`, [patches + 1, hiddenSize]],
    ...norm(`${prefix}.pre_layrnorm`, hiddenSize), // so spelt in every checkpoint
    ...norm(`${prefix}.post_layernorm`, hiddenSize),
    ...layers(`${prefix}.encoder.layers`, config.layers, (layer) => [
      ...norm(`${layer}.layer_norm1`, hiddenSize),
      ...norm(`${layer}.layer_norm2`, hiddenSize),
      ...attention(`${layer}.self_attn`, hiddenSize),
      ...linear(`${layer}.mlp.fc1`, intermediateSize, hiddenSize),
      ...linear(`${layer}.mlp.fc2`, hiddenSize, intermediateSize),
    ]),
  ];
}

function decoderShapes(prefix: string, config: DecoderConfig): Entry[] {
  const { hiddenSize, ffnDim } = config;
  return [
    [`${prefix}.embed_positions.weight`, [config.maxPositions + POSITION_OFFSET, hiddenSize]],
    ...norm(`${prefix}.layernorm_embedding`, hiddenSize),
    ...norm(`${prefix}.layer_norm`, hiddenSize),
    ...layers(`${prefix}.layers`, config.layers, (layer) => [
      ...attention(`${layer}.self_attn`, hiddenSize),
      ...norm(`${layer}.self_attn_layer_norm`, hiddenSize),
      ...attention(`${layer}.encoder_attn`, hiddenSize),
      ...norm(`${layer}.encoder_attn_layer_norm`, hiddenSize),
      ...linear(`${layer}.fc1`, ffnDim, hiddenSize),
      ...linear(`${layer}.fc2`, hiddenSize, ffnDim),
      ...norm(`${layer}.final_layer_norm`, hiddenSize),
    ]),
  ];
}

function layers(prefix: string, count: number, layer: (prefix: string) => Entry[]): Entry[] {
  return Array.from({ length: count }, (_, index) => layer(`${prefix}.${index}`)).flat();
}

function attention(prefix: string, size: number): Entry[] {
  return ["k_proj", "v_proj", "q_proj", "out_proj"].flatMap((name) =>
    linear(`${prefix}.${name}`, size, size),
  );
}

function linear(prefix: string, outputs: number, inputs: number): Entry[] {
  return [
    [`${prefix}.weight`, [outputs, inputs]],
    [`${prefix}.bias`, [outputs]],
  ];
}

function norm(prefix: string, size: number): Entry[] {
  return [
    [`${prefix}.weight`, [size]],
    [`${prefix}.bias`, [size]],
  ];
}

/**
 * Compares a checkpoint's parameters with those of its config.
 * @param where Names the checkpoint in the error.
 * @throws {LingolensError} `checkpoint-mismatch` naming all that is missing, unknown or of another shape, one a line.
 */
export function checkParameters(found: ParameterShapes, expected: ParameterShapes, where: string): void {
  const text = (shape: readonly number[]) => `[${shape.join(", ")}]`;
  const missing = [...expected].filter(([name]) => !found.has(name));
  const unknown = [...found].filter(([name]) => !expected.has(name));
  const reshaped = [...found].filter(([name, shape]) => {
    const wanted = expected.get(name);
    return wanted !== undefined && text(wanted) !== text(shape);
  });
  const problems = [
    ...list(
      "Missing",
      missing.map(([name, shape]) => `${name} ${text(shape)}`),
    ),
    ...list(
      "Not of this model",
      unknown.map(([name, shape]) => `${name} ${text(shape)}`),
    ),
    ...list(
      "Of another shape",
      reshaped.map(([name, shape]) => `${name} (expected ${text(expected.get(name)!)}, got ${text(shape)})`),
    ),
  ];
  if (problems.length === 0) return;
  throw new LingolensError(
    "checkpoint-mismatch",
    [
      `${where}: the weights are not those that config.json describes.`,
      ...problems,
      "Check that both come from the same model.",
    ].join("\n"),
  );
}

/** More than any model has; whoever makes a file with more wants our memory. */
const MAX_LISTED = 10_000;

function list(title: string, items: readonly string[]): string[] {
  const more = items.length > MAX_LISTED ? [`${title}: ${items.length - MAX_LISTED} more.`] : [];
  return [...items.slice(0, MAX_LISTED).map((item) => `${title}: ${item}.`), ...more];
}
