import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeImage } from "./decode.js";
import { loadPicture, type PictureSource } from "./picture-source.js";
import type { RgbImage } from "./pixels.js";

const folder = fileURLToPath(new URL("../../test/fixtures/clip-preprocess/images/", import.meta.url));
const path = `${folder}rgba_260x260.png`;
const bytes = readFileSync(path);

describe("loadPicture", () => {
  it("takes a path, the bytes and a URL alike", async () => {
    const expected = await decodeImage(bytes);
    const isExpected = ({ data }: RgbImage) => Buffer.compare(data, expected.data) === 0;
    expect(await loadPicture(path)).toSatisfy(isExpected);
    expect(await loadPicture(bytes)).toSatisfy(isExpected);
    expect(await loadPicture(new Uint8Array(bytes))).toSatisfy(isExpected);

    const server = createServer((_, answer) => answer.end(bytes)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`;
    try {
      expect(await loadPicture(url, { fetch: { allowPrivate: true } })).toSatisfy(isExpected);
      await expect(loadPicture(url)).rejects.toMatchObject({ code: "address-refused" });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("takes pixels, and drops their alpha", async () => {
    const rgb = Uint8Array.of(1, 2, 3, 4, 5, 6);
    expect(await loadPicture({ width: 2, height: 1, data: rgb })).toEqual({ width: 2, height: 1, data: rgb });
    const rgba = Uint8ClampedArray.of(1, 2, 3, 0, 4, 5, 6, 255);
    expect(await loadPicture({ width: 2, height: 1, data: rgba })).toEqual({
      width: 2,
      height: 1,
      data: rgb,
    });
  });

  it("passes the options on to the decoder", async () => {
    await expect(loadPicture(path, { maxPixels: 100 })).rejects.toMatchObject({ code: "image-too-large" });
    const turned = `${folder}exif6_400x260.jpg`;
    expect((await loadPicture(turned)).width).toBe(260);
    expect((await loadPicture(turned, { ignoreExif: true })).width).toBe(400);
  });

  it.each<[string, PictureSource, string, string]>([
    ["a missing file", `${folder}missing.jpg`, "file-not-found", "missing.jpg does not exist"],
    ["a file taken for a folder", `${path}/a.jpg`, "file-not-found", "does not exist"],
    ["a folder", folder, "unreadable-image", "is a folder"],
    ["a name longer than any", `data:image/png;base64,${"A".repeat(10_000)}`, "file-not-found", "…"],
    [
      "a text file",
      fileURLToPath(import.meta.url),
      "unreadable-image",
      "picture-source.test.ts is not a picture",
    ],
    ["another scheme", "ftp://example.com/a.jpg", "fetch-failed", "http"],
    [
      "too few pixels",
      { width: 2, height: 2, data: new Uint8Array(15) },
      "shape-mismatch",
      "12 bytes as RGB or 16",
    ],
    ["no size", { width: 0, height: 2, data: new Uint8Array(0) }, "shape-mismatch", "0 x 2"],
    ["half a pixel", { width: 0.5, height: 2, data: new Uint8Array(3) }, "shape-mismatch", "0.5 x 2"],
    ["floats", { width: 1, height: 1, data: new Float32Array(4) as never }, "shape-mismatch", "Uint8Array"],
  ])("fails for %s", async (_, source, code, says) => {
    const error = await loadPicture(source).catch((e: unknown) => e);
    expect(error).toMatchObject({ code, message: expect.stringContaining(says) });
    expect((error as Error).message.length).toBeLessThan(500);
  });

  it("can be cancelled", async () => {
    await expect(loadPicture("http://127.0.0.1/", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
    await expect(loadPicture(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "cancelled",
    });
  });
});
