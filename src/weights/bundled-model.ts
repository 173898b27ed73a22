import { fileURLToPath } from "node:url";

/** Folder of the model that comes with lingolens: a small one that knows drawn scenes only. */
export const bundledModelFolder = fileURLToPath(new URL("../../models/scenes/", import.meta.url));
