/**
 * The captioner's sizes and choices, read from a checkpoint's config.json. Nothing about a model is assumed: the
 * original's numbers stand nowhere in this file.
 */
import { ConfigSection } from "./config-section.js";

/** CLIP's vision transformer (Radford et al. 2021, arXiv:2103.00020). */
export interface VisionConfig {
  readonly hiddenSize: number;
  readonly layers: number;
  /** Attention heads; they divide `hiddenSize`. */
  readonly heads: number;
  /** Width of the MLP's hidden layer. */
  readonly intermediateSize: number;
  /** Height and width of the square input, in pixels. */
  readonly imageSize: number;
  /** Height and width of a square patch, in pixels; divides `imageSize`. */
  readonly patchSize: number;
  /** Colour channels of the input. */
  readonly channels: 3;
  readonly layerNormEps: number;
  /** `quick_gelu` is x · sigmoid(1.702 x); `gelu` the exact one. */
  readonly activation: "quick_gelu" | "gelu";
}

/** mBART's decoder (Liu et al. 2020, arXiv:2001.08210). */
export interface DecoderConfig {
  /** d_model. */
  readonly hiddenSize: number;
  readonly layers: number;
  /** Attention heads; they divide `hiddenSize`. */
  readonly heads: number;
  /** Width of the feed-forward network's hidden layer. */
  readonly ffnDim: number;
  readonly vocabularySize: number;
  /** Longest sequence in tokens. The table of learned positions has two rows more. */
  readonly maxPositions: number;
  readonly layerNormEps: number;
  readonly activation: "gelu";
  /** Whether embeddings are multiplied by √hiddenSize. */
  readonly scaleEmbedding: boolean;
  /** Dropout probability of hidden states in training. */
  readonly dropout: number;
}

/** Token ids with a meaning to the model itself. */
export interface SpecialTokenIds {
  readonly bos: number;
  readonly pad: number;
  readonly eos: number;
  /** The token that decoding starts from. */
  readonly decoderStart: number;
}

export interface CaptionerConfig {
  readonly vision: VisionConfig;
  readonly decoder: DecoderConfig;
  readonly ids: SpecialTokenIds;
}

export interface ConfigSource {
  /** Names the file in error messages. Default "config.json". */
  readonly fileName?: string;
  /** What the weights beside the config are stored as: it decides an epsilon that the config leaves out. */
  readonly weightsFormat: "safetensors" | "flax" | "pytorch";
  /** The checkpoint's generation_config.json, parsed. Its start token wins over the config's, as in Hugging Face. */
  readonly generationConfig?: unknown;
}

// Far above any model of this kind, far below what would exhaust memory or lose precision.
const MAX_WIDTH = 1 << 16;
const MAX_LAYERS = 1024;
const MAX_FFN = 1 << 20;
const MAX_IMAGE = 1 << 14;
const MAX_VOCABULARY = 1 << 24;
const MAX_POSITIONS = 1 << 20;

/**
 * Reads the original's nested form (`model_type: clip-vision-mbart`, with `clip_vision_config` and `mbart_config`)
 * and Hugging Face's `vision-encoder-decoder` (`encoder`, a CLIP vision model, and `decoder`, mBART).
 *
 * `attention_dropout`, `activation_dropout` and layer drop are not read: they act in training only, and both
 * checkpoints this model is made of have them at 0.
 *
 * @throws {LingolensError} `config-invalid` naming the field, what was expected and what stood there.
 */
export function parseConfig(json: unknown, source: ConfigSource): CaptionerConfig {
  const root = ConfigSection.root(json, source.fileName ?? "config.json");
  const { vision, decoder } = sections(root);
  const decoderConfig = parseDecoder(decoder, source.weightsFormat);
  return {
    vision: parseVision(vision),
    decoder: decoderConfig,
    ids: parseIds(root, decoder, decoderConfig.vocabularySize, source.generationConfig),
  };
}

function sections(root: ConfigSection): { vision: ConfigSection; decoder: ConfigSection } {
  if (root.has("clip_vision_config") || root.has("mbart_config")) {
    root.choice("model_type", ["clip-vision-mbart"], { fallback: "clip-vision-mbart" });
    const vision = root.section("clip_vision_config");
    const decoder = root.section("mbart_config");
    vision.choice("model_type", ["clip_vision_model"], { fallback: "clip_vision_model" });
    decoder.choice("model_type", ["mbart"], { fallback: "mbart" });
    return { vision, decoder };
  }
  root.choice("model_type", ["clip-vision-mbart", "vision-encoder-decoder"]);
  const encoder = root.section("encoder");
  const decoder = root.section("decoder");
  decoder.choice("model_type", ["mbart"]);
  if (decoder.has("cross_attention_hidden_size")) {
    decoder.fail("cross_attention_hidden_size", "no value, since the pictures are projected to d_model");
  }
  if (encoder.choice("model_type", ["clip_vision_model", "clip"]) === "clip_vision_model") {
    return { vision: encoder, decoder };
  }
  return { vision: encoder.section("vision_config"), decoder };
}

