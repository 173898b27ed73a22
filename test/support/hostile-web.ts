/**
 * A web on loopback of every kind of picture and of everything else that a list of old links leads to. Which row is of
 * which kind follows from its number, and so does what has to become of it.
 */
import { lookup as systemLookup } from "node:dns";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import { crc32, deflateSync, gzipSync } from "node:zlib";
import sharp from "sharp";

/** What a row has to end as: a sample, or lost to a class. */
export type Expected = "success" | (string & {});

export interface HostileRow {
  readonly url: string;
  readonly caption: string;
  readonly kind: string;
  readonly expected: Expected;
}

export interface HostileWeb {
  readonly base: string;
  readonly rows: readonly HostileRow[];
  /** The rows as a TSV like Conceptual 12M's. */
  readonly tsv: string;
  /** Rows by what they have to end as. */
  readonly counts: {
    readonly rows: number;
    readonly succeeded: number;
    readonly failed: Record<string, number>;
  };
  /** Requests so far, by path. */
  readonly requests: ReadonlyMap<string, number>;
  /** Resolves `*.slow.test` after `dnsDelay`, `*.missing.test` not at all, and the rest as the system does. */
  readonly lookup: LookupFunction;
  close(): Promise<void>;
}

interface Files {
  readonly jpeg: Buffer;
  readonly progressive: Buffer;
  readonly png: Buffer;
  readonly webp: Buffer;
  readonly gif: Buffer;
  readonly avif: Buffer;
  readonly tiff: Buffer;
  readonly tiny: Buffer;
  readonly narrow: Buffer;
  readonly bomb: Buffer;
}

type Answer = (
  answer: ServerResponse,
  file: (name: keyof Files) => Buffer,
  seen: number,
  path: string,
) => void;

const send =
  (name: keyof Files, headers: Record<string, string> = {}): Answer =>
  (answer, file) =>
    answer.writeHead(200, headers).end(file(name));
const status =
  (code: number): Answer =>
  (answer) =>
    answer.writeHead(code, { "content-type": "text/html" }).end("<html>an error</html>");

