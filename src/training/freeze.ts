import { LingolensError } from "../errors.js";
import type { ParameterShapes } from "./parameters.js";

/**
 * The parameters that are trained: those that no pattern freezes. In a pattern, `*` stands for any letters; one that
 * begins with `!` unfreezes what an earlier one froze, so that `["*", "!*.encoder_attn.*"]` leaves the cross-attention.
 * @throws {LingolensError} `config-invalid` for a pattern that no parameter has, or where nothing is left
 */
export function trainableShapes(shapes: ParameterShapes, freeze: readonly string[]): ParameterShapes {
  const frozen = new Set<string>();
  for (const pattern of freeze) {
    const unfreezes = pattern.startsWith("!");
    const matches = matcher(unfreezes ? pattern.slice(1) : pattern);
    const matched = [...shapes.keys()].filter((name) => matches.test(name));
    if (matched.length === 0)
      throw new LingolensError(
        "config-invalid",
        `Recipe, freeze: "${pattern}" matches no parameter. Patterns are whole names with * for any letters, such as ` +
          `"model.encoder.*"; the names begin with ${beginnings(shapes).join(", ")}.`,
      );
    for (const name of matched) {
      if (unfreezes) frozen.delete(name);
      else frozen.add(name);
    }
  }
  const trainable = new Map([...shapes].filter(([name]) => !frozen.has(name)));
  if (trainable.size === 0)
    throw new LingolensError(
      "config-invalid",
      `Recipe, freeze: ${JSON.stringify(freeze)} freezes every parameter. Leave some to train.`,
    );
  return trainable;
}

function matcher(pattern: string): RegExp {
  const literals = pattern.split("*").map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literals.join(".*")}$`);
}

function beginnings(shapes: ParameterShapes): string[] {
  return [...new Set([...shapes.keys()].map((name) => name.split(".").slice(0, 2).join(".")))];
}
