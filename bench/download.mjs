// How fast good pictures become shards, against sharp alone: the same files, the same resize to 256 with borders, the
// same JPEG quality, in turns within one run.
//
//     npm run build && node bench/download.mjs [--pictures 2000] [--runs 3] [--json FILE]
//
// The pictures lie on loopback, served by a process of its own, whose work counts against us. sharp alone reads the
// same bytes from memory, decodes as many at a time as there are processors, and writes nothing.
//
// Bar: at least 0.85 of sharp alone, on two cores.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { parseColumns } from "../dist/data/download/columns.js";
import { downloadPictures } from "../dist/data/download/download.js";

const SIZES = [
  [640, 480],
  [800, 600],
  [1024, 683],
  [600, 900],
  [1200, 800],
];
const QUALITY = 90;
/** Different pictures; each is served under many addresses, with a few bytes of its own behind its end. */
const DIFFERENT = 40;

/** Photographs' like: broad waves, edges and grain. */
async function makePictures() {
  return Promise.all(
    Array.from({ length: DIFFERENT }, async (_, k) => {
      const [width, height] = SIZES[k % SIZES.length];
      const data = Buffer.alloc(width * height * 3);
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          for (let c = 0; c < 3; c++) {
            const wave = 60 * Math.sin(((x * (1 + (k % 3)) + y) / width) * 9 + c + k);
            const edge = (x + k * 40) % 200 < 90 && (y + k * 25) % 160 < 70 ? 50 : 0;
            data[(y * width + x) * 3 + c] = 110 + wave + edge + ((x * 7919 + y * 104729 + c * 31) % 23);
          }
      return sharp(data, { raw: { width, height, channels: 3 } })
        .jpeg({ quality: 85 })
        .toBuffer();
    }),
  );
}

async function serve() {
  const pictures = (await makePictures()).map((bytes) => bytes);
  const server = createServer((request, answer) => {
    const number = Number(request.url.slice(1));
    const bytes = pictures[number % pictures.length];
    const own = Buffer.from(`${number}`.padStart(8, "0"));
    answer.writeHead(200, { "content-type": "image/jpeg", "content-length": bytes.length + own.length });
    answer.write(bytes);
    answer.end(own);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send({ port: server.address().port });
  process.on("disconnect", () => process.exit());
}

async function sharpAlone(pictures, count) {
  sharp.concurrency(1);
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      while (next < count) {
        const bytes = pictures[next++ % pictures.length];
        await sharp(bytes, { failOn: "error" })
          .autoOrient()
          .resize(256, 256, { fit: "contain", background: "white", withoutEnlargement: true })
          .jpeg({ quality: QUALITY })
          .toBuffer();
      }
    }),
  );
  return count / ((performance.now() - start) / 1000);
}

async function download(base, count, folder, run) {
  const input = join(folder, `${run}.tsv`);
  const line = (i) => `${base}/${run * count + i}\tpicture number ${i}\n`;
  await writeFile(input, Array.from({ length: count }, (_, i) => line(i)).join(""));
  const start = performance.now();
  const { succeeded } = await downloadPictures({
    input,
    columns: parseColumns("url,caption"),
    out: join(folder, `${run}`),
    pictures: { resize: "border", size: 256, quality: QUALITY },
    fetch: { allowPrivate: true },
  });
  if (succeeded !== count) throw new Error(`${succeeded} of ${count} pictures came`);
  return count / ((performance.now() - start) / 1000);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function main() {
  const { values } = parseArgs({
    options: {
      pictures: { type: "string", default: "2000" },
      runs: { type: "string", default: "3" },
      json: { type: "string" },
    },
  });
  const count = Number(values.pictures);
  const folder = await mkdtemp(join(tmpdir(), "lingolens-download-"));
  const server = fork(fileURLToPath(import.meta.url), ["serve"]);
  try {
    const [[{ port }], pictures] = await Promise.all([once(server, "message"), makePictures()]);
    const base = `http://127.0.0.1:${port}`;
    const bytes = pictures.reduce((sum, picture) => sum + picture.length, 0) / pictures.length;
    const results = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const alone = await sharpAlone(pictures, count);
      const ours = await download(base, count, folder, run);
      results.push({ alone, ours, ratio: ours / alone });
      console.log(
        `sharp alone ${alone.toFixed(0)} pictures/s, data download ${ours.toFixed(0)}, ${(ours / alone).toFixed(2)}`,
      );
    }
    const ratio = median(results.map((result) => result.ratio));
    console.log(`median ${ratio.toFixed(2)} (bar 0.85), files of ${(bytes / 1000).toFixed(0)} kB on average`);
    if (values.json) await writeFile(values.json, JSON.stringify({ results, ratio }));
  } finally {
    server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

await (process.argv[2] === "serve" ? serve() : main());
