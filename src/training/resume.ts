import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { LingolensError } from "../errors.js";
import { readJsonObject } from "../weights/json-file.js";
import { listCheckpoints, verifyCheckpoint } from "./checkpoint.js";
import type { Recipe } from "./recipe.js";

/**
 * The checkpoint that a run goes on from, if it does, after a look at whether it is whole; see `RunOptions.resume`.
 * @throws {LingolensError} `already-exists`, `checkpoint-damaged`
 */
export async function checkpointToResume(
  out: string,
  resume: string,
  onWarning?: (message: string) => void,
): Promise<string | undefined> {
  if (resume !== "auto" && resume !== "never") {
    await verifyCheckpoint(resume);
    return resume;
  }
  const checkpoints = await listCheckpoints(out);
  if (checkpoints.length > 0 && resume === "never")
    throw new LingolensError(
      "already-exists",
      `${out} holds a run already (${checkpoints[0]}). Choose another --out, or go on from it with --resume auto.`,
    );
  let damage: LingolensError | undefined;
  for (const checkpoint of checkpoints) {
    try {
      await verifyCheckpoint(checkpoint);
      return checkpoint;
    } catch (error) {
      if (!(error instanceof LingolensError)) throw error;
      damage = error;
      onWarning?.(`${error.message} The checkpoint before it is tried.`);
    }
  }
  if (damage)
    throw new LingolensError(
      "checkpoint-damaged",
      `No checkpoint of ${out} can be gone on from. The last one tried: ${damage.message} To start anew, choose ` +
        "another --out or remove the folder.",
      { cause: damage },
    );
  return undefined;
}

/**
 * A checkpoint brings its model along: one that the recipe asks for now would be ignored.
 * @throws {LingolensError} `checkpoint-mismatch`
 */
export async function checkSameModel(out: string, { model }: Recipe): Promise<void> {
  const before = await readJsonObject(join(out, "recipe.json"), "config-invalid");
  if (before && !isDeepStrictEqual(before.model, model))
    throw new LingolensError(
      "checkpoint-mismatch",
      `${out} holds a run of another model, ${JSON.stringify(before.model)}; the recipe asks for ` +
        `${JSON.stringify(model)}. Choose another --out, or leave the model as it was.`,
    );
}
