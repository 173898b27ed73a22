import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { DEFAULT_RULES, type PictureRules, processPicture } from "./process-picture.js";

const rules = (changed: Partial<PictureRules> = {}): PictureRules => ({ ...DEFAULT_RULES, ...changed });

/** A gradient with a bright bar on its left, so that turning and cutting show. */
function drawn(width: number, height: number) {
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      data.set([x < width / 8 ? 255 : 20, (200 * y) / height, (200 * x) / width], (y * width + x) * 3);
  return sharp(data, { raw: { width, height, channels: 3 } });
}

const metadata = async (bytes: Uint8Array) => {
  const { width, height, format, channels } = await sharp(bytes).metadata();
  return { width, height, format, channels };
};

describe("processPicture", () => {
  it("reads every format, and makes JPEGs of them", async () => {
    const picture = drawn(120, 90);
    const files = await Promise.all([
      picture.clone().jpeg().toBuffer(),
      picture.clone().jpeg({ progressive: true }).toBuffer(),
      picture.clone().png().toBuffer(),
      picture.clone().png({ progressive: true }).toBuffer(),
      picture.clone().webp().toBuffer(),
      picture.clone().gif().toBuffer(),
      picture.clone().avif({ effort: 0 }).toBuffer(),
      picture.clone().tiff().toBuffer(),
      picture.clone().grayscale().png().toBuffer(),
      picture.clone().toColourspace("rgb16").png().toBuffer(),
      picture.clone().toColourspace("cmyk").jpeg().toBuffer(),
      picture.clone().ensureAlpha(0.5).png().toBuffer(),
    ]);
    const hashes = new Set<string>();
    for (const bytes of files)
      for (const resize of ["no", "border"] as const) {
        const made = await processPicture(bytes, rules({ resize, size: 64 }));
        const expected = resize === "no" ? { width: 120, height: 90 } : { width: 64, height: 64 };
        expect(await metadata(made.jpeg)).toMatchObject({ ...expected, format: "jpeg" });
        expect(made).toMatchObject({ ...expected, originalWidth: 120, originalHeight: 90 });
        hashes.add(made.perceptualHash);
      }
    expect([...hashes].every((hash) => /^[0-9a-f]{16}$/.test(hash))).toBe(true);
  });

  it("keeps an upright JPEG byte for byte, and turns another one", async () => {
    const plain = await drawn(80, 60).jpeg().toBuffer();
    expect((await processPicture(plain, rules())).jpeg).toEqual(plain);
    const turned = await drawn(80, 60).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const made = await processPicture(turned, rules());
    expect(made).toMatchObject({ width: 60, height: 80, originalWidth: 60, originalHeight: 80 });
    // The bar of the left is at the top then.
    const { data } = await sharp(made.jpeg).raw().toBuffer({ resolveWithObject: true });
    expect(data[(2 * 60 + 30) * 3]).toBeGreaterThan(200);
    expect(data[(70 * 60 + 30) * 3]).toBeLessThan(100);
  });

  it.each([
    ["border", 400, 200, false, 128, 128],
    ["border", 60, 40, false, 128, 128],
    ["keep-ratio", 400, 200, false, 256, 128],
    ["keep-ratio", 60, 40, false, 60, 40],
    ["keep-ratio", 60, 40, true, 192, 128],
    ["center-crop", 400, 200, false, 128, 128],
    ["center-crop", 200, 400, false, 128, 128],
    ["center-crop", 200, 60, false, 128, 60],
    ["center-crop", 60, 40, true, 128, 128],
  ] as const)("%s of %i x %i, upscale %s, gives %i x %i", async (resize, width, height, upscale, w, h) => {
    const bytes = await drawn(width, height).png().toBuffer();
    const made = await processPicture(bytes, rules({ resize, size: 128, upscale }));
    expect(await metadata(made.jpeg)).toMatchObject({ width: w, height: h });
    expect(made).toMatchObject({ width: w, height: h });
  });

  it("does not enlarge a small picture within its border unless asked", async () => {
    const bytes = await sharp({ create: { width: 40, height: 40, channels: 3, background: "black" } })
      .png()
      .toBuffer();
    const dark = async (upscale: boolean) => {
      const { jpeg } = await processPicture(bytes, rules({ resize: "border", size: 120, upscale }));
      const data = await sharp(jpeg).raw().toBuffer();
      return data.filter((value) => value < 128).length / data.length;
    };
    expect(await dark(false)).toBeCloseTo(1 / 9, 1);
    expect(await dark(true)).toBeCloseTo(1, 2);
  });

  it("knows a picture again in another size and quality", async () => {
    /** Waves in all directions, which have every frequency as photographs do. */
    const waves = (seed: number, side: number) => {
      const data = Buffer.alloc(side * side * 3);
      for (let i = 0; i < side * side; i++) {
        const [x, y] = [(i % side) / side, Math.floor(i / side) / side];
        let value = 128;
        for (let k = 1; k < 12; k++)
          value += 30 * Math.sin(seed * k * k + 9 * x * ((seed * k) % 4) + 9 * y * ((seed + k * 3) % 5));
        data.fill(value < 0 ? 0 : value > 255 ? 255 : value, i * 3, i * 3 + 3);
      }
      return sharp(data, { raw: { width: side, height: side, channels: 3 } });
    };
    const bits = (hash: string) => BigInt(`0x${hash}`).toString(2).padStart(64, "0");
    const hashOf = async (bytes: Uint8Array, resize: "no" | "border") =>
      bits((await processPicture(bytes, rules({ resize }))).perceptualHash);
    const apart = (a: string, b: string) => [...a].filter((bit, i) => bit !== b[i]).length;
    const large = await hashOf(await waves(1, 400).jpeg().toBuffer(), "no");
    const small = await hashOf(await waves(1, 300).jpeg({ quality: 60 }).toBuffer(), "border");
    const other = await hashOf(await waves(2, 400).jpeg().toBuffer(), "no");
    expect(apart(large, small)).toBeLessThanOrEqual(6);
    expect(apart(large, other)).toBeGreaterThan(12);
  });
});

