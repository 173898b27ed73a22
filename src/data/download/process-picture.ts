/** Fetched bytes to a picture of a data set: what it is, whether it is whole, how large it shall be. */
import sharp, { type Metadata, type Sharp } from "sharp";
import type { RgbImage } from "../../image/pixels.js";
import { type ImageFormat, sniff } from "../../image/sniff.js";
import { Room } from "./limits.js";
import { PictureError } from "./loss.js";
import { perceptualHash } from "./perceptual-hash.js";

/**
 * `no`: as it is. `border`: the longer side becomes `size`, white borders fill up the shorter one. `keep-ratio`: the
 * shorter side becomes `size`. `center-crop`: the same, and of the longer side the middle.
 */
export const RESIZE_MODES = ["no", "border", "keep-ratio", "center-crop"] as const;
export type ResizeMode = (typeof RESIZE_MODES)[number];

export interface PictureRules {
  readonly resize: ResizeMode;
  /** Pixels of a side after resizing. */
  readonly size: number;
  /** Whether pictures smaller than `size` are made larger. */
  readonly upscale: boolean;
  /** JPEG quality of what is encoded anew. */
  readonly quality: number;
  /** Pixels of the shorter side, at least. */
  readonly minSide: number;
  /** The longer side over the shorter one, at most. */
  readonly maxAspect: number;
  /** Pixels, at most. */
  readonly maxPixels: number;
}

export const DEFAULT_RULES: PictureRules = {
  resize: "no",
  size: 256,
  upscale: false,
  quality: 90,
  minSide: 32,
  maxAspect: 20,
  // Pillow's MAX_IMAGE_PIXELS, where it begins to warn.
  maxPixels: 89_478_485,
};

export interface ProcessedPicture {
  /** A JPEG file. */
  readonly jpeg: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Upright, before resizing. */
  readonly originalWidth: number;
  readonly originalHeight: number;
  readonly perceptualHash: string;
}

/** Memory for decoding, of all pictures that are decoded at a time. */
const DECODING_BYTES = 192 * 2 ** 20;
const decodingRoom = new Room(DECODING_BYTES);

/** @throws {PictureError} */
export async function processPicture(bytes: Uint8Array, rules: PictureRules): Promise<ProcessedPicture> {
  const found = sniff(bytes);
  if (found.kind !== "image") {
    const what = found.kind === "other-format" ? `is ${found.format}, which is not read` : found.description;
    throw new PictureError("not-an-image", `The answer is no picture: it ${what}.`);
  }
  const file = sharp(bytes, { failOn: "error", ignoreIcc: true, limitInputPixels: false });
  const header = await decoding(found.format, file.metadata());
  const { width, height } = header.autoOrient;
  refuseUnfit(width, height, rules);
  const needed = decodingBytes(found.format, header);
  if (width * height > rules.maxPixels || needed > DECODING_BYTES)
    throw new PictureError(
      "image-bomb",
      `The picture has ${width} x ${height} pixels by its header; at most ${rules.maxPixels} are decoded, in at most ` +
        `${DECODING_BYTES / 2 ** 20} MiB of memory.`,
    );
  const lease = decodingRoom.lease();
  try {
    await lease.take(needed);
    const made =
      rules.resize === "no"
        ? await keep(file, header, found.format, bytes, rules)
        : await resize(file, header, found.format, rules);
    return { ...made, originalWidth: width, originalHeight: height };
  } finally {
    lease.release();
  }
}

function refuseUnfit(width: number, height: number, { minSide, maxAspect }: PictureRules): void {
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (short < minSide)
    throw new PictureError(
      "too-small",
      `The picture has ${width} x ${height} pixels; at least ${minSide} are wanted.`,
    );
  if (long > short * maxAspect)
    throw new PictureError(
      "too-small",
      `The picture has ${width} x ${height} pixels, which is narrower than 1 : ${maxAspect}.`,
    );
}

