/**
 * Picture files to RGB, as PIL's `Image.open(…).convert("RGB")` gives it: alpha is dropped and not composited, colour
 * profiles are ignored, 16-bit gray is clipped at 255.
 */
import sharp, { type Metadata, type Sharp } from "sharp";
import { LingolensError } from "../errors.js";
import { runInSlices } from "../pausable.js";
import { decodingGif, gifSize } from "./gif.js";
import type { RgbImage } from "./pixels.js";
import { cmykToRgb, gray16ToRgb, highBytesToRgb, type Samples } from "./samples.js";
import { type ImageFormat, sniff } from "./sniff.js";

/** PIL's limit against decompression bombs, twice its MAX_IMAGE_PIXELS: 537 MB of RGB. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

export interface DecodeOptions {
  /**
   * Leave the pixels as the file stores them, whatever its EXIF orientation says, as CLIPImageProcessor does.
   * The orientation of a TIFF, which PIL always applies, and that of an AVIF are the format's own and are applied
   * anyway. Default false: pictures are turned upright.
   */
  readonly ignoreExif?: boolean;
  /** A picture whose header announces more pixels is refused before it is decoded. Default 178,956,970. */
  readonly maxPixels?: number;
  /** What error messages call the picture. Default "The picture". */
  readonly name?: string;
}

/**
 * Decodes JPEG, PNG, WebP, GIF, AVIF or TIFF; of an animation or a document, the first frame or page.
 * @throws {LingolensError} `unreadable-image` when the file is no picture, is damaged or is cut short;
 * `unsupported-format` for other picture formats; `image-too-large` above `maxPixels`.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  const name = options.name ?? "The picture";
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  const format = decodableFormat(bytes, name);
  try {
    if (format === "GIF") {
      refuseAbove(maxPixels, gifSize(bytes), name);
      return await runInSlices(decodingGif(bytes));
    }
    // As in PIL, damage and truncation are errors, and what libvips calls a warning is not.
    const file = sharp(bytes, { failOn: "error", ignoreIcc: true, limitInputPixels: false });
    const header = await file.metadata();
    refuseAbove(maxPixels, header, name);
    const upright = options.ignoreExif && format !== "TIFF" ? file : file.autoOrient();
    return await decodeWithSharp(upright, header, format === "PNG" && pngHasGrayWithAlpha(bytes));
  } catch (error) {
    if (error instanceof LingolensError && error.code !== "unreadable-image") throw error;
    const reason = error instanceof Error ? error.message.trim().split("\n", 1)[0] : String(error);
    throw new LingolensError(
      "unreadable-image",
      `${name} cannot be decoded: the file starts as ${format} but is damaged or cut short (${reason}).`,
      { cause: error },
    );
  }
}

function decodableFormat(bytes: Uint8Array, name: string): ImageFormat {
  const found = sniff(bytes);
  if (found.kind === "image") return found.format;
  const expected = "expected a JPEG, PNG, WebP, GIF, AVIF or TIFF file";
  throw found.kind === "other-format"
    ? new LingolensError(
        "unsupported-format",
        `${name} cannot be decoded: it is ${found.format}; ${expected}.`,
      )
    : new LingolensError(
        "unreadable-image",
        `${name} is not a picture: the file ${found.description}; ${expected}.`,
      );
}

function refuseAbove(maxPixels: number, size: { width: number; height: number }, name: string): void {
  const pixels = size.width * size.height;
  if (pixels <= maxPixels) return;
  throw new LingolensError(
    "image-too-large",
    `${name} has ${size.width} x ${size.height} = ${pixels} pixels by its header, and at most ${maxPixels} are decoded; ` +
      "scale it down first.",
  );
}

/** Takes the samples out of libvips as the file has them, so that PIL's conversions can follow in place of its own. */
async function decodeWithSharp(file: Sharp, header: Metadata, grayWithAlpha: boolean): Promise<RgbImage> {
  switch (header.space) {
    case "cmyk":
      // Without both colour spaces named, libvips would convert through a colour profile.
      return runInSlices(cmykToRgb(await read(file.pipelineColourspace("cmyk").toColourspace("cmyk"))));
    case "grey16": {
      const gray = await read(file.removeAlpha().toColourspace("grey16"), "ushort");
      return runInSlices(grayWithAlpha ? highBytesToRgb(gray) : gray16ToRgb(gray));
    }
    case "rgb16":
      return runInSlices(highBytesToRgb(await read(file.removeAlpha().toColourspace("rgb16"), "ushort")));
    default: {
      const { width, height, channels, data } = await read(file.removeAlpha());
      if (channels === 3) return { width, height, data };
      throw new LingolensError(
        "unsupported-format",
        `A picture of ${channels} channels (${header.space}) cannot be decoded; expected gray, RGB or CMYK.`,
      );
    }
  }
}

async function read(pipeline: Sharp, depth: "uchar" | "ushort" = "uchar"): Promise<Samples> {
  const { data, info } = await pipeline.raw({ depth }).toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  return { width, height, channels, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

/** The colour type in IHDR. libvips does not tell gray with alpha from gray with a transparent colour; PIL does. */
function pngHasGrayWithAlpha(bytes: Uint8Array): boolean {
  return bytes[25] === 4;
}
