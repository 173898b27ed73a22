/** MarianMT's sizes and choices, read from a checkpoint's config.json and generation_config.json. */
import type { DecoderConfig, SpecialTokenIds } from "./config.js";
import { ConfigSection } from "./config-section.js";

export interface MarianEncoderConfig {
  readonly layers: number;
  /** Attention heads; they divide `hiddenSize`. */
  readonly heads: number;
  readonly ffnDim: number;
}

export interface MarianConfig {
  /** d_model. */
  readonly hiddenSize: number;
  /** Longest sequence in tokens, of source and target. */
  readonly maxPositions: number;
  readonly vocabularySize: number;
  /** `swish` is x · sigmoid(x). */
  readonly activation: "swish" | "relu" | "gelu";
  /** Whether embeddings are multiplied by √hiddenSize. */
  readonly scaleEmbedding: boolean;
  readonly encoder: MarianEncoderConfig;
  readonly decoder: MarianEncoderConfig & Pick<DecoderConfig, "hiddenSize" | "vocabularySize">;
  readonly ids: Pick<SpecialTokenIds, "pad" | "eos" | "decoderStart">;
  /** The last token of a translation that reaches its longest length. */
  readonly forcedEos?: number;
  /** Token sequences that no translation may hold: the padding, which else would win. */
  readonly bannedSequences: readonly (readonly number[])[];
  /** Whether the probabilities of what is left without the padding add up to 1 (`renormalize_logits`). */
  readonly renormalize: boolean;
}

/** PyTorch's, which no Marian config names. */
export const LAYER_NORM_EPS = 1e-5;

const MAX_WIDTH = 1 << 16;
const MAX_LAYERS = 1024;
const MAX_VOCABULARY = 1 << 24;

/**
 * @param generationConfig generation_config.json, parsed, where there is one; it wins over the config, as in Hugging
 * Face
 * @throws {LingolensError} `config-invalid` naming the field, what was expected and what stood there: also for variants
 * of Marian that no published model of Helsinki-NLP's is
 */
export function parseMarianConfig(
  json: unknown,
  { fileName = "config.json", generationConfig }: { fileName?: string; generationConfig?: unknown } = {},
): MarianConfig {
  const root = ConfigSection.root(json, fileName);
  root.choice("model_type", ["marian"]);
  const generation =
    generationConfig === undefined ? [] : [ConfigSection.root(generationConfig, "generation_config.json")];
  refuse(root, "normalize_before", false);
  refuse(root, "normalize_embedding", false);
  refuse(root, "add_final_layer_norm", false);
  refuse(root, "static_position_embeddings", true);
  refuse(root, "share_encoder_decoder_embeddings", true);
  refuse(root, "tie_word_embeddings", true);

  const hiddenSize = root.integer("d_model", 2, MAX_WIDTH);
  const vocabularySize = root.integer("vocab_size", 1, MAX_VOCABULARY);
  root.integer("decoder_vocab_size", vocabularySize, vocabularySize, { fallback: vocabularySize });
  const stack = (name: "encoder" | "decoder"): MarianEncoderConfig => {
    const heads = root.integer(`${name}_attention_heads`, 1, hiddenSize);
    if (hiddenSize % heads !== 0) root.fail(`${name}_attention_heads`, `a divisor of d_model ${hiddenSize}`);
    return {
      layers: root.integer(`${name}_layers`, 1, MAX_LAYERS),
      heads,
      ffnDim: root.integer(`${name}_ffn_dim`, 1, 1 << 20),
    };
  };
  const last = vocabularySize - 1;
  const preferred = (key: string): ConfigSection | undefined =>
    [...generation, root].find((section) => section.has(key));
  const pad = root.integer("pad_token_id", 0, last);
  const forcedEos = preferred("forced_eos_token_id")?.integer("forced_eos_token_id", 0, last);
  const activation = root.choice("activation_function", ["swish", "silu", "relu", "gelu"]);
  return {
    hiddenSize,
    maxPositions: root.integer("max_position_embeddings", 2, 1 << 20),
    vocabularySize,
    activation: activation === "silu" ? "swish" : activation,
    scaleEmbedding: root.boolean("scale_embedding"),
    encoder: stack("encoder"),
    decoder: { ...stack("decoder"), hiddenSize, vocabularySize },
    ids: {
      pad,
      eos: root.integer("eos_token_id", 0, last),
      decoderStart: preferred("decoder_start_token_id")?.integer("decoder_start_token_id", 0, last) ?? pad,
    },
    ...(forcedEos !== undefined && { forcedEos }),
    renormalize: preferred("renormalize_logits")?.boolean("renormalize_logits") ?? false,
    // Whatever the files say of it: Marian itself never chooses the padding.
    bannedSequences: [[pad], ...(preferred("bad_words_ids")?.idLists("bad_words_ids", last) ?? [])].filter(
      (ids, i, all) => all.findIndex((other) => `${other}` === `${ids}`) === i,
    ),
  };
}

/** Fields whose other value is another model; absent ones have Hugging Face's default, which is the value wanted. */
function refuse(root: ConfigSection, key: string, wanted: boolean): void {
  if (root.has(key) && root.boolean(key) !== wanted) root.fail(key, `${wanted}`);
}

/** The config as Hugging Face writes it, ready for `JSON.stringify`. */
export function writeMarianConfig(config: MarianConfig): Record<string, unknown> {
  const { hiddenSize, maxPositions, vocabularySize, activation, scaleEmbedding, encoder, decoder, ids } =
    config;
  const stack = (name: string, { layers, heads, ffnDim }: MarianEncoderConfig) => ({
    [`${name}_attention_heads`]: heads,
    [`${name}_ffn_dim`]: ffnDim,
    [`${name}_layers`]: layers,
  });
  return {
    activation_function: activation,
    architectures: ["MarianMTModel"],
    bad_words_ids: config.bannedSequences,
    d_model: hiddenSize,
    ...stack("decoder", decoder),
    decoder_start_token_id: ids.decoderStart,
    ...stack("encoder", encoder),
    eos_token_id: ids.eos,
    ...(config.forcedEos !== undefined && { forced_eos_token_id: config.forcedEos }),
    is_encoder_decoder: true,
    max_position_embeddings: maxPositions,
    model_type: "marian",
    pad_token_id: ids.pad,
    ...(config.renormalize && { renormalize_logits: true }),
    scale_embedding: scaleEmbedding,
    static_position_embeddings: true,
    vocab_size: vocabularySize,
  };
}
