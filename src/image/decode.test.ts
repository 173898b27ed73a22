import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { LingolensError } from "../errors.js";
import { decodeImage } from "./decode.js";
import { decodePlainPng, plainPng } from "./plain-png.js";

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

describe("PNG files of RGB and RGBA", () => {
  const FILTERS: readonly ((left: number, up: number, corner: number) => number)[] = [
    () => 0,
    (left) => left,
    (_, up) => up,
    (left, up) => (left + up) >> 1,
    (left, up, corner) => {
      const by = (x: number) => Math.abs(left + up - corner - x);
      if (by(left) <= by(up) && by(left) <= by(corner)) return left;
      return by(up) <= by(corner) ? up : corner;
    },
  ];

  function chunk(type: string, data: Uint8Array): Buffer {
    const named = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(named), 4);
    return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
  }

  /** A file of random samples whose rows have the given filters. */
  function png(width: number, channels: number, filters: readonly number[], extra: readonly Buffer[] = []) {
    const samples = Array.from({ length: filters.length }, (_, y) =>
      Array.from({ length: width * channels }, (_, i) => (i * i * 37 + y * 101 + ((i * y) % 7) * 50) % 256),
    );
    const rows = samples.map((row, y) => {
      const at = (line: number, i: number) => (i < 0 ? 0 : (samples[line]?.[i] ?? 0));
      const foretold = (i: number) =>
        FILTERS[filters[y]!]!(at(y, i - channels), at(y - 1, i), at(y - 1, i - channels));
      return [filters[y]!, ...row.map((sample, i) => sample - foretold(i))];
    });
    const header = Buffer.from([0, 0, 0, width, 0, 0, 0, filters.length, 8, channels === 3 ? 2 : 6, 0, 0, 0]);
    const deflated = deflateSync(Uint8Array.from(rows.flat()));
    const half = deflated.length >> 1;
    return {
      rgb: Uint8Array.from(samples.flatMap((row) => row.filter((_, i) => i % channels < 3))),
      file: Buffer.concat([
        Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
        chunk("IHDR", header),
        ...extra,
        chunk("IDAT", deflated.subarray(0, half)),
        chunk("IDAT", deflated.subarray(half)),
        chunk("IEND", Buffer.alloc(0)),
      ]),
    };
  }

  it("are decoded whatever the filters of their rows", async () => {
    const filters = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(3, 4),
        filters,
        async (width, channels, rows) => {
          const { file, rgb } = png(width, channels, rows);
          expect(plainPng(file)).toBeDefined();
          expect(await decodeImage(file)).toEqual({ width, height: rows.length, data: rgb });
          const libvips = await sharp(file).removeAlpha().raw().toBuffer();
          expect(new Uint8Array(libvips)).toEqual(rgb);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("are left to libvips where there is anything unusual about them", async () => {
    const filters = [0, 4, 1];
    const { file } = png(5, 3, filters);
    expect(plainPng(png(5, 3, filters, [chunk("tEXt", Buffer.from("a\0b"))]).file)).toBeDefined();
    expect(plainPng(png(5, 3, filters, [chunk("eXIf", Buffer.from("MM\0*"))]).file)).toBeUndefined();
    expect(plainPng(png(5, 3, filters, [chunk("ABCD", Buffer.from("?"))]).file)).toBeUndefined();
    const large = Buffer.from(file);
    large.writeUInt32BE(500_000, 16);
    large.writeUInt32BE(crc32(large.subarray(12, 29)), 29);
    expect(plainPng(large)).toBeUndefined();
    for (let length = 8; length < file.length; length += 3)
      expect(plainPng(file.subarray(0, length))).toBeUndefined();
    for (let at = 8; at < file.length; at++) {
      const damaged = Buffer.from(file);
      damaged[at]! ^= 1;
      expect(plainPng(damaged)).toBeUndefined();
    }
    const deflated = deflateSync(Buffer.from([9, 1, 2, 3]));
    expect(await decodePlainPng({ width: 1, height: 1, channels: 3, deflated: [deflated] })).toBeUndefined();
    for (const length of [3, 5]) {
      const other = deflateSync(Buffer.alloc(length));
      expect(await decodePlainPng({ width: 1, height: 1, channels: 3, deflated: [other] })).toBeUndefined();
    }
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
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
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
