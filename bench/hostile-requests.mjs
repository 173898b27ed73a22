// Requests of which none is meant well, each of which has to get its 4xx.
//
//     npm run build && node bench/hostile-requests.mjs [--requests 10000] [--clients 48] [--seed 1]
//
// Broken forms, fuzzed JSON, bodies that are too large or never come, tricks with paths, addresses inside, pixel bombs,
// wrong types, what is no HTTP. A client sends all that it has to send, also where the answer comes before, and then
// reads, as many programs do. Redirects to addresses inside are not among them, as nothing outside can be asked here:
// src/data/guarded-fetch.test.ts has those. Figures: answers by kind and status, pictures that came to the model,
// requests that came to a server inside, stalls of the server's event loop, its memory at each quarter.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { crc32, deflateSync } from "node:zlib";
import { examplePictures } from "../dist/weights/bundled-model.js";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "10000" },
    clients: { type: "string", default: "48" },
    seed: { type: "string", default: "1" },
  },
});
const [requests, clients] = [Number(values.requests), Number(values.clients)];
/** Bytes of a body that the server takes. */
const MAX_BODY = 200_000;
/** Milliseconds after which a connection without an answer counts as without one. */
const PATIENCE = 20_000;

let state = Number(values.seed) >>> 0;
/** mulberry32: a number from 0 to 1. */
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const one = (list) => list[below(list.length)];
const noise = (length) => Buffer.from(Array.from({ length }, () => below(256)));

const good = await readFile(examplePictures[0]);
let reached = 0;
const inside = createServer((_, answer) => {
  reached++;
  answer.end(good);
}).listen(0, "127.0.0.1");
await once(inside, "listening");
const { port: insidePort } = inside.address();

const CAPTIONS = ["/v1/captions", "/v1/captions/stream"];
const head = (path, headers, method = "POST") =>
  `${method} ${path} HTTP/1.1\r\nhost: a\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;
const post = (body, type, path = one(CAPTIONS)) => [
  head(path, { "content-type": type, "content-length": Buffer.byteLength(body) }),
  body,
];
const json = (value, path) => post(JSON.stringify(value), "application/json", path);
const form = (parts, end = "--b--\r\n") =>
  post(Buffer.concat([...parts, Buffer.from(end)]), "multipart/form-data; boundary=b");
const part = (disposition, bytes) =>
  Buffer.concat([
    Buffer.from(`--b\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
const file = part('name="image"; filename="a.png"', good);

