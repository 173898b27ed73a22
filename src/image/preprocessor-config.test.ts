import { describe, expect, it } from "vitest";
import { clipPreprocessorConfig, readPreprocessorConfig } from "./preprocessor-config.js";

const clip = clipPreprocessorConfig(224);

/** As openai/clip-vit-base-patch32 had it first, and has it since. */
const OLD = {
  crop_size: 224,
  do_center_crop: true,
  do_normalize: true,
  do_resize: true,
  feature_extractor_type: "CLIPFeatureExtractor",
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  size: 224,
};
const NEW = {
  ...OLD,
  feature_extractor_type: undefined,
  image_processor_type: "CLIPImageProcessor",
  crop_size: { height: 224, width: 224 },
  size: { shortest_edge: 224 },
  do_rescale: true,
  rescale_factor: 0.00392156862745098,
  do_convert_rgb: true,
};

describe("readPreprocessorConfig", () => {
  it.each([
    ["nothing", {}],
    ["the first format", OLD],
    ["the later format", NEW],
    ["nulls", { size: null, do_convert_rgb: null, image_mean: null }],
  ])("reads %s as CLIP's values", (_, json) => {
    expect(readPreprocessorConfig(json, 224)).toEqual(clip);
  });

  it("takes the values that are given", () => {
    const config = readPreprocessorConfig(
      { size: 40, crop_size: 32, image_mean: [0, 0.5, 1], image_std: [1, 2, 3], rescale_factor: 0.5 },
      32,
    );
    expect(config).toEqual({
      size: { shortestEdge: 40 },
      cropSize: { width: 32, height: 32 },
      mean: [0, 0.5, 1],
      std: [1, 2, 3],
      rescaleFactor: 0.5,
    });
  });

  it.each([
    ["another interpolation", { resample: 2 }, "resample is 2"],
    ["no resize", { do_resize: false }, "do_resize is false"],
    ["no conversion to RGB", { do_convert_rgb: false }, "do_convert_rgb is false"],
    ["padding", { do_pad: true }, "do_pad is true"],
    ["pictures of any shape", { do_center_crop: false }, "do_center_crop"],
    ["a crop larger than the picture", { size: 200 }, "larger than the resized picture"],
    ["another size than the model's", { size: 336, crop_size: 336 }, "336 x 336"],
    ["a bound on the longest edge", { size: { shortest_edge: 224, longest_edge: 500 } }, "size is"],
    ["a size of zero", { size: 0 }, "size is 0"],
    ["a size to exhaust memory", { size: 1e9 }, "size is 1000000000"],
    ["a division by zero", { image_std: [1, 0, 1] }, "image_std"],
    ["a mean of four channels", { image_mean: [0, 0, 0, 0] }, "image_mean"],
    ["another family's processor", { image_processor_type: "ViTImageProcessor" }, "ViTImageProcessor"],
    ["no object", "text", "expected a JSON object"],
  ])("refuses %s", (_, json, says) => {
    expect(() => readPreprocessorConfig(json, 224)).toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(says) }),
    );
  });
});
