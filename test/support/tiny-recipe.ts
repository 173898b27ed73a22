import type { RecipeInput } from "../../src/training/recipe.js";

/** Of a recipe, a model of a few thousand weights and its vocabulary. */
export const tinyRecipeModel: RecipeInput["model"] = {
  kind: "new",
  imageSize: 32,
  patchSize: 16,
  visionHiddenSize: 16,
  visionLayers: 1,
  visionHeads: 2,
  visionIntermediateSize: 32,
  decoderHiddenSize: 16,
  decoderLayers: 1,
  decoderHeads: 2,
  decoderFfnDim: 32,
  maxPositions: 64,
  tokenizer: "bundled",
};
