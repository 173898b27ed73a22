import { describe, expect, it } from "vitest";
import { recipes } from "../recipes/index.js";
import { resolveRecipe } from "./recipe.js";

/** Matches an error of this code whose message holds these words. */
const refusal = (code: string, words: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(words) });

describe("resolveRecipe", () => {
  it.each(Object.keys(recipes))(
    "%s has every key that --set is promised, and is a recipe again as resolved",
    (name) => {
      const recipe = resolveRecipe(recipes[name]);
      const promised =
        "steps batchSize seed learningRate warmupSteps checkpointEvery evaluateEvery dropout".split(" ");
      expect(Object.keys(recipe)).toEqual(expect.arrayContaining(promised));
      expect(resolveRecipe(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
    },
  );

  it("applies changes: JSON where it is JSON, else text; within others by a dot", () => {
    const changes = [
      "steps=7",
      'languages=["it","pt"]',
      "data.path=my photos=1",
      "name=7up",
      "learningRate=1e-4",
    ];
    expect(resolveRecipe(recipes["fine-tune"], changes)).toMatchObject({
      steps: 7,
      languages: ["it", "pt"],
      data: { kind: "folder", path: "my photos=1" },
      name: "7up",
      learningRate: 1e-4,
    });
    expect(recipes["fine-tune"]!.steps).toBe(1000);
  });

  it.each([
    ["step=3", 'A recipe has no key "step". Did you mean "steps"? Its keys: name, model'],
    ["optimizer=sgd", 'has no key "optimizer". Its keys:'],
    ["data.pth=photos", 'A recipe\'s data of kind "folder" has no key "pth". Did you mean "path"?'],
    [
      "model.visionLayers=2",
      'A recipe\'s model of kind "pretrained" has no key "visionLayers". Its keys: kind, path.',
    ],
    ["__proto__.steps=3", 'no key "__proto__"'],
    ["steps", "expected key=value"],
  ])("refuses %s", (change, words) => {
    expect(() => resolveRecipe(recipes["fine-tune"], [change])).toThrow(refusal("option-unsupported", words));
  });

  it.each([
    ["steps=many", "steps"],
    ["steps=0", "steps"],
    ["dropout=1", "dropout"],
    ["freeze=model.encoder.*", "freeze"],
    ["data.kind=web", "data.kind"],
    ["batchSize=3", "not a multiple of gradientAccumulation × workers (2 × 1)"],
  ])("refuses the value of %s", (change, words) => {
    expect(() => resolveRecipe(recipes["fine-tune"], [change])).toThrow(refusal("config-invalid", words));
  });
});
