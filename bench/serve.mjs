// A server under load: pictures of many clients in batches, against one at a time.
//
//     npm run build && node bench/serve.mjs [--clients 200] [--seconds 60] [--lang en] [--beams 4] [--model M]
//
// Each client sends an example picture and, once it has the captions, the next. The server and the clients share this
// machine. Figures of each server: captions a second, the server's processor time a caption, which another program's load
// changes less, 50th and 95th percentile of the time to an answer, answers by status, stalls of the server's event loop, and
// its memory at each quarter of the time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { availableParallelism, cpus } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { examplePictures } from "../dist/weights/bundled-model.js";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "200" },
    seconds: { type: "string", default: "60" },
    lang: { type: "string", default: "en" },
    beams: { type: "string", default: "4" },
    model: { type: "string" },
  },
});
const [clients, seconds] = [Number(values.clients), Number(values.seconds)];
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const pictures = await Promise.all(examplePictures.map((path) => readFile(path)));
const BOUNDARY = "-------------------------lingolens";
const bodies = pictures.map((bytes) => {
  const head = (disposition) => `\r\n--${BOUNDARY}\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n`;
  const fields = { lang: values.lang, beams: values.beams };
  const texts = Object.entries(fields).map(([name, value]) => head(`name="${name}"`) + value);
  const file = head('name="image"; filename="scene.png"');
  return Buffer.concat([Buffer.from(texts.join("") + file), bytes, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
});

async function start(args) {
  const model = values.model ? ["--model", values.model] : [];
  const child = spawn(process.execPath, [main, "serve", "--port", "0", ...model, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [url] = await once(createInterface(child.stdout), "line");
  return { child, url };
}

async function metricsOf(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return (name) => Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1]);
}

function send(url, agent, body) {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": `multipart/form-data; boundary=${BOUNDARY}`,
      "content-length": body.length,
    };
    const sent = request(`${url}/v1/captions`, { method: "POST", agent, headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk)).on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, text: Buffer.concat(chunks).toString() }));
    });
    sent.on("error", reject).end(body);
  });
}

async function load(name, args) {
  const { child, url } = await start(args);
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const latencies = [];
  const statuses = {};
  let captions = 0;
  let measuring = false;
  let over = false;
  const client = async (number) => {
    for (let round = number; !over; round++) {
      const since = performance.now();
      const { status, text } = await send(url, agent, bodies[round % bodies.length]);
      if (!measuring || over) continue;
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === 200)
        captions += JSON.parse(text).results.reduce((sum, result) => sum + result.captions.length, 0);
      latencies.push(performance.now() - since);
    }
  };
  const running = Array.from({ length: clients }, (_, i) => client(i));
  await wait(2000); // Until all clients are under way, and the server's code is compiled.
  const first = await metricsOf(url); // Which counts stalls from its last look on.
  measuring = true;
  const since = performance.now();
  const looks = [];
  for (let quarter = 0; quarter < 4; quarter++) {
    await wait(seconds * 250);
    looks.push(await metricsOf(url));
  }
  measuring = false;
  const elapsed = (performance.now() - since) / 1000;
  over = true;
  await Promise.all(running);
  agent.destroy();
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  latencies.sort((a, b) => a - b);
  const percentile = (share) => Math.round(latencies[Math.floor(latencies.length * share)] ?? Number.NaN);
  const memory = looks.map((look) => Math.round(look("process_resident_memory_bytes") / 1e6));
  const stall = (name) => Math.round(Math.max(...looks.map((look) => look(name))) * 1000);
  const last = looks.at(-1);
  const perBatch = last("lingolens_batch_pictures_sum") / last("lingolens_batch_pictures_count");
  const perSecond = captions / elapsed;
  const processorTime = "process_cpu_seconds_total";
  const perCaption = ((last(processorTime) - first(processorTime)) / captions) * 1000;
  console.log(
    `${name}: ${perSecond.toFixed(1)} captions/s, ${perCaption.toFixed(1)} ms of processor time each, p50 ${percentile(0.5)} ms, p95 ${percentile(0.95)} ms, ` +
      `statuses ${JSON.stringify(statuses)}, ${perBatch.toFixed(1)} pictures a batch, event loop stalls p99 ` +
      `${stall("lingolens_event_loop_delay_p99_seconds")} ms, longest ${stall("lingolens_event_loop_delay_max_seconds")} ms, ` +
      `memory by quarter ${memory.join(", ")} MB, exit code ${code} after SIGTERM`,
  );
  return { perSecond, perCaption };
}

console.log(
  `${cpus()[0].model}, ${availableParallelism()} processors; ${clients} clients, ${seconds} s, ` +
    `languages ${values.lang}, beams ${values.beams}, ${values.model ?? "bundled model"}`,
);
const batched = await load("batched", []);
const single = await load("--max-batch 1", ["--max-batch", "1"]);
console.log(
  `ratio ${(batched.perSecond / single.perSecond).toFixed(2)}, of processor time ` +
    `${(single.perCaption / batched.perCaption).toFixed(2)}`,
);
