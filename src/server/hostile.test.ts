import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metric, type TestServer, testServer } from "../../test/support/test-server.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { examplePictures } from "../weights/bundled-model.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let captioner: Captioner;
let server: TestServer;
let good: Buffer;
/** A server on a private address, which nobody must reach. */
let inside: Server;
let reached = 0;
let insideUrl: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeTinyCaptioner(join(folder.path, "model"));
  captioner = await loadCaptioner({ model: join(folder.path, "model") });
  server = await testServer(captioner, { maxBody: 200_000, bodyTimeout: 1, maxPixels: 1_000_000 });
  good = await readFile(examplePictures[0]!);
  inside = createServer((_, answer) => {
    reached++;
    answer.end(good);
  });
  inside.listen(0, "127.0.0.1");
  await once(inside, "listening");
  insideUrl = `http://127.0.0.1:${(inside.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  // None of all this was a fault of the server.
  expect(server.events.filter(({ event }) => event === "error")).toEqual([]);
  expect(await server.close()).toBe(true);
  inside.close();
  await captioner.close();
  await folder.remove();
});

const PATHS = ["/v1/captions", "/v1/captions/stream"];

async function send(
  body: BodyInit,
  type: string | undefined,
  path = PATHS[0],
): Promise<{ status: number; code: string }> {
  const answer = await fetch(server.url + path, {
    method: "POST",
    body,
    headers: type === undefined ? {} : { "content-type": type },
  });
  const { error } = await answer.json();
  expect(error).toEqual({ code: expect.any(String), message: expect.any(String) });
  return { status: answer.status, code: error.code };
}
const sendJson = (value: unknown, path?: string) => send(JSON.stringify(value), "application/json", path);
const image = (bytes: Uint8Array) => ({ base64: Buffer.from(bytes).toString("base64") });

/** What a client gets to read that looks for the answer only once it has sent all it wanted. @param pause milliseconds */
async function sendThenRead(
  pieces: readonly (string | Buffer)[],
  pause: number,
  url = server.url,
): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).pause();
  const closed = new Promise((resolve) => socket.on("close", resolve));
  let answer = "";
  socket.on("error", () => {});
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  socket.on("data", (chunk) => {
    answer += chunk;
  });
  socket.resume();
  await closed;
  return answer;
}

/** What the server answers to raw bytes, until it closes or has been silent. */
function raw(text: string | Buffer, { end = true, wait = 3000 } = {}): Promise<string> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let answer = "";
    const timer = setTimeout(() => socket.destroy(), wait);
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.write(text);
    if (end) socket.end();
  });
}

async function stillWorks(): Promise<void> {
  const body = JSON.stringify({ images: [image(good)], beams: 1, maxLength: 8 });
  const answer = await fetch(`${server.url}/v1/captions`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
  expect(answer.status).toBe(200);
}

describe.each(PATHS)("%s", (path) => {
  it.each<[string, BodyInit, string | undefined, number]>([
    ["no type", "x", undefined, 415],
    ["another type", "x", "text/xml", 415],
    ["a type that is no type", "x", "application/json-or-so", 415],
    ["an empty body", "", "application/json", 400],
    ["no JSON", "{", "application/json", 400],
    ["JSON nested deeply", "[".repeat(90_000), "application/json", 400],
    ["JSON of another shape", "[]", "application/json", 400],
    ["null", "null", "application/json", 400],
    ["a form without boundary", "x", "multipart/form-data", 400],
    ["a form of another boundary", "--a\r\n\r\n--a--", "multipart/form-data; boundary=b", 400],
    [
      "a form cut short",
      '--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nx',
      "multipart/form-data; boundary=b",
      400,
    ],
    ["a form that is empty", "--b--\r\n", "multipart/form-data; boundary=b", 400],
  ])("refuses %s", async (_, body, type, status) => {
    expect((await send(body, type, path)).status).toBe(status);
  });

  it.each<[string, unknown]>([
    ["no pictures", { images: [] }],
    ["too many", { images: Array(17).fill(image(Buffer.from("x"))) }],
    ["a number for a picture", { images: [1] }],
    ["a picture that is both", { images: [{ url: "https://a.example/", base64: "AAAA" }] }],
    ["a path", { images: [{ path: "/etc/passwd" }] }],
    ["a path as URL", { images: [{ url: "/etc/passwd" }] }],
    ["a file URL", { images: [{ url: "file:///etc/passwd" }] }],
    ["no base64", { images: [{ base64: "…" }] }],
    ["cut base64", { images: [{ base64: "AAA" }] }],
    ["beams of text", { images: [image(Buffer.from("x"))], beams: "4" }],
    ["beams below 1", { images: [image(Buffer.from("x"))], beams: 0 }],
    ["too many beams", { images: [image(Buffer.from("x"))], beams: 1e9 }],
    ["too much work", { images: [image(Buffer.from("x"))], beams: 64, lang: Array(64).fill("en") }],
    ["a length that takes memory", { images: [image(Buffer.from("x"))], topK: 1e6, sample: true }],
    ["a language that is none", { images: [image(Buffer.from("x"))], lang: "klingon" }],
    ["no language", { images: [image(Buffer.from("x"))], lang: "," }],
    ["an option that is none", { images: [image(Buffer.from("x"))], colour: "red" }],
    ["what is the server's to choose", { images: [image(Buffer.from("x"))], allowPrivate: true }],
    ["__proto__", JSON.parse('{"images":[{"base64":"AAAA"}],"__proto__":{"beams":1}}')],
  ])("refuses %s", async (_, body) => {
    expect((await sendJson(body, path)).status).toBe(400);
  });

  it("refuses forms with files in the wrong place and text for a file", async () => {
    const misplaced = new FormData();
    misplaced.append("image", new Blob([new Uint8Array(good)]), "a.png");
    misplaced.append("lang", new Blob(["en"]), "en.txt");
    expect((await send(misplaced, undefined, path).catch(() => ({ status: 0 }))).status).toBe(400);
    const text = new FormData();
    text.append("image", "/etc/passwd");
    expect((await send(text, undefined, path)).status).toBe(400);
  });
});

describe("pictures", () => {
  it("that are none, damaged, of other formats or too large", async () => {
    const bomb = pngOf(60_000, 60_000);
    const large = await sharp({ create: { width: 1100, height: 1000, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    const cases: [Uint8Array, number, string][] = [
      [Buffer.from("text"), 422, "unreadable-image"],
      [Buffer.alloc(1), 422, "unreadable-image"],
      [good.subarray(0, good.length / 2), 422, "unreadable-image"],
      [
        Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
        415,
        "unsupported-format",
      ],
      [bomb, 413, "image-too-large"],
      [large, 413, "image-too-large"],
    ];
    for (const [bytes, status, code] of cases)
      expect(await sendJson({ images: [image(bytes)] })).toEqual({ status, code });
  });

  it("at private addresses, however they are spelt, are not fetched", async () => {
    const port = new URL(insideUrl).port;
    const hosts = [
      "127.0.0.1",
      "localhost",
      "127.1",
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "0.0.0.0",
      "10.0.0.1",
      "169.254.169.254",
      "user:pw@127.0.0.1",
    ];
    for (const host of hosts) {
      const { status, code } = await sendJson({ images: [{ url: `http://${host}:${port}/` }] });
      expect([host, status, code]).toEqual([host, 403, "address-refused"]);
    }
    for (const url of ["http://", "http://[", "http://a b/", "https://%00/"])
      expect((await sendJson({ images: [{ url }] })).status, url).toBe(422);
    expect(reached).toBe(0);
  });

  it("at private addresses are fetched where that is allowed, and checked like any other", async () => {
    const open = await testServer(captioner, { allowPrivate: true });
    const body = JSON.stringify({ images: [{ url: insideUrl }], beams: 1, maxLength: 8 });
    const answer = await fetch(`${open.url}/v1/captions`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    expect((await answer.json()).results[0].image).toBe(insideUrl);
    expect(reached).toBe(1);
    await open.close();
  });

  it("keep the name without its path", async () => {
    const form = new FormData();
    form.append("image", new Blob([new Uint8Array(good)]), "../../etc/passwd");
    form.append("beams", "1");
    form.append("maxLength", "8");
    const answer = await fetch(`${server.url}/v1/captions`, { method: "POST", body: form });
    expect((await answer.json()).results[0].image).toBe("passwd");
  });
});

