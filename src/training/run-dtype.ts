import { dirname, join } from "node:path";
import type { CompileOptions, Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { readJsonObject } from "../weights/json-file.js";
import { anyRank, type Collective } from "./collective/collective.js";
import type { Recipe } from "./recipe.js";

export type RunDType = NonNullable<CompileOptions["dtype"]>;

/** A recipe whose `auto` has been decided. */
export type DecidedRecipe = Recipe & { readonly dtype: RunDType };

/**
 * From so many parameters on, `auto` chooses bf16: forward and backward then take less than half of their time. Of smaller
 * models runs take minutes, and their results are compared with others' in float32.
 */
const LARGE_MODEL = 50e6;

/** What a run that has begun is computed in; undefined where its folder does not say. */
export async function dtypeOfRun(checkpoint: string): Promise<RunDType | undefined> {
  const recipe = await readJsonObject(join(dirname(dirname(checkpoint)), "recipe.json"), "config-invalid");
  return recipe && (recipe.dtype === "bf16" ? "bf16" : "fp32");
}

export interface DTypeChoice {
  readonly asked: Recipe["dtype"];
  /** Of the run that is gone on from. */
  readonly begun: RunDType | undefined;
  readonly engine: Engine;
  /** Makes an engine that computes in bf16, where `engine` does not. */
  readonly openBf16?: (() => Promise<Engine>) | undefined;
  readonly collective: Collective;
}

/** An engine, and what a run of a model of so many parameters is computed in there. */
export interface ChosenDType {
  readonly engine: Engine;
  readonly dtypeOf: (parameters: number) => RunDType;
}

/**
 * `auto` goes on as a run has begun; otherwise it is bf16 for large models where all ranks can. All ranks ask at once, before
 * any of them knows the model.
 * @throws {LingolensError} `engine-unavailable` where the run is in bf16 and this machine cannot
 */
export async function chooseDType(choice: DTypeChoice): Promise<ChosenDType> {
  const { asked, begun, engine, openBf16, collective } = choice;
  const open = async () => (engine.compileGraph || !openBf16 ? engine : openBf16());
  const wanted = asked === "auto" ? begun : asked;
  if (wanted === "fp32") return { engine, dtypeOf: () => wanted };
  if (wanted === "bf16")
    try {
      return { engine: await open(), dtypeOf: () => wanted };
    } catch (error) {
      if (asked === "bf16" || !isUnavailable(error)) throw error;
      throw new LingolensError(
        error.code,
        `This run has begun in bf16. ${error.message} --dtype fp32 goes on without.`,
        { cause: error },
      );
    }
  const bf16 = await open().catch((error) => {
    if (isUnavailable(error)) return undefined;
    throw error;
  });
  if (!(await anyRank(collective, !bf16?.compileGraph)))
    return { engine: bf16!, dtypeOf: (parameters) => (parameters < LARGE_MODEL ? "fp32" : "bf16") };
  if (bf16 !== engine) await bf16?.close();
  return { engine, dtypeOf: () => "fp32" };
}

const isUnavailable = (error: unknown): error is LingolensError =>
  error instanceof LingolensError && error.code === "engine-unavailable";
