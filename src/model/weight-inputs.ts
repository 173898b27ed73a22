/** What the weights of a model's products are multiplied with, for whoever wants to round them. */
import type { Tensor } from "../graph/index.js";

/** By the weights' names, what each is multiplied with; see `ParameterScope.inputs`. */
export type WeightInputs = ReadonlyMap<string, Tensor>;

/** Weights of products by what they are multiplied with, in lists; the first of a list stands for all. */
export function weightGroups(inputs: WeightInputs): string[][] {
  const groups = new Map<Tensor, string[]>();
  for (const [name, x] of inputs) groups.set(x, [...(groups.get(x) ?? []), name]);
  return [...groups.values()];
}

/** Name of the output that holds what the weights of a group are multiplied with. */
export const weightInputName = (first: string): string => `input:${first}`;

/** The inputs [..., in] of all groups as a program's outputs. */
export function groupOutputs(inputs: WeightInputs): Record<string, Tensor> {
  return Object.fromEntries(
    weightGroups(inputs).map(([first]) => [weightInputName(first!), inputs.get(first!)!]),
  );
}
