import type { CaptionerConfig } from "../model/config.js";

/**
 * config.json of a Hugging Face `VisionEncoderDecoderModel`, ready for `JSON.stringify`. Versions 4 and 5 of
 * transformers load it. The decoder's epsilon is recorded for our own reader; theirs is always 1e-5.
 */
export function huggingFaceConfig(
  { vision, decoder, ids }: CaptionerConfig,
  { tied, dtype }: { readonly tied: boolean; readonly dtype: "float32" | "float16" | "bfloat16" },
): Record<string, unknown> {
  return {
    architectures: ["VisionEncoderDecoderModel"],
    model_type: "vision-encoder-decoder",
    is_encoder_decoder: true,
    decoder_start_token_id: ids.decoderStart,
    eos_token_id: ids.eos,
    pad_token_id: ids.pad,
    tie_word_embeddings: false, // of the pair; the decoder says so of its own
    torch_dtype: dtype,
    encoder: {
      model_type: "clip_vision_model",
      attention_dropout: 0,
      hidden_act: vision.activation,
      hidden_size: vision.hiddenSize,
      image_size: vision.imageSize,
      intermediate_size: vision.intermediateSize,
      layer_norm_eps: vision.layerNormEps,
      num_attention_heads: vision.heads,
      num_channels: vision.channels,
      num_hidden_layers: vision.layers,
      patch_size: vision.patchSize,
    },
    decoder: {
      model_type: "mbart",
      is_decoder: true,
      is_encoder_decoder: false,
      add_cross_attention: true,
      activation_dropout: 0,
      activation_function: decoder.activation,
      attention_dropout: 0,
      bos_token_id: ids.bos,
      d_model: decoder.hiddenSize,
      decoder_attention_heads: decoder.heads,
      decoder_ffn_dim: decoder.ffnDim,
      decoder_layers: decoder.layers,
      dropout: decoder.dropout,
      eos_token_id: ids.eos,
      layer_norm_eps: decoder.layerNormEps,
      max_position_embeddings: decoder.maxPositions,
      pad_token_id: ids.pad,
      scale_embedding: decoder.scaleEmbedding,
      tie_word_embeddings: tied,
      use_cache: true,
      vocab_size: decoder.vocabularySize,
    },
  };
}
