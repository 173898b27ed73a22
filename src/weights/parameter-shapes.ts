/** The parameters of the captioner and of MarianMT, and their shapes, by the names of the original's PyTorch checkpoint. */
import { LingolensError } from "../errors.js";
import type { CaptionerConfig, DecoderConfig, VisionConfig } from "../model/config.js";
import type { MarianConfig } from "../model/marian-config.js";

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
      ...selfAttentionShapes(layer, hiddenSize),
      ...crossAttentionShapes(layer, hiddenSize),
      ...feedForwardShapes(layer, hiddenSize, ffnDim),
    ]),
  ];
}

/** Those of MarianMT; the one table of positions is a parameter that checkpoints may leave out. */
export function marianParameterShapes(config: MarianConfig): Map<string, readonly number[]> {
  const { hiddenSize, vocabularySize, maxPositions, encoder, decoder } = config;
  return new Map([
    ["final_logits_bias", [1, vocabularySize]],
    ["model.shared.weight", [vocabularySize, hiddenSize]],
    ["model.embed_positions.weight", [maxPositions, hiddenSize]],
    ...layers("model.encoder.layers", encoder.layers, (layer) => [
      ...selfAttentionShapes(layer, hiddenSize),
      ...feedForwardShapes(layer, hiddenSize, encoder.ffnDim),
    ]),
    ...layers("model.decoder.layers", decoder.layers, (layer) => [
      ...selfAttentionShapes(layer, hiddenSize),
      ...crossAttentionShapes(layer, hiddenSize),
      ...feedForwardShapes(layer, hiddenSize, decoder.ffnDim),
    ]),
  ]);
}

function selfAttentionShapes(layer: string, size: number): Entry[] {
  return [...attention(`${layer}.self_attn`, size), ...norm(`${layer}.self_attn_layer_norm`, size)];
}

function crossAttentionShapes(layer: string, size: number): Entry[] {
  return [...attention(`${layer}.encoder_attn`, size), ...norm(`${layer}.encoder_attn_layer_norm`, size)];
}

function feedForwardShapes(layer: string, size: number, ffnDim: number): Entry[] {
  return [
    ...linear(`${layer}.fc1`, ffnDim, size),
    ...linear(`${layer}.fc2`, size, ffnDim),
    ...norm(`${layer}.final_layer_norm`, size),
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
