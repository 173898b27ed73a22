import type { CaptionerConfig } from "./config.js";

/** flax-community/clip-vit-base-patch32_mbart-large-50: CLIP's ViT-B/32 and the decoder of mBART-large-50. */
export const originalConfig: CaptionerConfig = {
  vision: {
    hiddenSize: 768,
    layers: 12,
    heads: 12,
    intermediateSize: 3072,
    imageSize: 224,
    patchSize: 32,
    channels: 3,
    layerNormEps: 1e-5,
    activation: "quick_gelu",
  },
  decoder: {
    hiddenSize: 1024,
    layers: 12,
    heads: 16,
    ffnDim: 4096,
    vocabularySize: 250_054,
    maxPositions: 1024,
    layerNormEps: 1e-5, // What mBART was trained with; the published checkpoint's Flax computes with 1e-6.
    activation: "gelu",
    scaleEmbedding: true,
    dropout: 0.1,
  },
  ids: { bos: 0, pad: 1, eos: 2, decoderStart: 2 },
};