/** A picture of a few bytes whose header announces many pixels. */
function bomb() {
  const chunk = (type, data) => {
    const out = Buffer.alloc(data.length + 12);
    out.writeUInt32BE(data.length, 0);
    out.write(type, 4, "latin1");
    data.copy(out, 8);
    out.writeUInt32BE(crc32(out.subarray(4, -4)), data.length + 8);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(2000 + below(60_000), 0);
  header.writeUInt32BE(2000 + below(60_000), 4);
  header.set([8, 2, 0, 0, 0], 8);
  const data = deflateSync(Buffer.alloc(1000));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function fuzzedValue(depth = 0) {
  const kinds = [
    () => null,
    () => random() < 0.5,
    () => (random() - 0.5) * 10 ** below(300),
    () => noise(below(40)).toString("latin1"),
    () => "x".repeat(below(5000)),
    () => Array.from({ length: below(5) }, () => fuzzedValue(depth + 1)),
    () => Object.fromEntries(Array.from({ length: below(5) }, () => [fuzzedKey(), fuzzedValue(depth + 1)])),
  ];
  return one(depth < 4 ? kinds : kinds.slice(0, 5))();
}
const fuzzedKey = () =>
  one([
    "images",
    "url",
    "base64",
    "lang",
    "beams",
    "topP",
    "suppress",
    "__proto__",
    "constructor",
    "toString",
    "",
    "é",
  ]);

const image = { base64: good.toString("base64") };
const PRIVATE = [
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
  "192.168.1.1",
  "172.16.0.1",
  "169.254.169.254",
  "[fd00::1]",
  "[fe80::1]",
  "user:pw@127.0.0.1",
];
const TRICKS = [
  "/../../etc/passwd",
  "/%2e%2e/%2e%2e/etc/passwd",
  "/..%5c..%5cetc/passwd",
  "/%00",
  "/%",
  "//evil.example/%2f..",
  "/v1/captions/../../x",
  "/model/../../package.json",
  "/assets/%2e%2e/%2e%2e/package.json",
  "/v1//captions",
  "/.git/config",
];

/** What a client sends, in pieces: bytes, or a number of milliseconds to wait. */
const KINDS = {
  "broken form": () =>
    one([
      () => form([file], ""),
      () => form([file.subarray(0, below(60))]),
      () => form([part('name="image"', Buffer.from("text"))]),
      () => form([file, part(`name="${noise(8).toString("hex")}"`, Buffer.from("1"))]),
      () => form([file, part('name="beams"', noise(3))]),
      () => form([part('name="other"; filename="a.png"', good)]),
      () => form(Array.from({ length: 300 }, () => part('name="lang"', Buffer.from("en")))),
      () => post(noise(below(3000)), "multipart/form-data; boundary=b"),
      () => post(noise(100), "multipart/form-data"),
    ])(),
  "fuzzed JSON": () =>
    one([
      () => json(fuzzedValue()),
      () => json({ images: fuzzedValue(), ...fuzzedValue() }),
      () =>
        json({
          images: [image],
          [one(["beams", "topK", "lang", "seed", "sample", "maxLength"])]: { a: fuzzedValue() },
        }),
      () => post(noise(below(2000)), "application/json"),
      () => post("[".repeat(1 + below(90_000)), "application/json"),
      () => json(fuzzedValue(), "/v1/pictures"),
    ])(),
  "wrong type": () =>
    post(
      good,
      one([
        "text/xml",
        "image/png",
        "application/octet-stream",
        "application/jsonx",
        "x",
        "multipart/mixed; boundary=b",
      ]),
    ),
  "too large, said": () => [
    head(one(CAPTIONS), { "content-type": "application/json", "content-length": 10 ** (6 + below(10)) }),
    Buffer.alloc(100_000 + below(1_500_000), "x"),
  ],
  "too large, in full": () => post(Buffer.alloc(MAX_BODY + 1 + below(4_000_000), "x"), "application/json"),
  "too large, in chunks": () => {
    const pieces = Array.from({ length: 8 + below(40) }, () => `10000\r\n${"x".repeat(65_536)}\r\n`);
    return [
      head(one(CAPTIONS), { "content-type": "application/json", "transfer-encoding": "chunked" }),
      ...pieces,
      "0\r\n\r\n",
    ];
  },
  "too large and slow": () => {
    const pieces = Array.from({ length: 4 + below(12) }, () => [
      Buffer.alloc(65_536, "x"),
      20 + below(60),
    ]).flat();
    const size = pieces.reduce((sum, piece) => sum + (piece.length ?? 0), 0);
    return [head(one(CAPTIONS), { "content-type": "application/json", "content-length": size }), ...pieces];
  },
  "body that does not come": () => [
    head(one(CAPTIONS), { "content-type": "application/json", "content-length": 1 + below(100_000) }),
    ...(random() < 0.5 ? [] : ["{", 200, '"', 200, "a"]),
  ],
  "path with a trick": () => [head(one(TRICKS), { connection: "close" }, one(["GET", "POST", "PUT"]))],
  "wrong method": () => [
    head(
      one([...CAPTIONS, "/v1/models", "/healthz"]),
      {},
      one(["PUT", "DELETE", "PATCH", "PROPFIND", "CONNECT"]),
    ),
  ],
  "address inside": () => {
    const url = `http://${one(PRIVATE)}:${insidePort}/`;
    return random() < 0.8 ? json({ images: [{ url }] }, CAPTIONS[0]) : json({ url }, "/v1/pictures");
  },
  "pixel bomb": () => json({ images: [{ base64: bomb().toString("base64") }] }, CAPTIONS[0]),
  "damaged picture": () =>
    json(
      {
        images: [
          { base64: one([noise(500), good.subarray(0, 8 + below(good.length / 2))]).toString("base64") },
        ],
      },
      CAPTIONS[0],
    ),
  "too much work": () =>
    json({
      images: [image],
      ...one([
        { beams: 1e9 },
        { beams: 64, lang: Array(64).fill("en") },
        { topK: 1e6 },
        { lang: "klingon" },
        { numCaptions: -1 },
      ]),
    }),
  "no HTTP": () => [
    one([
      () => noise(1 + below(400)),
      () => "GET / HTTP/9.9\r\n\r\n",
      () => `${head(CAPTIONS[0], { "content-length": "3", "transfer-encoding": "chunked" })}0\r\n\r\n`,
      () =>
        head(CAPTIONS[0], { "content-length": one(["-1", "1e3", "99999999999999999999"]) }) +
        "x".repeat(200_000),
      () => `${head(CAPTIONS[0], { "transfer-encoding": "chunked" })}zz\r\n${"x".repeat(100_000)}`,
      () => head("/", { x: "x".repeat(17_000 + below(300_000)) }, "GET"),
    ])(),
  ],
};

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

/** Sends all the pieces, then reads. @returns the status; undefined where none came before the connection's end */
async function send(address, pieces) {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  let answer = "";
  let ended = false;
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = new Promise((resolve) => {
    socket.on("close", () => {
      ended = true;
      resolve();
    });
  });
  // Data is read once all is sent, as many programs do.
  socket.pause();
  const timer = setTimeout(() => socket.destroy(), PATIENCE);
  for (const piece of pieces) {
    if (ended) break;
    if (typeof piece === "number") await wait(piece);
    else if (!socket.write(piece)) await Promise.race([next(socket, "drain"), closed]);
  }
  socket.resume();
  while (!ended && !isWhole(answer)) await Promise.race([next(socket, "data"), closed]);
  clearTimeout(timer);
  socket.destroy();
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]) || undefined;
}

