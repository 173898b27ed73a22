/**
 * multipart/form-data (RFC 7578) of a body that is in memory. Node's own parser refuses boundaries that are shorter
 * than browsers', which other clients send; parsers of streams wait for more where a form is cut short.
 */
import { HttpError } from "./http-error.js";

export interface FormPart {
  readonly name: string;
  /** Of a file: its name without folders. Undefined for a field. */
  readonly filename: string | undefined;
  /** A view of the body. */
  readonly bytes: Buffer;
}

/** More than there are options and pictures. */
const MOST_PARTS = 256;
const LONGEST_HEADERS = 8192;
const CRLF = "\r\n";

/**
 * The parts of a form, in order.
 * @throws {HttpError} `bad-request` where it is malformed, cut short, or has more parts than anybody needs
 */
export function parseForm(contentType: string, body: Buffer): FormPart[] {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw malformed("its type names no boundary");
  const delimiter = Buffer.from(`${CRLF}--${boundary}`);
  const parts: FormPart[] = [];
  // What stands before the first delimiter is for people whose program cannot read forms.
  const first = delimiter.subarray(CRLF.length);
  let at = first.length;
  if (!body.subarray(0, first.length).equals(first)) {
    const start = body.indexOf(delimiter);
    if (start < 0) throw malformed("its boundary does not occur");
    at = start + delimiter.length;
  }
  for (;;) {
    if (body.subarray(at, at + 2).equals(Buffer.from("--"))) return parts;
    const lineEnd = body.indexOf(CRLF, at);
    const end = lineEnd < 0 ? -1 : body.indexOf(delimiter, lineEnd);
    if (end < 0) throw malformed("it is cut short");
    if (body.subarray(at, lineEnd).toString("latin1").trim() !== "")
      throw malformed("something follows a boundary on its line");
    if (parts.length === MOST_PARTS) throw malformed(`it has more than ${MOST_PARTS} parts`);
    parts.push(parsePart(body.subarray(lineEnd, end)));
    at = end + delimiter.length;
  }
}

/** @param part from the line end before its headers on, so that a part without headers has an empty line, too */
function parsePart(part: Buffer): FormPart {
  const split = part.indexOf(CRLF + CRLF);
  if (split < 0 || split > LONGEST_HEADERS) throw malformed("a part has no end of its headers");
  const headers = part.subarray(0, split).toString("utf8").split(CRLF);
  const disposition = headers.find((line) => /^content-disposition *: *form-data *;/i.test(line));
  const name = parameter(disposition, "name");
  if (name === undefined) throw malformed("a part has no name");
  const type = headers.find((line) => /^content-type *:/i.test(line)) ?? "text/plain";
  // Some clients leave an empty filename out.
  const path = parameter(disposition, "filename") ?? (/text\/plain/i.test(type) ? undefined : "");
  return {
    name,
    filename: path === undefined ? undefined : path.split(/[/\\]/).at(-1)!.slice(0, 255),
    bytes: part.subarray(split + 2 * CRLF.length),
  };
}

/** Browsers write quotes as %22, curl and others with a backslash. */
function parameter(header = "", name: string): string | undefined {
  const found = new RegExp(`; *${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^";\\s]+))`, "i").exec(header);
  const value = found?.[1]?.replace(/\\(["\\])/g, "$1").replaceAll("%22", '"') ?? found?.[2];
  return value;
}

function malformed(reason: string): HttpError {
  return new HttpError("bad-request", `The body is not valid multipart/form-data: ${reason}.`);
}
