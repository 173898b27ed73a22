import type { CaptionerConfig } from "../../src/model/config.js";
import { randomNumbers } from "../../src/model/random.js";
import type { CaptionedPicture } from "../../src/training/batch.js";

/** Of a model of a few thousand weights. */
export const config: CaptionerConfig = {
  vision: {
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    intermediateSize: 32,
    imageSize: 8,
    patchSize: 4,
    channels: 3,
    layerNormEps: 1e-5,
    activation: "quick_gelu",
  },
  decoder: {
    hiddenSize: 16,
    layers: 1,
    heads: 2,
    ffnDim: 32,
    vocabularySize: 40,
    maxPositions: 16,
    layerNormEps: 1e-5,
    activation: "gelu",
    scaleEmbedding: true,
    dropout: 0,
  },
  ids: { bos: 0, pad: 1, eos: 2, decoderStart: 2 },
};

/** Eight pictures with captions of 2 to 12 tokens in two languages, one of which has none for some. */
export const pictures: readonly CaptionedPicture[] = Array.from({ length: 8 }, (_, i) => {
  const random = randomNumbers(i);
  const caption = (length: number) => [
    39,
    ...Array.from({ length: length - 2 }, () => 3 + Math.floor(random() * 36)),
    2,
  ];
  return {
    pixelValues: Float32Array.from({ length: 3 * 8 * 8 }, () => random() * 2 - 1),
    captions: [caption(2 + i), i % 3 === 0 ? [] : caption(12 - i)],
  };
});
