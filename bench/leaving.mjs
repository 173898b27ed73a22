// Clients that are killed in mid-stream, and a server that is told to stop under load.
//
//     npm run build && node bench/leaving.mjs [--kills 500] [--clients 64] [--model M]
//
// Figures: the time from a client's end to that of its work, beside the time of a step; pictures that were described all
// the same; the server's memory at each quarter and its open files before and after. Then, on SIGTERM: answers of the
// requests that were under way and of those that came after, the time until the process has ended, its exit code.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { examplePictures } from "../dist/weights/bundled-model.js";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "500" },
    clients: { type: "string", default: "64" },
    model: { type: "string" },
  },
});
const [kills, clients] = [Number(values.kills), Number(values.clients)];
const base64 = (await readFile(examplePictures[0])).toString("base64");
/** Captions of 63 steps, so that there is a middle to be killed in. */
const body = JSON.stringify({ images: [{ base64 }], lang: "all", minLength: 64, maxLength: 64 });
const STEPS = 63;

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const model = values.model ? ["--model", values.model] : [];
const child = spawn(process.execPath, [main, "serve", "--port", "0", ...model], {
  stdio: ["ignore", "pipe", "ignore"],
});
const [url] = await once(createInterface(child.stdout), "line");

const polling = new Agent({ keepAlive: true });
async function look() {
  const [answer] = await once(request(`${url}/metrics`, { agent: polling }).end(), "response");
  let text = "";
  for await (const chunk of answer) text += chunk;
  return (name) => Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (.+)$`, "m").exec(text)?.[1] ?? 0);
}
/** Where the system says so. */
const openFiles = async () => (await readdir(`/proc/${child.pid}/fd`).catch(() => [])).length;

function post(path, agent) {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return request(url + path, { method: "POST", headers, agent }).end(body);
}

/** Reads a stream up to its first partial caption, and ends the client there. */
async function killOne() {
  const sent = post("/v1/captions/stream", false);
  sent.on("error", () => {});
  const [answer] = await once(sent, "response");
  answer.on("error", () => {});
  let text = "";
  for await (const chunk of answer) {
    text += chunk;
    if (text.includes("event: partial")) break;
  }
  sent.destroy();
  const since = performance.now();
  while ((await look())("lingolens_batches_running") > 0);
  return performance.now() - since;
}

async function streamOne() {
  const since = performance.now();
  const [answer] = await once(post("/v1/captions/stream", false), "response");
  for await (const _ of answer);
  return performance.now() - since;
}

await streamOne();
const step = (await streamOne()) / STEPS;
const described = 'lingolens_pictures_total{outcome="described"}';
const before = await look();
const filesBefore = await openFiles();
const times = [];
const memory = [];
for (let kill = 0; kill < kills; kill++) {
  if (kill % Math.ceil(kills / 4) === 0) memory.push((await look())("process_resident_memory_bytes"));
  times.push(await killOne());
}
const after = await look();
memory.push(after("process_resident_memory_bytes"));
times.sort((a, b) => a - b);
const late = after(described) - before(described);
const open = after("lingolens_requests_open") - 1 + after("lingolens_pictures_waiting");
console.log(
  `${kills} clients killed in mid-stream: work stopped after ${times[kills >> 1].toFixed(1)} ms in the middle, ` +
    `95 % ${times[Math.floor(kills * 0.95)].toFixed(1)} ms, at most ${times.at(-1).toFixed(1)} ms (a step takes ` +
    `${step.toFixed(1)} ms, a look a few more); ${late} described all the same, ${open} left over; memory by quarter ` +
    `${memory.map((bytes) => Math.round(bytes / 1e6)).join(", ")} MB, open files ${filesBefore} before and ${await openFiles()} after`,
);

const agent = new Agent({ keepAlive: true, maxSockets: clients });
/** Outcomes of requests that were sent before SIGTERM, and of those sent after it. */
const outcomes = { before: {}, after: {} };
let stopping = false;
let over = false;
async function client() {
  while (!over) {
    const own = stopping ? outcomes.after : outcomes.before;
    let outcome;
    try {
      const [answer] = await once(post("/v1/captions", agent), "response");
      for await (const _ of answer);
      outcome = answer.statusCode;
    } catch (error) {
      outcome = error.code;
      await wait(20);
    }
    own[outcome] = (own[outcome] ?? 0) + 1;
  }
}
const running = Array.from({ length: clients }, client);
await wait(3000);
stopping = true;
child.kill("SIGTERM");
const since = performance.now();
const [code] = await once(child, "exit");
const seconds = (performance.now() - since) / 1000;
over = true;
await Promise.all(running);
agent.destroy();
polling.destroy();
console.log(
  `SIGTERM under load of ${clients} clients: sent before ${JSON.stringify(outcomes.before)}, sent after ` +
    `${JSON.stringify(outcomes.after)}; ended after ${seconds.toFixed(1)} s with exit code ${code}`,
);
const others = (found, expected) => Object.keys(found).some((outcome) => !expected.includes(outcome));
const lost = others(outcomes.before, ["200", "503"]) || others(outcomes.after, ["503", "ECONNREFUSED"]);
process.exitCode = late > 0 || open > 0 || lost || code !== 0 ? 1 : 0;