describe("processPicture refuses", () => {
  const lossOf = async (bytes: Uint8Array, changed: Partial<PictureRules> = {}) =>
    processPicture(bytes, rules(changed)).then(
      () => "none",
      ({ failure }) => failure,
    );

  it.each([
    ["nothing", "", "not-an-image"],
    ["a page", "<!doctype html><html><body>gone</body></html>", "not-an-image"],
    ["a drawing in SVG", '<svg xmlns="http://www.w3.org/2000/svg"/>', "not-an-image"],
    ["a bitmap of another format", "BM\x9a\0\0\0\0\0\0\0", "not-an-image"],
    ["text with a JPEG's first bytes", "\xff\xd8\xff\xe0 and nothing else", "damaged-image"],
  ])("%s", async (_, text, loss) => {
    expect(await lossOf(Buffer.from(text, "latin1"))).toBe(loss);
  });

  it("files cut short, in every mode", async () => {
    const noise = Buffer.from(Array.from({ length: 300 * 300 * 3 }, (_, i) => (i * 7919) % 251));
    const picture = sharp(noise, { raw: { width: 300, height: 300, channels: 3 } });
    for (const bytes of [
      await picture.clone().jpeg().toBuffer(),
      await picture.clone().jpeg({ progressive: true }).toBuffer(),
      await picture.clone().png().toBuffer(),
      await picture.clone().webp().toBuffer(),
      await picture.clone().gif().toBuffer(),
    ])
      for (const resize of ["no", "border", "center-crop"] as const)
        for (const share of [0.3, 0.95])
          expect(
            await lossOf(bytes.subarray(0, Math.floor(bytes.length * share)), { resize, size: 64 }),
            `${(await sharp(bytes).metadata()).format} ${resize} ${share}`,
          ).toBe("damaged-image");
  });

  it("pictures too small or too narrow", async () => {
    expect(await lossOf(await drawn(1, 1).png().toBuffer())).toBe("too-small");
    expect(await lossOf(await drawn(200, 31).png().toBuffer())).toBe("too-small");
    expect(await lossOf(await drawn(1000, 40).png().toBuffer())).toBe("too-small");
    expect(await lossOf(await drawn(400, 40).png().toBuffer())).toBe("none");
  });

  it("bombs, by their headers", async () => {
    const bomb = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: "red" } });
    const bombs = [
      { bytes: await bomb(10_000, 10_000).png().toBuffer() },
      { bytes: await bomb(8000, 6000).webp({ effort: 0 }).toBuffer() },
      { bytes: await bomb(6000, 3000).jpeg().toBuffer(), maxPixels: 10_000_000 },
    ];
    const before = process.memoryUsage.rss();
    for (const { bytes, ...changed } of bombs) expect(await lossOf(bytes, changed)).toBe("image-bomb");
    expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 2 ** 20);
  });
});