/** Kinds with a share of the rows in proportion to the number in front. */
const KINDS: readonly (readonly [share: number, kind: string, expected: Expected, answer?: Answer])[] = [
  [20, "jpeg", "success", send("jpeg", { "content-type": "image/jpeg" })],
  [4, "progressive", "success", send("progressive")],
  [4, "png", "success", send("png")],
  [4, "webp", "success", send("webp")],
  [2, "gif", "success", send("gif")],
  [1, "avif", "success", send("avif")],
  [1, "tiff", "success", send("tiff")],
  [2, "wrong-type", "success", send("jpeg", { "content-type": "text/html" })],
  [
    2,
    "chunked",
    "success",
    (answer, file) => {
      answer.write(file("jpeg").subarray(0, 100));
      answer.end(file("jpeg").subarray(100));
    },
  ],
  [
    2,
    "gzipped",
    "success",
    (answer, file) => answer.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(file("jpeg"))),
  ],
  [
    2,
    "moved",
    "success",
    (answer, file, _, path) =>
      path.endsWith("/there")
        ? answer.end(file("jpeg"))
        : answer.writeHead(301, { location: `${path}/there` }).end(),
  ],
  [
    2,
    "busy-at-first",
    "success",
    (answer, file, seen) =>
      seen === 1 ? answer.writeHead(503, { "retry-after": "0" }).end() : answer.end(file("jpeg")),
  ],
  [
    2,
    "reset-at-first",
    "success",
    (answer, file, seen) => (seen === 1 ? answer.socket!.destroy() : answer.end(file("jpeg"))),
  ],
  [1, "another-agents-noindex", "success", send("jpeg", { "x-robots-tag": "otherbot: noindex" })],
  [8, "404", "http-404", status(404)],
  [3, "403", "http-403", status(403)],
  [1, "410", "http-410", status(410)],
  [2, "500", "http-500", status(500)],
  [1, "nowhere", "http-302", status(302)],
  [2, "reset", "connection", (answer) => answer.socket!.destroy()],
  [
    2,
    "reset-within",
    "connection",
    (answer) => {
      answer.writeHead(200, { "content-length": "100000" }).write("\xff\xd8\xff");
      setTimeout(() => answer.socket?.destroy(), 20);
    },
  ],
  [
    2,
    "length-too-large",
    "connection",
    (answer, file) => {
      const bytes = file("jpeg");
      answer.socket!.end(Buffer.concat([head(bytes.length + 1000), bytes]));
    },
  ],
  [
    2,
    "length-too-small",
    "damaged-image",
    (answer, file) => {
      const bytes = file("jpeg");
      answer.socket!.end(Buffer.concat([head(bytes.length >> 1), bytes]));
    },
  ],
  [1, "no-http", "connection", (answer) => answer.socket!.end("220 mail.test ESMTP\r\n")],
  [1, "silent", "timeout", () => {}],
  [1, "stalls", "timeout", (answer) => void answer.writeHead(200).write("\xff\xd8\xff")],
  [
    1,
    "drips",
    "timeout",
    (answer) => {
      answer.writeHead(200).write("\xff\xd8\xff");
      const timer = setInterval(() => answer.write("."), 50);
      answer.on("close", () => clearInterval(timer));
    },
  ],
  [
    1,
    "endless",
    "too-large",
    (answer) => {
      const chunk = Buffer.alloc(2 ** 16);
      const write = () => {
        while (!answer.destroyed && answer.write(chunk));
      };
      answer.on("drain", write);
      write();
    },
  ],
  [
    1,
    "gzip-bomb",
    "too-large",
    (answer) => answer.writeHead(200, { "content-encoding": "gzip" }).end(GZIP_BOMB),
  ],
  [
    1,
    "says-too-large",
    "too-large",
    (answer) => {
      answer.writeHead(200, { "content-length": "9999999999" }).write("\xff\xd8\xff");
    },
  ],
  [2, "loop", "redirects", (answer, _, __, path) => answer.writeHead(302, { location: path }).end()],
  [1, "to-a-file", "bad-url", (answer) => answer.writeHead(302, { location: "file:///etc/passwd" }).end()],
  [
    4,
    "page",
    "not-an-image",
    (answer) =>
      answer.writeHead(200, { "content-type": "image/jpeg" }).end("<!DOCTYPE html><html>parked</html>"),
  ],
  [1, "empty", "not-an-image", (answer) => answer.writeHead(200, { "content-type": "image/jpeg" }).end()],
  [1, "svg", "not-an-image", (answer) => answer.end('<svg xmlns="http://www.w3.org/2000/svg"/>')],
  [2, "cut-jpeg", "damaged-image", (answer, file) => answer.end(file("jpeg").subarray(0, 1500))],
  [1, "cut-png", "damaged-image", (answer, file) => answer.end(file("png").subarray(0, 1500))],
  [1, "pixel-bomb", "image-bomb", send("bomb")],
  [2, "tiny", "too-small", send("tiny")],
  [1, "narrow", "too-small", send("narrow")],
  [2, "noai", "opted-out", send("jpeg", { "x-robots-tag": "noai, noimageai" })],
  [1, "noindex", "opted-out", send("jpeg", { "x-robots-tag": "noindex" })],
  [3, "duplicate", "duplicate", (answer) => answer.end(DUPLICATE)],
  [1, "no-url", "bad-url"],
  [1, "mail", "bad-url"],
  [1, "no-caption", "bad-url"],
  [1, "missing-name", "dns"],
  [1, "slow-name", "timeout"],
];

