/**
 * Small PNG files as most are (PNG specification, third edition, W3C 2025): RGB or RGBA of 8 bits, not interlaced. To decode them
 * is hardly more than to inflate them; libvips takes twice as long, and its objects as long again on the main thread.
 */
import { promisify } from "node:util";
import { crc32, inflate } from "node:zlib";
import { type Pausable, runInSlices } from "../pausable.js";
import type { RgbImage } from "./pixels.js";

export interface PlainPng {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  /** Rows of filtered samples, deflated. */
  readonly deflated: readonly Uint8Array[];
}

const SIGNATURE_BYTES = 8;
/** Samples up to which that holds: with more, libvips' ways weigh less, and it needs half the memory. */
const MOST_SAMPLES = 4e6;
/** By IHDR's colour type. */
const CHANNELS: Readonly<Record<number, 3 | 4>> = { 2: 3, 6: 4 };

/** Undefined where the file is of another kind, or there is anything about it that libvips had better judge. */
export function plainPng(bytes: Uint8Array): PlainPng | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const deflated: Uint8Array[] = [];
  let header: Omit<PlainPng, "deflated"> | undefined;
  let before = "";
  for (let at = SIGNATURE_BYTES; at + 12 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > bytes.length || crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end))
      return undefined;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, end);
    if ((type === "IHDR") !== (before === "")) return undefined;
    if (type === "IHDR") header = plainHeader(data);
    if (type === "IEND") return header && { ...header, deflated };
    if (type === "IDAT") {
      if (deflated.length > 0 && before !== "IDAT") return undefined;
      deflated.push(data);
    } else if (type === "eXIf" || (isCritical(type) && type !== "IHDR" && type !== "PLTE")) return undefined;
    if (!header) return undefined;
    before = type;
    at = end + 4;
  }
  return undefined;
}

function plainHeader(data: Uint8Array): Omit<PlainPng, "deflated"> | undefined {
  if (data.length !== 13) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colourType, compression, filters, interlacing] = data.subarray(8);
  const channels = CHANNELS[colourType!];
  const isPlain = depth === 8 && compression === 0 && filters === 0 && interlacing === 0;
  const samples = width * height * (channels ?? 0);
  return isPlain && channels && samples > 0 && samples <= MOST_SAMPLES
    ? { width, height, channels }
    : undefined;
}

/** A chunk that a decoder has to understand has a capital as its first letter. */
const isCritical = (type: string): boolean => type < "a";

const inflated = promisify<Uint8Array, { chunkSize: number; maxOutputLength: number }, Buffer>(inflate);

/** Undefined where there is something wrong with the data. */
export async function decodePlainPng({
  width,
  height,
  channels,
  deflated,
}: PlainPng): Promise<RgbImage | undefined> {
  const size = (width * channels + 1) * height;
  // A byte more than is needed, so that one chunk will do.
  const limits = { chunkSize: Math.max(64, size + 1), maxOutputLength: size + 1 };
  const rows = await inflated(Buffer.concat(deflated), limits).catch(() => undefined);
  if (rows?.length !== size) return undefined;
  const data = new Uint8Array(width * height * 3);
  return (await runInSlices(unfiltering(rows, width, channels, data))) ? { width, height, data } : undefined;
}

/** @returns whether all rows have a filter that there is */
function* unfiltering(rows: Uint8Array, width: number, channels: 3 | 4, out: Uint8Array): Pausable<boolean> {
  const bytes = width * channels;
  let above: Uint8Array = new Uint8Array(bytes);
  for (let at = 0, to = 0; at < rows.length; at += bytes + 1, to += width * 3) {
    const filter = FILTERS[rows[at]!];
    if (!filter) return false;
    const row = rows.subarray(at + 1, at + 1 + bytes);
    filter(row, above, channels);
    if (channels === 3) out.set(row, to);
    else copyRgb(row, out, to);
    above = row;
    yield;
  }
  return true;
}

function copyRgb(row: Uint8Array, out: Uint8Array, to: number): void {
  for (let from = 0, at = to; from < row.length; from += 4, at += 3) {
    out[at] = row[from]!;
    out[at + 1] = row[from + 1]!;
    out[at + 2] = row[from + 2]!;
  }
}

type Filter = (row: Uint8Array, above: Uint8Array, channels: number) => void;

/** By their numbers (section 9): each adds to a row's bytes what is foretold of them. */
const FILTERS: readonly Filter[] = [
  () => {},
  (row, _, channels) => {
    for (let i = channels; i < row.length; i++) row[i]! += row[i - channels]!;
  },
  (row, above) => {
    for (let i = 0; i < row.length; i++) row[i]! += above[i]!;
  },
  (row, above, channels) => {
    for (let i = 0; i < channels; i++) row[i]! += above[i]! >> 1;
    for (let i = channels; i < row.length; i++) row[i]! += (row[i - channels]! + above[i]!) >> 1;
  },
  (row, above, channels) => {
    for (let i = 0; i < channels; i++) row[i]! += above[i]!;
    for (let i = channels; i < row.length; i++)
      row[i]! += paeth(row[i - channels]!, above[i]!, above[i - channels]!);
  },
];

/** The one of three neighbours that is nearest to left + up − corner. */
function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
