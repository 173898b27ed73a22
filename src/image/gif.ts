/**
 * The first frame of a GIF as PIL's `convert("RGB")` gives it. Our own because libvips, as browsers do, paints the
 * transparent colour and the screen around a smaller first frame black, where PIL takes their palette colours.
 * Format: GIF89a specification, W3C, 1990.
 */
import { LingolensError } from "../errors.js";
import type { Pausable } from "../pausable.js";
import type { RgbImage } from "./pixels.js";

/** The frame's place on the screen and where its compressed indices start. */
interface GifFrame {
  readonly width: number;
  readonly height: number;
  readonly x: number;
  readonly y: number;
  readonly frameWidth: number;
  readonly frameHeight: number;
  readonly interlaced: boolean;
  /** RGB triples. Empty: an index is its own gray. */
  readonly palette: Uint8Array;
  /** Palette index of the screen outside the frame. */
  readonly background: number;
  readonly dataOffset: number;
}

/** Size of the whole screen, which is the picture's. Reads no further than the first frame's header. */
export function gifSize(bytes: Uint8Array): { width: number; height: number } {
  return readFirstFrame(bytes);
}

/** @throws {LingolensError} `unreadable-image` for a file that is damaged or cut short. */
export function* decodingGif(bytes: Uint8Array): Pausable<RgbImage> {
  const frame = readFirstFrame(bytes);
  const indices = yield* decompressing(bytes, frame.dataOffset, frame.frameWidth * frame.frameHeight);
  const { width, height, palette } = frame;

  const colours = new Uint8Array(256 * 3);
  if (palette.length === 0) for (let i = 0; i < colours.length; i++) colours[i] = Math.floor(i / 3);
  colours.set(palette);
  const data = new Uint8Array(width * height * 3);
  const [red, green, blue] = colours.subarray(frame.background * 3);
  const backgroundRow = new Uint8Array(width * 3);
  for (let i = 0; i < backgroundRow.length; i += 3) backgroundRow.set([red!, green!, blue!], i);
  for (let y = 0; y < height; y++) {
    data.set(backgroundRow, y * width * 3);
    yield;
  }

  let from = 0;
  for (const row of rowOrder(frame)) {
    let to = ((frame.y + row) * width + frame.x) * 3;
    for (let x = 0; x < frame.frameWidth; x++) {
      const colour = indices[from++]! * 3;
      data[to++] = colours[colour]!;
      data[to++] = colours[colour + 1]!;
      data[to++] = colours[colour + 2]!;
    }
    yield;
  }
  return { width, height, data };
}

function readFirstFrame(bytes: Uint8Array): GifFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byte = (at: number) => bytes[at] ?? fail("the GIF is cut short");
  const uint16 = (at: number) =>
    at + 2 <= bytes.length ? view.getUint16(at, true) : fail("the GIF is cut short");

  let at = 13;
  const readPalette = (flags: number): Uint8Array | undefined => {
    if ((flags & 0x80) === 0) return undefined;
    const start = at;
    at += 3 << ((flags & 7) + 1);
    return bytes.subarray(start, at);
  };
  const globalPalette = readPalette(byte(10));
  let background = 0;

  for (;;) {
    const block = byte(at++);
    if (block === 0x21) {
      const isGraphicControl = byte(at++) === 0xf9;
      if (isGraphicControl && byte(at) >= 4 && (byte(at + 1) & 1) === 1) background = byte(at + 4);
      while (byte(at) !== 0) at += 1 + byte(at);
      at++;
    } else if (block === 0x2c) {
      const [x, y, frameWidth, frameHeight] = [uint16(at), uint16(at + 2), uint16(at + 4), uint16(at + 6)];
      const flags = byte(at + 8);
      at += 9;
      const palette = withoutGrayRamp(readPalette(flags) ?? globalPalette ?? new Uint8Array());
      // A frame that leaves the screen widens it, as in PIL.
      const width = Math.max(uint16(6), x + frameWidth);
      const height = Math.max(uint16(8), y + frameHeight);
      if (frameWidth === 0 || frameHeight === 0) fail("the first frame has no pixels");
      const interlaced = (flags & 0x40) !== 0;
      return {
        width,
        height,
        x,
        y,
        frameWidth,
        frameHeight,
        interlaced,
        palette,
        background,
        dataOffset: at,
      };
    } else if (block === 0x3b) {
      fail("the GIF holds no frame");
    }
  }
}