const head = (length: number) => Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`);

/** 100 MB of zeros, in 100 kB. */
const GZIP_BOMB = gzipSync(Buffer.alloc(100_000_000));
let DUPLICATE: Buffer;

export interface HostileWebOptions {
  readonly rows: number;
  /** Milliseconds that `*.slow.test` takes to resolve. Default 10,000. */
  readonly dnsDelay?: number;
  /** Leaves out rows that have to end as one of these. Default: none. */
  readonly without?: readonly Expected[];
  /** Default: one that is free. */
  readonly port?: number;
}

export async function startHostileWeb({
  rows,
  dnsDelay = 10_000,
  without = [],
  port = 0,
}: HostileWebOptions): Promise<HostileWeb> {
  const files = await makeFiles();
  DUPLICATE = files.jpeg;
  const requests = new Map<string, number>();
  const server = createServer(
    { keepAliveTimeout: 2000 },
    (request: IncomingMessage, answer: ServerResponse) => {
      const path = request.url ?? "";
      const seen = (requests.get(path) ?? 0) + 1;
      requests.set(path, seen);
      const [, kind = "", row = ""] = path.split("/");
      const answerOf = KINDS.find(([, name]) => name === kind)?.[3];
      // A file of every row's own.
      const file = (name: keyof Files) =>
        name === "avif" ? withFreeBox(files.avif, row) : Buffer.concat([files[name], Buffer.from(row)]);
      answer.on("error", () => {});
      if (answerOf) answerOf(answer, file, seen, path);
      else answer.writeHead(404).end();
    },
  );
  server.on("clientError", (_, socket) => socket.destroy());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const list = rowsOf(rows, base, without);
  return {
    base,
    rows: list,
    tsv: list.map(({ url, caption }) => `${url}\t${caption}\n`).join(""),
    counts: countsOf(list),
    requests,
    lookup: hostileLookup(dnsDelay),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function rowsOf(count: number, base: string, without: readonly Expected[]): HostileRow[] {
  const deck = KINDS.filter(([, , expected]) => !without.includes(expected)).flatMap(
    ([share, kind, expected]) => Array.from({ length: share }, () => ({ kind, expected })),
  );
  const urls: Record<string, (i: number) => string> = {
    "no-url": (i) => `picture ${i}`,
    mail: (i) => `mailto:${i}@a.test`,
    "missing-name": (i) => `http://a${i}.missing.test/jpeg/${i}`,
    "slow-name": (i) => `http://a${i}.slow.test:${new URL(base).port}/jpeg/${i}`,
  };
  let duplicates = 0;
  return Array.from({ length: count }, (_, i) => {
    // A step prime to the deck's size mixes the kinds.
    const { kind, expected } = deck[(i * 41) % deck.length]!;
    const caption = kind === "no-caption" ? "" : `a picture of kind ${kind}, number ${i}`;
    const isFirst = kind === "duplicate" && duplicates++ === 0;
    return {
      url: urls[kind]?.(i) ?? `${base}/${kind}/${i}`,
      caption,
      kind,
      expected: isFirst ? "success" : expected,
    };
  });
}

function countsOf(rows: readonly HostileRow[]): HostileWeb["counts"] {
  const failed: Record<string, number> = {};
  for (const { expected } of rows) if (expected !== "success") failed[expected] = (failed[expected] ?? 0) + 1;
  return {
    rows: rows.length,
    succeeded: rows.filter(({ expected }) => expected === "success").length,
    failed,
  };
}

function hostileLookup(delay: number): LookupFunction {
  return (hostname, options, callback) => {
    if (hostname.endsWith(".missing.test"))
      setImmediate(
        callback,
        Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" }),
        [],
      );
    else if (hostname.endsWith(".slow.test"))
      setTimeout(() => callback(null, [{ address: "127.0.0.1", family: 4 }]), delay).unref();
    else systemLookup(hostname, options, callback as never);
  };
}

async function makeFiles(): Promise<Files> {
  const [width, height] = [240, 180];
  const data = Buffer.alloc(width * height * 3);
  // Waves with grain, so that files are of a usual size and a cut is felt.
  for (let i = 0; i < data.length; i++) data[i] = 128 + 90 * Math.sin(i / 900) + ((i * 7919) % 31);
  const picture = () => sharp(data, { raw: { width, height, channels: 3 } });
  const plain = (w: number, h: number) =>
    sharp({ create: { width: w, height: h, channels: 3, background: "teal" } });
  const [jpeg, progressive, png, webp, gif, avif, tiff, tiny, narrow] = await Promise.all([
    picture().jpeg().toBuffer(),
    picture().jpeg({ progressive: true }).toBuffer(),
    picture().png().toBuffer(),
    picture().webp().toBuffer(),
    picture().gif().toBuffer(),
    picture().avif({ effort: 0 }).toBuffer(),
    picture().tiff().toBuffer(),
    plain(1, 1).gif().toBuffer(),
    plain(2000, 40).png().toBuffer(),
  ]);
  return { jpeg, progressive, png, webp, gif, avif, tiff, tiny, narrow, bomb: pngBomb(20_000) };
}

/** A black square in 50 kB, of one bit a pixel in the file and of gigabytes once decoded. */
function pngBomb(side: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 1;
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const rows = deflateSync(Buffer.alloc(side * (1 + side / 8)));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", rows),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** What follows an ISO media file has to be a box too. */
function withFreeBox(file: Buffer, text: string): Buffer {
  const box = Buffer.alloc(8 + text.length);
  box.writeUInt32BE(box.length);
  box.write(`free${text}`, 4);
  return Buffer.concat([file, box]);
}
