/** What a file is, by its first bytes: names and content types lie. */

/** Formats that we decode. */
export type ImageFormat = "JPEG" | "PNG" | "WebP" | "GIF" | "AVIF" | "TIFF";

export type Sniffed =
  | { readonly kind: "image"; readonly format: ImageFormat }
  /** A picture, video or document that we do not decode. */
  | { readonly kind: "other-format"; readonly format: string }
  /** Not a picture; `description` completes "the file …". */
  | { readonly kind: "not-an-image"; readonly description: string };

/** Bytes from the start that are looked at. */
const SNIFF_BYTES = 1024;

export function sniff(bytes: Uint8Array): Sniffed {
  // Latin-1 keeps each byte as one character, so that text and binary signatures are compared alike.
  const head = String.fromCharCode.apply(null, bytes.subarray(0, SNIFF_BYTES) as unknown as number[]);
  for (const [format, matches] of IMAGES) if (matches(head)) return { kind: "image", format };
  const markup = skipProlog(head);
  for (const [format, matches] of OTHER_FORMATS) {
    if (matches(head, markup)) return { kind: "other-format", format };
  }
  for (const [description, matches] of NOT_IMAGES) {
    if (matches(head, markup)) return { kind: "not-an-image", description };
  }
  return { kind: "not-an-image", description: "is of no known format" };
}

/** Sees the first bytes, and the same without what may precede the first tag of a markup file. */
type Matcher = (head: string, markup: string) => boolean;
type HeadMatcher = (head: string) => boolean;

const starts =
  (...signatures: readonly string[]): HeadMatcher =>
  (head) =>
    signatures.some((signature) => head.startsWith(signature));

const riff =
  (type: string): HeadMatcher =>
  (head) =>
    head.startsWith("RIFF") && head.startsWith(type, 8);

/** ISO media files name in their first box what they are compatible with. */
const brand =
  (...names: readonly string[]): HeadMatcher =>
  (head) =>
    mediaBrands(head).some((name) => names.includes(name));

const IMAGES: readonly (readonly [ImageFormat, HeadMatcher])[] = [
  ["JPEG", starts("\xff\xd8\xff")],
  ["PNG", starts("\x89PNG\r\n\x1a\n")],
  ["WebP", riff("WEBP")],
  ["GIF", starts("GIF87a", "GIF89a")],
  ["AVIF", brand("avif", "avis")],
  ["TIFF", starts("II*\0", "II+\0", "MM\0*", "MM\0+")],
];

const OTHER_FORMATS: readonly (readonly [string, Matcher])[] = [
  ["HEIC", brand("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")],
  ["JPEG XL", starts("\xff\x0a", "\0\0\0\x0cJXL ")],
  ["JPEG 2000", starts("\0\0\0\x0cjP  ", "\xff\x4f\xff\x51")],
  ["AVI", riff("AVI ")],
  ["a video (MP4)", (head) => head.startsWith("ftyp", 4)],
  ["a video (Matroska)", starts("\x1a\x45\xdf\xa3")],
  ["BMP", (head) => head.startsWith("BM") && head.startsWith("\0\0\0\0", 6)],
  ["ICO", starts("\0\0\x01\0", "\0\0\x02\0")],
  ["PSD", starts("8BPS")],
  ["PNM", (head) => /^P[1-7][\s#]/.test(head)],
  ["QOI", starts("qoif")],
  ["OpenEXR", starts("\x76\x2f\x31\x01")],
  ["PDF", starts("%PDF-")],
  ["PostScript", starts("%!PS")],
  ["SVG", (_, markup) => /^<(?:!doctype svg|svg)\b/i.test(markup)],
];

const NOT_IMAGES: readonly (readonly [string, Matcher])[] = [
  ["is empty", (head) => head === ""],
  [
    "is an HTML page",
    (_, markup) => /^<(?:!doctype html|html|head|body|script|title|meta|div|p)\b/i.test(markup),
  ],
  ["is an XML document", (head, markup) => markup !== head && markup.startsWith("<")],
  ["is JSON", (head) => /^\s*[{[]\s*["{[\]}]/.test(head)],
  [
    "is an archive",
    starts("PK\x03\x04", "\x1f\x8b", "7z\xbc\xaf", "Rar!", "BZh", "\xfd7zXZ", "\x28\xb5\x2f\xfd"),
  ],
  ["holds only zeros", (head) => /^\0+$/.test(head)],
  ["is plain text", (head) => /^[\t\n\r\x20-\x7e\x80-\xff]+$/.test(head)],
];

function mediaBrands(head: string): string[] {
  if (!head.startsWith("ftyp", 4)) return [];
  const boxSize = (head.charCodeAt(2) << 8) | head.charCodeAt(3);
  // The major brand, its version, then the compatible brands.
  const brands = [head.slice(8, 12)];
  for (let at = 16; at + 4 <= boxSize; at += 4) brands.push(head.slice(at, at + 4));
  return brands;
}

/** Skips a byte order mark, white space, XML declarations and comments; linear in time, which a regex would not be. */
function skipProlog(head: string): string {
  let rest = head.replace(/^\xef\xbb\xbf/, "").trimStart();
  for (;;) {
    const end = rest.startsWith("<?") ? "?>" : rest.startsWith("<!--") ? "-->" : undefined;
    const at = end === undefined ? -1 : rest.indexOf(end);
    if (at < 0) return rest;
    rest = rest.slice(at + end!.length).trimStart();
  }
}
