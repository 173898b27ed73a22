import { fileURLToPath } from "node:url";

/** Folder of the model that comes with lingolens: a small one that knows drawn scenes only. */
export const bundledModelFolder = fileURLToPath(new URL("../../models/scenes/", import.meta.url));

/** Pictures that come with lingolens: scenes that the bundled model has not seen in training. */
export const examplePictures: readonly string[] = [1, 2, 3, 4, 5, 6].map((i) =>
  fileURLToPath(new URL(`../../examples/scene-${i}.png`, import.meta.url)),
);
