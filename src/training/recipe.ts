import { z } from "zod";
import { LingolensError } from "../errors.js";
import { didYouMean } from "../nearest-name.js";
import { PERSON_POLICIES } from "../text/person-mask.js";

const count = z.int().positive();
const fraction = z.number().min(0).lt(1);

/** Dimensions of a model that starts from nothing; its vocabulary is the tokenizer's. */
const newModel = z.strictObject({
  kind: z.literal("new"),
  imageSize: count,
  patchSize: count,
  visionHiddenSize: count,
  visionLayers: count,
  visionHeads: count,
  visionIntermediateSize: count,
  decoderHiddenSize: count,
  decoderLayers: count,
  decoderHeads: count,
  decoderFfnDim: count,
  maxPositions: count,
  /** Folder or hub name of the model whose tokenizer is used; "bundled" is the one that comes with lingolens. */
  tokenizer: z.string(),
  /** Keep only the tokens that the captions of `data` need, in the recipe's languages. */
  trimTokenizer: z.boolean().default(false),
});

/** A model to go on from, a folder or of the hub; "bundled" is the one that comes with lingolens. */
const pretrainedModel = z.strictObject({ kind: z.literal("pretrained"), path: z.string() });

/** Scenes drawn while training goes on: no picture is seen twice. */
const generatedScenes = z.strictObject({
  kind: z.literal("scenes"),
  /** Before this step, pictures have one object; from the next mark on, two as well; then all. Default: from 0. */
  twoObjectsFrom: z.int().min(0).default(0),
  threeObjectsFrom: z.int().min(0).default(0),
});

/** A dataset of any format (see docs/data.md). */
const dataset = z.strictObject({
  kind: z.literal("folder"),
  /** A folder, a list, a shard or a pattern of shards. */
  path: z.string(),
  /** Folder of the pictures, where it is not beside the list. */
  images: z.string().optional(),
  /** Only pictures of this split. */
  split: z.string().optional(),
  /** Language of captions that name none, such as COCO's. Default "en". */
  language: z.string().optional(),
  /**
   * What to evaluate on: another dataset, another split, or both. Default: the last `evaluateCount` pictures of `path`,
   * which training then leaves out.
   */
  validation: z.string().optional(),
  validationSplit: z.string().optional(),
  /** By language, the share of passes over a picture that learn its caption in it. Default: 1 for each. */
  languageWeights: z.record(z.string(), z.number().gt(0).max(1)).default({}),
  /** Least share of a picture's largest square that a random crop keeps; 1 for no random crops. */
  randomCrop: z.number().gt(0).max(1).default(1),
  /** Probability of left and right being exchanged, which captions must not speak of. */
  randomMirror: z.number().min(0).max(1).default(0),
  /** What becomes of `<PERSON>` in captions: kept, said as "a person", or dropped. */
  person: z.enum(PERSON_POLICIES).default("keep"),
  /** Share of pictures that may be skipped because they cannot be read; above it, and ten pictures, the run stops. */
  skipLimit: z.number().min(0).max(1).default(0.01),
});

const MODELS = [newModel, pretrainedModel] as const;
const DATA = [generatedScenes, dataset] as const;

