import type { RecipeInput } from "../training/recipe.js";

/**
 * A model that exists, further trained on one's own pictures (docs/training.md).
 *
 *     lingolens train fine-tune --set data.path=my-pictures --set model.path=DIR --out runs/mine
 *
 * With few pictures, what sees them can stay as it is, which also makes steps faster and smaller:
 *
 *     --set 'freeze=["model.encoder.*"]'
 */
export const fineTune: RecipeInput = {
  name: "fine-tune",
  model: { kind: "pretrained", path: "bundled" },
  data: { kind: "folder", path: "." },
  languages: ["en", "de", "fr", "es"],
  steps: 1000,
  batchSize: 16,
  gradientAccumulation: 2,
  dtype: "auto",
  // A tenth of what training from nothing takes: what the model knows shall not be washed away.
  learningRate: 1e-4,
  warmupSteps: 50,
  clipNorm: 1,
  evaluateEvery: 100,
  checkpointEvery: 200,
};
