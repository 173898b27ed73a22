/** What a packed folder is made by, so that a second command in it means the same. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../../errors.js";
import { writeFileAtomically } from "../../weights/atomic-file.js";
import { withFileLock } from "../../weights/hub/file-lock.js";
import type { ValidationSize } from "./split.js";

/** `pack.json` */
export interface PackPlan {
  readonly validation: ValidationSize;
  /** Languages whose captions are kept, of pictures that have all of them; null for all that there are. */
  readonly languages: readonly string[] | null;
  /** Pictures whose position is below it are for validation. */
  readonly threshold: number;
}

/**
 * Keeps the plan in the folder, or compares what is asked for with the one that is there, whose threshold stays.
 * @param findThreshold called where there is no plan yet, by one process only
 * @throws {LingolensError} `config-invalid` where they differ
 */
export async function agreeOnPlan(
  out: string,
  asked: Omit<PackPlan, "threshold">,
  findThreshold: () => Promise<number>,
  signal: AbortSignal | undefined,
): Promise<PackPlan> {
  const path = join(out, "pack.json");
  return withFileLock(
    join(out, ".pack.lock"),
    async () => {
      const before = await readJson<PackPlan>(path);
      if (!before) {
        const plan = { ...asked, threshold: await findThreshold() };
        await writeFileAtomically(path, (file) => file.writeFile(`${JSON.stringify(plan, null, 2)}\n`));
        return plan;
      }
      for (const name of ["validation", "languages"] as const)
        if (JSON.stringify(before[name]) !== JSON.stringify(asked[name]))
          throw new LingolensError(
            "config-invalid",
            `${path}: the folder was begun with ${name} ${JSON.stringify(before[name])}, got ` +
              `${JSON.stringify(asked[name])}. Give the same options again, or another folder.`,
          );
      return before;
    },
    { signal },
  );
}

/** Undefined where there is no such file. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new LingolensError(
      "dataset-invalid",
      `${path}: expected JSON. ${(error as Error).message} Remove it.`,
      { cause: error },
    );
  }
}