describe("bodies", () => {
  it("that say they are too large are refused unread", async () => {
    const answer = await raw(
      "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{",
      { end: false },
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  });

  it("that turn out too large are not read to the end", async () => {
    const chunk = `10000\r\n${"x".repeat(65536)}\r\n`;
    const answer = await raw(
      `POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(5)}`,
      { end: false },
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  });

  it("that are too large get an answer that a client can read who goes on sending, quickly or slowly", async () => {
    const head = (more: string) =>
      `POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n${more}\r\n\r\n`;
    const piece = Buffer.alloc(50_000, "x");
    const chunk = `c350\r\n${piece}\r\n`;
    for (const pieces of [
      [head("content-length: 1000000"), ...Array<Buffer>(20).fill(piece)],
      [head("transfer-encoding: chunked"), ...Array<string>(20).fill(chunk), "0\r\n\r\n"],
      [head("transfer-encoding: chunked"), ...Array<string>(8).fill(chunk), "no chunk\r\n", piece],
    ])
      for (const pause of [0, 70])
        expect(await sendThenRead(pieces, pause)).toMatch(/^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  });

  it("that are refused while the server stops get an answer that a client can read who goes on sending", async () => {
    const stopping = await testServer(captioner, { maxBody: 200_000 });
    const head =
      "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    const pieces = [head, ...Array<Buffer>(20).fill(Buffer.alloc(50_000, "x"))];
    const answer = sendThenRead(pieces, 30, stopping.url);
    while (!stopping.events.some(({ status }) => status === 413))
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await stopping.close()).toBe(true);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  });

  it("that are too large are not read for good", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname).pause();
    const sending = setInterval(() => socket.write("xxxxxxxxxx"), 100);
    socket.on("error", () => {});
    socket.write(
      "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n",
    );
    await new Promise((resolve) => socket.on("close", resolve)); // Which only the server can be the reason of.
    clearInterval(sending);
  }, 10_000);

  it("that do not come are not waited for", async () => {
    const answer = await raw(
      "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
      { end: false },
    );
    expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*body-timeout/);
  });

  it("of many at once share a bounded memory, which is given back", async () => {
    const tight = await testServer(captioner, { maxBody: 100_000, maxBodies: 250_000, bodyTimeout: 1 });
    const { hostname, port } = new URL(tight.url);
    const sockets = Array.from({ length: 2 }, () => connect(Number(port), hostname));
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.write(
        "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{",
      );
    }
    while ((await metric(tight.url, "lingolens_requests_open")) < 3);
    const ask = () =>
      fetch(`${tight.url}/v1/captions`, {
        method: "POST",
        body: "{".padEnd(90_000),
        headers: { "content-type": "application/json" },
      });
    const refused = await ask();
    expect([refused.status, (await refused.json()).error.code]).toEqual([429, "overloaded"]);
    for (const socket of sockets) socket.destroy();
    while ((await metric(tight.url, "lingolens_requests_open")) > 1);
    expect((await ask()).status).toBe(400);
    await tight.close();
  });
});