function parseVision(section: ConfigSection): VisionConfig {
  const hiddenSize = section.integer("hidden_size", 1, MAX_WIDTH);
  const heads = section.integer("num_attention_heads", 1, MAX_WIDTH);
  if (hiddenSize % heads !== 0) section.fail("num_attention_heads", `a divisor of hidden_size ${hiddenSize}`);
  const imageSize = section.integer("image_size", 1, MAX_IMAGE);
  const patchSize = section.integer("patch_size", 1, MAX_IMAGE);
  if (imageSize % patchSize !== 0) section.fail("patch_size", `a divisor of image_size ${imageSize}`);
  // The first CLIP configs do not name the channels; Hugging Face's default is three.
  section.integer("num_channels", 3, 3, { fallback: 3 });
  return {
    hiddenSize,
    layers: section.integer("num_hidden_layers", 1, MAX_LAYERS),
    heads,
    intermediateSize: section.integer("intermediate_size", 1, MAX_FFN),
    imageSize,
    patchSize,
    channels: 3,
    layerNormEps: section.number("layer_norm_eps", Number.MIN_VALUE, 1),
    activation: section.choice("hidden_act", ["quick_gelu", "gelu"]),
  };
}

/**
 * Where the config is silent about the decoder's LayerNorm epsilon, the framework decides: Flax's mBART computes
 * with 1e-6, PyTorch's with 1e-5.
 */
function parseDecoder(section: ConfigSection, weightsFormat: ConfigSource["weightsFormat"]): DecoderConfig {
  const hiddenSize = section.integer("d_model", 1, MAX_WIDTH);
  const heads = section.integer("decoder_attention_heads", 1, MAX_WIDTH);
  if (hiddenSize % heads !== 0) section.fail("decoder_attention_heads", `a divisor of d_model ${hiddenSize}`);
  const layerNormEps = weightsFormat === "flax" ? 1e-6 : 1e-5;
  return {
    hiddenSize,
    layers: section.integer("decoder_layers", 1, MAX_LAYERS),
    heads,
    ffnDim: section.integer("decoder_ffn_dim", 1, MAX_FFN),
    vocabularySize: section.integer("vocab_size", 1, MAX_VOCABULARY),
    maxPositions: section.integer("max_position_embeddings", 1, MAX_POSITIONS),
    layerNormEps: section.number("layer_norm_eps", Number.MIN_VALUE, 1, { fallback: layerNormEps }),
    activation: section.choice("activation_function", ["gelu"]),
    scaleEmbedding: section.boolean("scale_embedding"),
    dropout: section.number("dropout", 0, 1),
  };
}

function parseIds(
  root: ConfigSection,
  decoder: ConfigSection,
  vocabularySize: number,
  generationConfig: unknown,
): SpecialTokenIds {
  const last = vocabularySize - 1;
  const id = (key: string) => (decoder.has(key) ? decoder : root).integer(key, 0, last);
  const eos = id("eos_token_id");
  const generation =
    generationConfig === undefined ? [] : [ConfigSection.root(generationConfig, "generation_config.json")];
  const start = [...generation, root, decoder].find((section) => section.has("decoder_start_token_id"));
  return {
    bos: id("bos_token_id"),
    pad: id("pad_token_id"),
    eos,
    decoderStart: start?.integer("decoder_start_token_id", 0, last) ?? eos,
  };
}

/**
 * The config in the original's nested form, ready for `JSON.stringify`. It records the decoder's LayerNorm epsilon,
 * so that `parseConfig` gives the same value back whatever format the weights are stored in.
 */
export function writeConfig({ vision, decoder, ids }: CaptionerConfig): Record<string, unknown> {
  const specialTokens = {
    bos_token_id: ids.bos,
    decoder_start_token_id: ids.decoderStart,
    eos_token_id: ids.eos,
    pad_token_id: ids.pad,
  };
  return {
    architectures: ["CLIPVisionMBartForConditionalGeneration"],
    ...specialTokens,
    clip_vision_config: {
      attention_dropout: 0,
      hidden_act: vision.activation,
      hidden_size: vision.hiddenSize,
      image_size: vision.imageSize,
      intermediate_size: vision.intermediateSize,
      layer_norm_eps: vision.layerNormEps,
      model_type: "clip_vision_model",
      num_attention_heads: vision.heads,
      num_channels: vision.channels,
      num_hidden_layers: vision.layers,
      patch_size: vision.patchSize,
    },
    is_encoder_decoder: true,
    mbart_config: {
      activation_dropout: 0,
      activation_function: decoder.activation,
      attention_dropout: 0,
      ...specialTokens,
      d_model: decoder.hiddenSize,
      decoder_attention_heads: decoder.heads,
      decoder_ffn_dim: decoder.ffnDim,
      decoder_layers: decoder.layers,
      dropout: decoder.dropout,
      layer_norm_eps: decoder.layerNormEps,
      max_position_embeddings: decoder.maxPositions,
      model_type: "mbart",
      scale_embedding: decoder.scaleEmbedding,
      vocab_size: decoder.vocabularySize,
    },
    model_type: "clip-vision-mbart",
    tie_word_embeddings: true,
    vocab_size: decoder.vocabularySize,
  };
}
