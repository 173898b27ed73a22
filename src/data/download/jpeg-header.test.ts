import fc from "fast-check";
import sharp, { type JpegOptions } from "sharp";
import { expect, it } from "vitest";
import { jpegHeader } from "./jpeg-header.js";

const picture = (background = "#c04020") =>
  sharp({ create: { width: 70, height: 40, channels: 3, background } });

async function expectSame(bytes: Buffer): Promise<void> {
  const said = await sharp(bytes).metadata();
  const { width, height, autoOrient, orientation, isProgressive, channels, depth, space, hasAlpha } = said;
  expect(jpegHeader(bytes)).toEqual({
    ...{ width, height, autoOrient, isProgressive, channels, depth, space, hasAlpha },
    ...(orientation !== undefined && { orientation }),
  });
}

it.each<JpegOptions>([
  {},
  { progressive: true },
  { chromaSubsampling: "4:4:4", quality: 100 },
  { mozjpeg: true },
  { optimizeCoding: false },
])("is what sharp says of it: %j", async (options) => {
  await expectSame(await picture().jpeg(options).toBuffer());
  await expectSame(await picture().grayscale().jpeg(options).toBuffer());
  await expectSame(await picture().withIccProfile("srgb").jpeg(options).toBuffer());
});

it("is left to sharp where the picture is turned, has four colours or is no JPEG", async () => {
  expect(jpegHeader(await picture().withMetadata({ orientation: 6 }).jpeg().toBuffer())).toBeUndefined();
  expect(jpegHeader(await picture().toColourspace("cmyk").jpeg().toBuffer())).toBeUndefined();
  expect(jpegHeader(await picture().png().toBuffer())).toBeUndefined();
});

it("is left to sharp where the file ends before its pixels", async () => {
  const bytes = await picture().jpeg().toBuffer();
  const scan = bytes.indexOf(Buffer.from([0xff, 0xda]));
  for (let length = 0; length < scan + 4; length++)
    expect(jpegHeader(bytes.subarray(0, length)), `${length}`).toBeUndefined();
});

it("is read of any bytes without failing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      jpegHeader(Uint8Array.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, ...bytes]));
      jpegHeader(bytes);
    }),
  );
});
