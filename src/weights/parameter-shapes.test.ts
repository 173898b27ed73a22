import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTinyTensors, tinyModel } from "../../test/support/model-folder-fixture.js";
import { parseConfig } from "../model/config.js";
import { parameterShapes } from "./parameter-shapes.js";

describe("parameterShapes", () => {
  it("names the golden checkpoint's tensors with their shapes", async () => {
    const json: unknown = JSON.parse(await readFile(join(tinyModel, "config.json"), "utf8"));
    const shapes = parameterShapes(parseConfig(json, { weightsFormat: "safetensors" }));
    const stored = [...(await readTinyTensors())].map(([name, { shape }]) => [name, shape] as const);
    expect(Object.fromEntries(shapes)).toEqual(Object.fromEntries(stored));
  });
});
