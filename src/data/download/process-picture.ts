/** Fetched bytes to a picture of a data set: what it is, whether it is whole, how large it shall be. */
import sharp, { type Sharp } from "sharp";
import type { RgbImage } from "../../image/pixels.js";
import { type ImageFormat, sniff } from "../../image/sniff.js";
import { jpegHeader, type PictureHeader } from "./jpeg-header.js";
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
  const simple = found.format === "JPEG" ? jpegHeader(bytes) : undefined;
  const header: PictureHeader = simple ?? (await decoding(found.format, file.metadata()));
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
function decodingBytes(format: ImageFormat, header: PictureHeader): number {
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
  header: PictureHeader,
  format: ImageFormat,
  bytes: Uint8Array,
  rules: PictureRules,
): Promise<Made> {
  const { orientation = 1, space } = header;
  const { width, height } = header.autoOrient;
  const small = await readRgb(upright(file.clone(), header).resize(64, 64, { fit: "fill" }), format);
  const isPlain = format === "JPEG" && orientation === 1 && (space === "srgb" || space === "b-w");
  const jpeg = isPlain
    ? bytes
    : await decoding(
        format,
        upright(file, header).toColourspace("srgb").jpeg({ quality: rules.quality }).toBuffer(),
      );
  return { jpeg, width, height, perceptualHash: perceptualHash(small) };
}

/** The whole picture is resized before anything is cut off, since it is to be decoded to its end. */
async function resize(
  file: Sharp,
  header: PictureHeader,
  format: ImageFormat,
  { resize: mode, size, upscale, quality }: PictureRules,
): Promise<Made> {
  const { width, height } = header.autoOrient;
  const fitted = mode === "border" ? Math.max(width, height) : Math.min(width, height);
  const scale = upscale ? size / fitted : Math.min(1, size / fitted);
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  const pipeline = upright(file, header).resize(scaled(width), scaled(height), { fit: "fill" });
  const rgb = await readRgb(pipeline, format);
  const framed = frame(rgb, mode, size);
  const pixels = sharp(framed.data, { raw: { width: framed.width, height: framed.height, channels: 3 } });
  const jpeg = await pixels.jpeg({ quality }).toBuffer();
  return { jpeg, width: framed.width, height: framed.height, perceptualHash: perceptualHash(rgb) };
}

/** A picture in the middle of a white square, or the middle of a picture, no larger than a square. */
function frame(rgb: RgbImage, mode: ResizeMode, size: number): RgbImage {
  if (mode === "keep-ratio") return rgb;
  const width = mode === "border" ? size : Math.min(size, rgb.width);
  const height = mode === "border" ? size : Math.min(size, rgb.height);
  if (width === rgb.width && height === rgb.height) return rgb;
  const data = Buffer.alloc(width * height * 3, 255);
  // Of the one that is smaller on an axis, the place in the other.
  const [left, top] = [Math.abs(width - rgb.width) >> 1, Math.abs(height - rgb.height) >> 1];
  const [rows, columns] = [Math.min(height, rgb.height), Math.min(width, rgb.width)];
  for (let y = 0; y < rows; y++) {
    const from = ((rgb.height > height ? top + y : y) * rgb.width + (rgb.width > width ? left : 0)) * 3;
    const to = ((height > rgb.height ? top + y : y) * width + (width > rgb.width ? left : 0)) * 3;
    data.set(rgb.data.subarray(from, from + columns * 3), to);
  }
  return { width, height, data };
}

/** What is transparent becomes white. */
function upright(file: Sharp, { orientation = 1, hasAlpha }: PictureHeader): Sharp {
  const turned = orientation > 1 ? file.autoOrient() : file;
  return hasAlpha ? turned.flatten({ background: "white" }) : turned;
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
