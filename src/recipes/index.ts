import type { RecipeInput } from "../training/recipe.js";
import { cc12m } from "./cc12m.js";
import { fineTune } from "./fine-tune.js";
import { flickr8k } from "./flickr8k.js";
import { scenes } from "./scenes.js";

/** Recipes by the names that `lingolens train` takes. */
export const recipes: Readonly<Record<string, RecipeInput>> = {
  scenes,
  "fine-tune": fineTune,
  flickr8k,
  cc12m,
};

/** Names that version 0.1 had for them. */
export const formerNames: Readonly<Record<string, string>> = { finetune: "fine-tune" };
