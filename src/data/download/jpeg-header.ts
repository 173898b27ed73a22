/** What a JPEG file says of itself before its pixels. */
import type { Metadata } from "sharp";

/** Of what sharp says of a file, what is looked at before it is decoded. */
export type PictureHeader = Pick<
  Metadata,
  | "width"
  | "height"
  | "autoOrient"
  | "orientation"
  | "isProgressive"
  | "channels"
  | "depth"
  | "space"
  | "hasAlpha"
>;

/** Frames: Huffman-coded, sequential or progressive. */
const [BASELINE, EXTENDED, PROGRESSIVE] = [0xc0, 0xc1, 0xc2];
const SCAN = 0xda;
const EXIF_SEGMENT = 0xe1;
/** The first and last of the frames of other kinds; three among them are tables. */
const [FIRST_OTHER, LAST_OTHER] = [0xc3, 0xcf];
const TABLES: ReadonlySet<number> = new Set([0xc4, 0xcc]);

/**
 * As sharp reads it, without the time for opening the file on another thread: 3 % of that for the whole picture.
 * @returns undefined for files that are in any way unusual, or may be turned; sharp is to be asked about them
 */
export function jpegHeader(bytes: Uint8Array): PictureHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let frame: { marker: number; width: number; height: number; channels: number } | undefined;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    const length = view.getUint16(at + 2);
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length || marker < BASELINE || marker === EXIF_SEGMENT) return undefined;
    if (marker === BASELINE || marker === EXTENDED || marker === PROGRESSIVE) {
      if (frame || length < 8 || bytes[at + 4] !== 8) return undefined;
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      frame = { marker, width, height, channels: bytes[at + 9]! };
    } else if (marker >= FIRST_OTHER && marker <= LAST_OTHER && !TABLES.has(marker)) return undefined;
    else if (marker === SCAN) {
      if (!frame || length < 3 || frame.width === 0 || frame.height === 0) return undefined;
      const { width, height, channels } = frame;
      if (channels !== 1 && channels !== 3) return undefined;
      return {
        width,
        height,
        autoOrient: { width, height },
        // Colours one after the other are kept until all are there, like the steps of a progressive file.
        isProgressive: frame.marker === PROGRESSIVE || bytes[at + 4]! < channels,
        channels,
        depth: "uchar",
        space: channels === 1 ? "b-w" : "srgb",
        hasAlpha: false,
      };
    }
    at = end;
  }
  return undefined;
}