/** PIL reads a palette 0, 1, 2, … as plain gray, which tells in indices beyond its end. */
function withoutGrayRamp(palette: Uint8Array): Uint8Array {
  return palette.every((value, i) => value === Math.floor(i / 3)) ? new Uint8Array() : palette;
}

/** Rows of the frame in the order in which the file holds them. */
function* rowOrder({ frameHeight, interlaced }: GifFrame): Generator<number> {
  const passes = [
    { start: 0, step: 8 },
    { start: 4, step: 8 },
    { start: 2, step: 4 },
    { start: 1, step: 2 },
  ];
  for (const { start, step } of interlaced ? passes : [{ start: 0, step: 1 }]) {
    for (let row = start; row < frameHeight; row += step) yield row;
  }
}

const CODES_BETWEEN_PAUSES = 500;

/** LZW with codes of growing width, lowest bit first: `count` palette indices. */
function* decompressing(bytes: Uint8Array, offset: number, count: number): Pausable<Uint8Array> {
  const minimumBits = bytes[offset] ?? fail("the GIF is cut short");
  if (minimumBits < 1 || minimumBits > 8)
    fail(`the LZW code size is ${minimumBits}, where 1 to 8 are possible`);
  const clear = 1 << minimumBits;
  const end = clear + 1;

  // Code c stands for the indices of code prefix[c], then last[c]; length[c] in all, of which first[c] comes first.
  const prefix = new Uint16Array(4096);
  const last = new Uint8Array(4096);
  const first = new Uint8Array(4096);
  const length = new Uint32Array(4096);
  for (let code = 0; code < clear; code++) {
    last[code] = first[code] = code;
    length[code] = 1;
  }

  const out = new Uint8Array(count);
  const nextCode = codeReader(bytes, offset + 1);
  let written = 0;
  let bits = minimumBits + 1;
  let next = clear + 2;
  let previous = -1;
  let untilPause = CODES_BETWEEN_PAUSES;
  while (written < count) {
    if (--untilPause === 0) {
      yield;
      untilPause = CODES_BETWEEN_PAUSES;
    }
    const code = nextCode(bits);
    if (code === clear) {
      bits = minimumBits + 1;
      next = clear + 2;
      previous = -1;
      continue;
    }
    if (code === end) fail(`the first frame ends after ${written} of ${count} pixels`);
    if (code > next || (previous < 0 && code >= clear)) fail("the compressed data is damaged");
    if (previous >= 0 && next < 4096) {
      prefix[next] = previous;
      first[next] = first[previous]!;
      // The code just being defined may be the one just read: it ends as the previous one begins.
      last[next] = code === next ? first[previous]! : first[code]!;
      length[next] = length[previous]! + 1;
      next++;
      if (next === 1 << bits && bits < 12) bits++;
    }
    let at = written + length[code]!;
    written = at;
    for (let c = code; ; c = prefix[c]!) {
      // Past the end of an overlong last run, the typed array drops what is written.
      out[--at] = last[c]!;
      if (length[c] === 1) break;
    }
    previous = code;
  }
  return out;
}

/** Reads codes across the data sub-blocks, each of which starts with its length. */
function codeReader(bytes: Uint8Array, offset: number): (bits: number) => number {
  let at = offset;
  let left = 0;
  let buffer = 0;
  let buffered = 0;
  return (bits) => {
    while (buffered < bits) {
      if (left === 0) left = bytes[at++] ?? 0;
      if (left === 0 || at >= bytes.length) fail("the GIF is cut short");
      buffer |= bytes[at++]! << buffered;
      buffered += 8;
      left--;
    }
    const code = buffer & ((1 << bits) - 1);
    buffer >>= bits;
    buffered -= bits;
    return code;
  };
}

function fail(what: string): never {
  throw new LingolensError("unreadable-image", what);
}
