import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { LingolensError } from "../errors.js";
import { decodeImage } from "./decode.js";

const fixtures = new URL("../../test/fixtures/", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, fixtures));
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

interface Facts {
  size: [number, number];
  sha256: string;
}
const pillow: { file: string; rgb: Facts; upright: Facts }[] = JSON.parse(
  read("decode/index.json").toString(),
).pictures;
const clip: { file: string; decoded_rgb_sha256: string }[] = JSON.parse(
  read("clip-preprocess/index.json").toString(),
).images;

describe("decodeImage gives PIL's RGB bytes", () => {
  it.each(clip)("of clip-preprocess/images/$file", async ({ file, decoded_rgb_sha256 }) => {
    const image = await decodeImage(read(`clip-preprocess/images/${file}`), { ignoreExif: true });
    expect(sha256(image.data)).toBe(decoded_rgb_sha256);
  });

  it.each(pillow)("of decode/$file", async ({ file, rgb, upright }) => {
    const bytes = read(`decode/${file}`);
    const image = await decodeImage(bytes);
    expect([image.width, image.height]).toEqual(upright.size);
    expect(sha256(image.data)).toBe(upright.sha256);

    const stored = await decodeImage(bytes, { ignoreExif: true });
    expect([stored.width, stored.height]).toEqual(rgb.size);
    expect(sha256(stored.data)).toBe(rgb.sha256);
  });

  it("of an AVIF, up to the rounding of its colours", async () => {
    const { data, info } = await sharp(read("clip-preprocess/images/exact_224.png"))
      .raw()
      .toBuffer({ resolveWithObject: true });
    const avif = await sharp(data, { raw: info })
      .avif({ lossless: true, chromaSubsampling: "4:4:4" })
      .toBuffer();
    const image = await decodeImage(avif);
    const largest = image.data.reduce((max, value, i) => Math.max(max, Math.abs(value - data[i]!)), 0);
    expect(largest).toBeLessThanOrEqual(2);
  });
});

describe("EXIF orientations that another program wrote", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("%i is turned upright", async (orientation) => {
    const photo = sharp(read("clip-preprocess/images/odd_225x337.jpg"));
    const jpeg = await photo.withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer();
    const { data, info } = await sharp(jpeg).autoOrient().raw().toBuffer({ resolveWithObject: true });
    const upright = await decodeImage(jpeg);
    expect([upright.width, upright.height]).toEqual([info.width, info.height]);
    expect(sha256(upright.data)).toBe(sha256(data));

    const stored = await decodeImage(jpeg, { ignoreExif: true });
    expect([stored.width, stored.height]).toEqual([225, 337]);
  });
});

async function errorOf(bytes: Uint8Array, options = {}): Promise<LingolensError> {
  const error = await decodeImage(bytes, { name: "a.jpg", ...options }).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(LingolensError);
  const { message } = error as LingolensError;
  expect(message).toMatch(/^a\.jpg [^\n]+\.$/);
  return error as LingolensError;
}

describe("limits", () => {
  it("refuses 50,000 x 50,000 pixels by the header, before it decodes", async () => {
    const bomb = Buffer.from(read("clip-preprocess/images/exact_224.png"));
    bomb.writeUInt32BE(50_000, 16);
    bomb.writeUInt32BE(50_000, 20);
    // A PNG header has a checksum, and a wrong one would be refused for itself.
    bomb.writeInt32BE(crc32(bomb.subarray(12, 29)), 29);
    const error = await errorOf(bomb);
    expect(error.code).toBe("image-too-large");
    expect(error.message).toContain("50000 x 50000");

    const gif = Buffer.from(read("decode/palette.gif"));
    gif.writeUInt16LE(50_000, 6);
    gif.writeUInt16LE(50_000, 8);
    expect((await errorOf(gif)).code).toBe("image-too-large");
  });

  it("takes a limit of the caller's", async () => {
    const bytes = read("clip-preprocess/images/exact_224.png");
    expect((await errorOf(bytes, { maxPixels: 224 * 224 - 1 })).code).toBe("image-too-large");
    expect((await decodeImage(bytes, { maxPixels: 224 * 224 })).width).toBe(224);
  });
});