/** Everything that a training run depends on. A run folder's `recipe.json` is one, with every default filled in. */
export const recipeSchema = z.strictObject({
  name: z.string(),
  model: z.discriminatedUnion("kind", MODELS),
  data: z.discriminatedUnion("kind", DATA),
  /** ISO codes. A picture is encoded once and its captions in all of them are learnt together. */
  languages: z.array(z.string()).min(1),
  /** Optimiser steps. */
  steps: count,
  /** Pictures a step. */
  batchSize: count,
  /** Parts worked on one after the other, to save memory; the result is the same but for rounding. */
  gradientAccumulation: count.default(1),
  /**
   * Parts worked on at once, each with its share of the processors and memory for a gradient of its own. Small
   * models train faster with one a processor, large ones with one in all. The result depends on it by rounding.
   */
  workers: count.default(1),
  seed: z.int().min(0).default(42),
  /**
   * How products of matrices are computed: "bf16" rounds what is multiplied to 8 bits and adds up in float32, on processors
   * with AMX or AVX512-BF16 and with the library oneDNN. Parameters, their gradients and all else are float32. "auto" is
   * "bf16" for large models where there are both, else "fp32"; a run goes on as it has begun, and its recipe.json says how.
   */
  dtype: z.enum(["auto", "fp32", "bf16"]).default("fp32"),
  learningRate: z.number().positive(),
  warmupSteps: z.int().min(0),
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.98),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0.01),
  /** Largest global norm of the gradient; 0 for no clipping. */
  clipNorm: z.number().min(0).default(0),
  labelSmoothing: fraction.default(0),
  /** Share of the decoder's hidden states set to 0, after the embedding and every sublayer. */
  dropout: fraction.default(0),
  /**
   * Share of the tokens that the decoder reads, but for start and language, that become `<mask>`: less can be guessed
   * from the words before, and more must be seen.
   */
  inputDropout: fraction.default(0),
  /**
   * Parameters that stay as they are: their names, with `*` for any letters; `!` before a pattern takes back what earlier
   * ones froze. `["model.encoder.*"]` freezes the picture's half.
   */
  freeze: z.array(z.string()).default([]),
  /** A step whose loss or gradient is not finite is skipped; after so many in a row the run stops. */
  maxSkippedSteps: count.default(10),
  /** Longest caption, in tokens with language and `</s>`; longer ones are cut. */
  maxLength: count.default(64),
  logEvery: count.default(10),
  evaluateEvery: count,
  /** Pictures that an evaluation looks at. */
  evaluateCount: count.default(256),
  /** The first so many of them are captioned, too, in every language with 4 beams; 0 for none. */
  captionCount: z.int().min(0).default(32),
  checkpointEvery: count,
  /** Checkpoints kept, newest first; the one of the lowest loss in evaluation is kept besides. */
  keepCheckpoints: count.default(6),
  /** Steps between comparisons of the parameters of all ranks, where several train together. */
  checkEvery: count.default(100),
});

export type Recipe = z.infer<typeof recipeSchema>;
/** A recipe as it is written: what has a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>;

/**
 * Fills in defaults after applying `key=value` changes, such as `steps=100` or `data.path=photos`.
 * @throws {LingolensError} `option-unsupported` for an unknown key, `config-invalid` for a value that does not fit
 */
export function resolveRecipe(input: unknown, changes: readonly string[] = []): Recipe {
  const recipe = structuredClone(input) as Record<string, unknown>;
  for (const change of changes) applyChange(recipe, change);
  const parsed = recipeSchema.safeParse(recipe);
  if (parsed.success) {
    const { batchSize, gradientAccumulation, workers } = parsed.data;
    if (batchSize % (gradientAccumulation * workers) !== 0)
      throw new LingolensError(
        "config-invalid",
        `Recipe: batchSize (${batchSize}) is not a multiple of gradientAccumulation × workers (${gradientAccumulation} × ${workers}).`,
      );
    return parsed.data;
  }
  const [issue] = parsed.error.issues;
  if (issue?.code === "unrecognized_keys") throw unknownKey(issue.keys[0]!, issue.path[0], recipe);
  throw new LingolensError("config-invalid", `Recipe, ${issue!.path.join(".")}: ${issue!.message}.`);
}

/** @param section "model" or "data" for a key in there */
function unknownKey(
  key: string,
  section: PropertyKey | undefined,
  recipe: Record<string, unknown>,
): LingolensError {
  const kinds = section === "model" ? MODELS : section === "data" ? DATA : [];
  const kind = (recipe[section as string] as { kind?: string } | undefined)?.kind;
  const part = kinds.find(({ shape }) => shape.kind.value === kind);
  const keys = Object.keys((part ?? recipeSchema).shape);
  const owner = part ? `A recipe's ${String(section)} of kind "${kind}"` : "A recipe";
  return new LingolensError(
    "option-unsupported",
    `${owner} has no key "${key}".${didYouMean(key, keys)} Its keys: ${keys.join(", ")}.`,
  );
}

function applyChange(recipe: Record<string, unknown>, change: string): void {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(change) ?? [];
  if (!path) throw new LingolensError("option-unsupported", `--set: expected key=value; got "${change}".`);
  const keys = path.split(".");
  const last = keys.pop()!;
  let target = recipe;
  for (const key of keys) {
    const within = Object.hasOwn(target, key) ? target[key] : undefined;
    if (typeof within !== "object" || within === null) setOwn(target, key, {});
    target = target[key] as Record<string, unknown>;
  }
  setOwn(target, last, parseValue(value!));
}

/** Assigns, `__proto__` like any other key, so that it is refused and not swallowed. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}

/** JSON where it is JSON, text otherwise: `--set languages=["en","it"]`, `--set data.path=photos`. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
