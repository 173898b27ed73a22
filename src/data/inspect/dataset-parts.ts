import { stat } from "node:fs/promises";
import { join } from "node:path";

/** A dataset, or one of several that lie in a folder together. */
export interface DatasetPart {
  /** The split, or nothing where the dataset is one. */
  readonly name: "train" | "validation" | undefined;
  readonly path: string;
}

const SPLITS = ["train", "validation"] as const;

/** `train/` and `validation/` where a folder has them, as `data pack` makes it; else the dataset itself. */
export async function partsOf(path: string): Promise<readonly DatasetPart[]> {
  const parts: DatasetPart[] = [];
  for (const name of SPLITS) {
    const folder = join(path, name);
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory()) parts.push({ name, path: folder });
  }
  return parts.length > 0 ? parts : [{ name: undefined, path }];
}