/**
 * What libvips and its decoders hold at a time. Most files are decoded row by row; progressive JPEGs keep all their
 * coefficients, other formats the whole picture; turning a picture takes a copy of it.
 */
function decodingBytes(format: ImageFormat, header: Metadata): number {
  const { width, height, isProgressive, orientation = 1, channels = 3, depth } = header;
  const rowWise = format === "TIFF" || !isProgressive;
  const perPixel = {
    JPEG: isProgressive ? 6 : 0,
    PNG: rowWise ? 0 : channels * (depth === "ushort" ? 2 : 1),
    WebP: 5,
    GIF: 9,
    AVIF: 12,
    TIFF: channels * (depth === "uchar" ? 1 : 4),
  }[format];
  const rows = 512 * width * 4;
  return width * height * (perPixel + (orientation > 1 ? 3 : 0)) + Math.min(rows, width * height * 4);
}

type Made = Pick<ProcessedPicture, "jpeg" | "width" | "height" | "perceptualHash">;

/** A JPEG of a kind that every reader shows alike stays byte for byte; it is decoded all the same, to its end. */
async function keep(
  file: Sharp,
  { autoOrient: { width, height }, orientation = 1, space }: Metadata,
  format: ImageFormat,
  bytes: Uint8Array,
  rules: PictureRules,
): Promise<Made> {
  const small = await readRgb(upright(file.clone()).resize(64, 64, { fit: "fill" }), format);
  const isPlain = format === "JPEG" && orientation === 1 && (space === "srgb" || space === "b-w");
  const jpeg = isPlain
    ? bytes
    : await decoding(format, upright(file).toColourspace("srgb").jpeg({ quality: rules.quality }).toBuffer());
  return { jpeg, width, height, perceptualHash: perceptualHash(small) };
}

/** The whole picture is resized before anything is cut off, since it is to be decoded to its end. */
async function resize(
  file: Sharp,
  { autoOrient: { width, height } }: Metadata,
  format: ImageFormat,
  { resize: mode, size, upscale, quality }: PictureRules,
): Promise<Made> {
  const fitted = mode === "border" ? Math.max(width, height) : Math.min(width, height);
  const scale = upscale ? size / fitted : Math.min(1, size / fitted);
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  const rgb = await readRgb(upright(file).resize(scaled(width), scaled(height), { fit: "fill" }), format);
  const pixels = sharp(rgb.data, { raw: { width: rgb.width, height: rgb.height, channels: 3 } });
  const [across, down] = [size - rgb.width, size - rgb.height];
  if (mode === "border" && (across > 0 || down > 0))
    pixels.extend({
      left: across >> 1,
      right: across - (across >> 1),
      top: down >> 1,
      bottom: down - (down >> 1),
      background: "white",
    });
  if (mode === "center-crop" && (across < 0 || down < 0))
    pixels.extract({
      left: Math.max(0, -across >> 1),
      top: Math.max(0, -down >> 1),
      width: Math.min(size, rgb.width),
      height: Math.min(size, rgb.height),
    });
  const { data, info } = await pixels.jpeg({ quality }).toBuffer({ resolveWithObject: true });
  return { jpeg: data, width: info.width, height: info.height, perceptualHash: perceptualHash(rgb) };
}

function upright(file: Sharp): Sharp {
  return file.autoOrient().flatten({ background: "white" });
}

async function readRgb(pipeline: Sharp, format: ImageFormat): Promise<RgbImage> {
  const raw = pipeline.toColourspace("srgb").raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  const { data, info } = await decoding(format, raw);
  if (info.channels === 3) return { width: info.width, height: info.height, data };
  throw new PictureError(
    "damaged-image",
    `The ${format} file has ${info.channels} channels; expected gray, RGB or CMYK.`,
  );
}

async function decoding<T>(format: ImageFormat, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const reason = (cause as Error).message.trim().split("\n", 1)[0];
    throw new PictureError(
      "damaged-image",
      `The answer starts as ${format} but is damaged or cut short (${reason}).`,
      { cause },
    );
  }
}
