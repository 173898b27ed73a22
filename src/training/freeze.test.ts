import { describe, expect, it } from "vitest";
import { trainableShapes } from "./freeze.js";

const shapes = new Map(
  [
    "final_logits_bias",
    "model.shared.weight",
    "model.visual_projection.bias",
    "model.encoder.vision_model.pre_layrnorm.weight",
    "model.decoder.layers.0.encoder_attn.q_proj.bias",
    "model.decoder.layers.0.encoder_attn_layer_norm.bias",
    "model.decoder.layers.10.fc1.bias",
  ].map((name) => [name, [2]]),
);
const trained = (freeze: string[]) => [...trainableShapes(shapes, freeze).keys()];

describe("trainableShapes", () => {
  it.each([
    [[], [...shapes.keys()]],
    [["model.*"], ["final_logits_bias"]],
    [
      ["*", "!*.encoder_attn.*", "!model.visual_projection.*"],
      ["model.visual_projection.bias", "model.decoder.layers.0.encoder_attn.q_proj.bias"],
    ],
    [["!*", "model.*", "!*.fc1.*", "*.10.*"], ["final_logits_bias"]],
    // A dot is a dot, a name is whole.
    [
      ["model.shared.weight", "*.layers.1*.bias"],
      [...shapes.keys()].slice(0, 1).concat([...shapes.keys()].slice(2, 6)),
    ],
  ])("%j leaves %j", (freeze, left) => {
    expect(trained(freeze)).toEqual(left);
  });

  it.each([
    [["model.encodr.*"], '"model.encodr.*" matches no parameter', "model.encoder"],
    [["encoder.*"], '"encoder.*" matches no parameter', "model.visual_projection"],
    [["model?shared.weight"], "matches no parameter", "model.shared"],
    [["*"], "freezes every parameter", "Leave some"],
  ])("%j is refused", (freeze, ...words) => {
    for (const word of words)
      expect(() => trained(freeze)).toThrow(
        expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(word) }),
      );
  });
});
