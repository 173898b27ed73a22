import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeImage } from "./decode.js";
import type { RgbImage } from "./pixels.js";
import { preprocess, resizeAndCrop } from "./preprocess.js";
import { clipPreprocessorConfig, readPreprocessorConfig } from "./preprocessor-config.js";

const fixtures = new URL("../../test/fixtures/clip-preprocess/", import.meta.url);
const shared = process.env.LINGOLENS_SHARED;
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const asStored = { ignoreExif: true };

interface Golden {
  file: string;
  decoded: string | null;
  expected: string;
  expected_sha256: string;
  pixel_values_mean: number;
  pixel_values_first8_ch0: number[];
}
const goldens: Golden[] = JSON.parse(readFileSync(new URL("index.json", fixtures), "utf8")).images;
const config = clipPreprocessorConfig(224);

describe("CLIPImageProcessor's crop", () => {
  it.each(goldens)("of $file, from RGB that PIL decoded", async ({ file, decoded, expected_sha256 }) => {
    const image = await decodeImage(readFileSync(new URL(decoded ?? `images/${file}`, fixtures)), asStored);
    expect(sha256(resizeAndCrop(image, config).data)).toBe(expected_sha256);
  });

  it.each(goldens)(
    "of $file, from the file, to one level in 99.9 % of the values",
    async ({ file, expected }) => {
      const image = await decodeImage(readFileSync(new URL(`images/${file}`, fixtures)), asStored);
      const crop = resizeAndCrop(image, config);
      expect(await shareWithinOneLevel(crop, new URL(expected, fixtures))).toBeGreaterThanOrEqual(0.999);
    },
  );

  it.each(goldens)("and pixel values of $file", async (golden) => {
    const image = await decodeImage(
      readFileSync(new URL(golden.decoded ?? `images/${golden.file}`, fixtures)),
      asStored,
    );
    const { width, height, data } = preprocess(image, config);
    expect([width, height, data.length]).toEqual([224, 224, 3 * 224 * 224]);
    expect(Array.from(data.subarray(0, 8))).toEqual(golden.pixel_values_first8_ch0);
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    expect(mean).toBeCloseTo(golden.pixel_values_mean, 6);
  });
});

describe.skipIf(!shared)("the crops of tiny-e2e", () => {
  const folder = new URL("goldens/tiny-e2e/", pathToFileURL(`${shared}/`));
  const files = shared ? readdirSync(new URL("images/", folder)) : [];
  const settings =
    shared && JSON.parse(readFileSync(new URL("form2-safetensors/preprocessor_config.json", folder), "utf8"));

  it.each(files)("%s", async (file) => {
    const image = await decodeImage(readFileSync(new URL(`images/${file}`, folder)), asStored);
    const crop = resizeAndCrop(image, readPreprocessorConfig(settings, 64));
    expect(await shareWithinOneLevel(crop, new URL(`crops/${file}.png`, folder))).toBeGreaterThanOrEqual(
      0.999,
    );
  });
});

async function shareWithinOneLevel(image: RgbImage, expected: URL): Promise<number> {
  const { width, height, data } = await decodeImage(readFileSync(expected));
  expect([image.width, image.height]).toEqual([width, height]);
  return image.data.filter((value, i) => Math.abs(value - data[i]!) <= 1).length / data.length;
}

describe("preprocess", () => {
  it("stretches to both edges where the config gives both, and leaves out what it turns off", async () => {
    const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => i * 10) };
    const raw = readPreprocessorConfig(
      { size: { height: 2, width: 2 }, do_center_crop: false, do_rescale: false, do_normalize: false },
      2,
    );
    const { data } = preprocess(image, raw);
    const { data: bytes } = resizeAndCrop(image, raw);
    expect(data).toHaveLength(12);
    for (let channel = 0; channel < 3; channel++) {
      for (let i = 0; i < 4; i++) expect(data[channel * 4 + i]).toBe(bytes[i * 3 + channel]);
    }
  });

  it("sees the middle of a picture of 1 x 100,000", () => {
    const data = new Uint8Array(300_000).fill(255, 149_000, 151_000);
    const { width, height, data: crop } = resizeAndCrop({ width: 1, height: 100_000, data }, config);
    expect([width, height]).toEqual([224, 224]);
    expect(crop.every((value) => value === 255)).toBe(true);
  });
});