describe("what is no picture", () => {
  it.each([
    ["", "unreadable-image", "is empty"],
    ["<!DOCTYPE html><title>404</title>", "unreadable-image", "is an HTML page"],
    ["\n<!-- a --><html>", "unreadable-image", "is an HTML page"],
    ['{"error": "gone"}', "unreadable-image", "is JSON"],
    ["not a picture", "unreadable-image", "is plain text"],
    ["\0\0\0\0\0\0\0\0\0\0\0\0", "unreadable-image", "holds only zeros"],
    ["PK\x03\x04abc", "unreadable-image", "is an archive"],
    ["\x01\x02\x03", "unreadable-image", "is of no known format"],
    ["%PDF-1.7", "unsupported-format", "PDF"],
    ['<?xml version="1.0"?><!-- b --><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported-format", "SVG"],
    ["BM\x36\0\0\0\0\0\0\0", "unsupported-format", "BMP"],
    ["\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported-format", "HEIC"],
    ["\0\0\0\x18ftypisom\0\0\0\0mp41isom", "unsupported-format", "a video"],
  ])("%j is %s", async (text, code, says) => {
    const error = await errorOf(Buffer.from(text, "latin1"));
    expect(error.code).toBe(code);
    expect(error.message).toContain(says);
  });

  it("answers at once to a prolog made to be slow", async () => {
    const error = await errorOf(Buffer.from("<!---->".repeat(100_000)));
    expect(error.code).toBe("unreadable-image");
  });
});

const ONE_OF_EACH = [
  ["JPEG", "decode/420.jpg"],
  ["progressive JPEG", "decode/420-progressive.jpg"],
  ["CMYK JPEG", "decode/cmyk.jpg"],
  ["PNG", "decode/rgba8.png"],
  ["16-bit PNG", "decode/rgb16-interlaced.png"],
  ["palette PNG", "decode/palette4-transparent.png"],
  ["WebP", "decode/lossy.webp"],
  ["lossless WebP", "decode/alpha-lossless.webp"],
  ["GIF", "decode/interlaced.gif"],
  ["TIFF", "decode/lzw.tif"],
  ["plain TIFF", "decode/rgb.tif"],
] as const;

describe("damaged files", () => {
  const avif = sharp(read("decode/rgb.tif")).avif().toBuffer();
  const files = [
    ...ONE_OF_EACH.map(([format, path]) => [format, Promise.resolve(read(path))] as const),
    ["AVIF", avif] as const,
  ];

  it.each(files)("a %s cut short is unreadable", async (_, file) => {
    const bytes = await file;
    for (const part of [0.1, 0.5, 0.9]) {
      expect((await errorOf(bytes.subarray(0, Math.floor(bytes.length * part)))).code).toBe(
        "unreadable-image",
      );
    }
  });

  it.each(files)(
    "a %s cut anywhere or with bytes changed gives a picture or a typed error",
    async (_, file) => {
      const original = await file;
      const position = fc.integer({ min: 0, max: original.length - 1 });
      const changes = fc.array(fc.tuple(position, fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(changes, fc.option(position), async (flips, end) => {
          const bytes = Buffer.from(original);
          for (const [at, mask] of flips) bytes[at]! ^= mask;
          const damaged = bytes.subarray(0, end ?? bytes.length);
          try {
            const { width, height, data } = await decodeImage(damaged, { maxPixels: 1_000_000 });
            expect(data).toHaveLength(width * height * 3);
          } catch (error) {
            expect(error).toBeInstanceOf(LingolensError);
            expect(["unreadable-image", "unsupported-format", "image-too-large"]).toContain(
              (error as LingolensError).code,
            );
          }
        }),
        { numRuns: 150 },
      );
    },
  );
});

/** CRC-32 of PNG chunks (ISO 3309). */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc;
}