it("what is not HTTP, and paths with tricks, get their 4xx", async () => {
  for (const text of [
    "\x16\x03\x01\x02\x00",
    "GET / HTTP/9.9\r\n\r\n",
    "GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    `GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`,
    "GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET /..%5c..%5cetc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET /%00 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET /% HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET //evil.example/%2f.. HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "PUT /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
    `POST /v1/captions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${"x".repeat(900_000)}`,
  ])
    expect(await raw(text), JSON.stringify(text.slice(0, 60))).toMatch(/^HTTP\/1\.1 4\d\d /);
  await stillWorks();
});

it("any JSON gets its 4xx", async () => {
  const option = fc.constantFrom(
    "lang",
    "beams",
    "maxLength",
    "lengthPenalty",
    "earlyStopping",
    "suppress",
    "sample",
    "topP",
    "attention",
    "images",
  );
  const source = fc.record(
    { url: fc.string(), base64: fc.base64String(), name: fc.string() },
    { requiredKeys: [] },
  );
  const request = fc.oneof(
    fc.json(),
    fc
      .tuple(
        fc.array(fc.oneof(source, fc.jsonValue())),
        fc.dictionary(fc.oneof(option, fc.string()), fc.jsonValue()),
      )
      .map(([images, options]) => JSON.stringify({ images, ...options })),
    fc.string(),
  );
  await fc.assert(
    fc.asyncProperty(
      request,
      fc.constantFrom("application/json", "multipart/form-data; boundary=x"),
      async (body, type) => {
        const { status } = await send(body, type);
        expect(status).toBeGreaterThanOrEqual(400);
        expect(status).toBeLessThan(500);
      },
    ),
    { numRuns: 500 },
  );
  await stillWorks();
});

it("any change of a form gets an answer that is no 5xx, and takes no memory for good", async () => {
  const head = '--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n';
  const tail = '\r\n--b\r\ncontent-disposition: form-data; name="maxLength"\r\n\r\n8\r\n--b--\r\n';
  const whole = Buffer.concat([Buffer.from(head), good, Buffer.from(tail)]);
  const ask = async (body: Uint8Array) => {
    const answer = await fetch(`${server.url}/v1/captions`, {
      method: "POST",
      body: new Uint8Array(body),
      headers: { "content-type": "multipart/form-data; boundary=b" },
    });
    await answer.text();
    return answer.status;
  };
  expect(await ask(whole)).toBe(200);
  const before = process.memoryUsage().rss;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length - 1),
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(300),
      async (at, bytes, cut) => {
        const place = at % 2 === 0 ? at : at % (head.length + 60);
        const changed = Buffer.concat([whole.subarray(0, place), bytes, whole.subarray(place + cut)]);
        expect(await ask(changed)).toBeLessThan(500);
      },
    ),
    { numRuns: 400 },
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(150e6);
  await stillWorks();
});

/** A picture of a few bytes whose header announces many pixels. */
function pngOf(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.alloc(1000))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function crc(bytes: Buffer): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}