/** Whether an answer has come to its end. */
function isWhole(answer) {
  const end = answer.indexOf("\r\n\r\n");
  const length = /^content-length: (\d+)/im.exec(answer)?.[1];
  return end >= 0 && length !== undefined && answer.length >= end + 4 + Number(length);
}

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const limits = ["--max-body", String(MAX_BODY), "--body-timeout", "1", "--max-pixels", "1000000"];
const child = spawn(process.execPath, [main, "serve", "--port", "0", ...limits], {
  stdio: ["ignore", "pipe", "pipe"],
});
let faults = 0;
createInterface(child.stderr).on("line", (line) => {
  if (line.includes('"event":"error"')) faults++;
});
const [url] = await once(createInterface(child.stdout), "line");
async function look() {
  const text = await (await fetch(`${url}/metrics`)).text();
  return (name) => Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1] ?? 0);
}

const counts = {};
const without = {};
let sent = 0;
let stall = 0;
const memory = [];
const since = performance.now();
await look();
async function client() {
  while (sent < requests) {
    const kind = Object.keys(KINDS)[sent % Object.keys(KINDS).length];
    if (sent++ % Math.ceil(requests / 4) === 0) memory.push(look());
    const status = await send(url, KINDS[kind]());
    counts[kind] ??= {};
    const own = counts[kind];
    own[status] = (own[status] ?? 0) + 1;
    if (status === undefined || status < 400 || status > 499) without[kind] = (without[kind] ?? 0) + 1;
  }
}
await Promise.all(Array.from({ length: clients }, client));
memory.push(look());
const looks = await Promise.all(memory);
for (const value of looks) stall = Math.max(stall, value("lingolens_event_loop_delay_max_seconds"));
const last = looks.at(-1);
const seconds = (performance.now() - since) / 1000;
for (const [kind, own] of Object.entries(counts)) console.log(`${kind}: ${JSON.stringify(own)}`);
const described = last("lingolens_batch_pictures_sum");
const missing = Object.values(without).reduce((sum, count) => sum + count, 0);
const healthy = (await fetch(`${url}/healthz`)).status === 200;
child.kill("SIGTERM");
const [code] = await once(child, "exit");
inside.close();
console.log(
  `${requests} requests of ${clients} clients in ${seconds.toFixed(0)} s: ${missing} without a 4xx ${JSON.stringify(without)}; ` +
    `${described} pictures came to the model, ${reached} requests to the server inside, ${faults} faults in the log; ` +
    `longest stall of the event loop ${Math.round(stall * 1000)} ms, memory by quarter ` +
    `${looks.map((value) => Math.round(value("process_resident_memory_bytes") / 1e6)).join(", ")} MB; ` +
    `healthy afterwards: ${healthy}, exit code ${code} after SIGTERM`,
);
process.exitCode = missing + described + reached + faults > 0 || !healthy || code !== 0 ? 1 : 0;
