import type { RecipeInput } from "../training/recipe.js";

/**
 * The published model, as its card says it was made: CLIP and mBART-50 joined and trained on 2.5 million pictures of
 * Conceptual 12M, with captions translated from English.
 *
 *     lingolens init --vision openai/clip-vit-base-patch32 --text facebook/mbart-large-50 --out clip-mbart50
 *     lingolens train cc12m --set data.images=pictures --out runs/cc12m
 *
 * The card: a TPU v3-8; loss 2.6 in evaluation; BLEU-1 to 4 en .131/.089/.067/.049, es .160/.099/.069/.048,
 * de .142/.098/.074/.052, fr .130/.089/.066/.046. Not run again by us.
 *
 * The card says a batch of 128, 42,000 steps and captions of 128 tokens, the last of them after 64 at first. The
 * original's run.sh says otherwise: 64 captions on each of 8 cores, thus 512 a step, 64 tokens, 7 epochs; its README
 * says 70,000 steps, and the names of its checkpoints go to 51,999. Training there shifts captions behind `<pad>`; here
 * the start token is the model's (docs/from-the-model-card.md).
 */
export const cc12m: RecipeInput = {
  name: "cc12m",
  model: { kind: "pretrained", path: "clip-mbart50" },
  data: {
    kind: "folder",
    path: "train_file_marian_final.tsv",
    validation: "val_file_marian_final.tsv",
    // A sample was a caption, not a picture with all of its captions: each pass over a picture learns one language.
    languageWeights: { en: 0.25, es: 0.25, de: 0.25, fr: 0.25 },
  },
  languages: ["en", "es", "de", "fr"],
  steps: 42_000,
  batchSize: 128,
  // Parts of 8 pictures: all at once would take several times the memory.
  gradientAccumulation: 16,
  dtype: "auto",
  seed: 42,
  learningRate: 3e-4,
  warmupSteps: 1_000,
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  weightDecay: 0.01,
  dropout: 0.1,
  maxLength: 128,
  evaluateEvery: 3_000,
  checkpointEvery: 9_000,
  keepCheckpoints: 6,
};
