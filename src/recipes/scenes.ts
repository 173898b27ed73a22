import type { RecipeInput } from "../training/recipe.js";

/**
 * The bundled model, from nothing: drawn scenes described in four languages.
 *
 *     lingolens train scenes --out runs/scenes
 */
export const scenes: RecipeInput = {
  name: "scenes",
  model: {
    kind: "new",
    imageSize: 96,
    patchSize: 8,
    visionHiddenSize: 128,
    visionLayers: 4,
    visionHeads: 4,
    visionIntermediateSize: 512,
    decoderHiddenSize: 128,
    decoderLayers: 3,
    decoderHeads: 4,
    decoderFfnDim: 512,
    maxPositions: 64,
    tokenizer: "bundled",
  },
  // One object first: colours and kinds are learnt before relations ask for them.
  data: { kind: "scenes", twoObjectsFrom: 300, threeObjectsFrom: 1500 },
  languages: ["en", "de", "fr", "es"],
  steps: 8_000,
  batchSize: 32,
  // Eight pictures at a time stay in the processor's caches: half as fast again as all at once.
  workers: 2,
  gradientAccumulation: 2,
  seed: 42,
  learningRate: 1e-3,
  warmupSteps: 300,
  weightDecay: 0.01,
  clipNorm: 1,
  maxLength: 64,
  evaluateEvery: 500,
  evaluateCount: 192,
  checkpointEvery: 500,
  keepCheckpoints: 3,
};
