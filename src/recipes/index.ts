import type { RecipeInput } from "../training/recipe.js";
import { finetune } from "./finetune.js";
import { scenes } from "./scenes.js";

/** Recipes by the names that `lingolens train` takes. */
export const recipes: Readonly<Record<string, RecipeInput>> = { scenes, finetune };
