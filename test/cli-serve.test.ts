import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { examplePictures } from "../src/weights/bundled-model.js";
import { failures, run, start } from "./support/command-line.js";
import { metric } from "./support/test-server.js";
import { temporaryFolder, writeTinyCaptioner } from "./support/tiny-captioner.js";
import { writeTinyMarian } from "./support/tiny-marian.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let model: string;
let body: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  model = join(folder.path, "tiny");
  await writeTinyCaptioner(model);
  const base64 = (await readFile(examplePictures[0]!)).toString("base64");
  // Captions of some tens of steps, so that there is a load to be stopped under.
  body = JSON.stringify({ images: [{ base64 }], lang: "all", beams: 8, minLength: 64, maxLength: 64 });
});
afterAll(() => folder.remove());

async function serve(args: readonly string[], env?: Record<string, string>) {
  const { child, finished } = start(["serve", "--port", "0", "--model", model, ...args], {
    ...(env && { env }),
  });
  const [url] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, finished, url };
}
const ask = (url: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/captions`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });

describe("lingolens serve", () => {
  it("finishes what it accepted when told to stop under load, refuses the rest, and exits with 0", async () => {
    const { child, finished, url } = await serve(["--max-batch", "2", "--concurrency", "1"]);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const accepted = Array.from({ length: 12 }, () => ask(url));
    while ((await metric(url, "lingolens_pictures_waiting")) < 10);
    child.kill("SIGTERM");
    while ((await fetch(`${url}/readyz`)).status === 200);
    const refused = await ask(url);
    expect(refused.status).toBe(503);
    expect((await refused.json()).error.code).toBe("shutting-down");
    for (const answer of await Promise.all(accepted)) {
      expect(answer.status).toBe(200);
      expect((await answer.json()).results).toHaveLength(4);
    }
    const { code, stderr } = await finished;
    expect(code).toBe(0);
    const events = stderr
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({ event: "stopped", answered: true });
    expect(
      events.every(({ time, event }) => !Number.isNaN(Date.parse(time)) && typeof event === "string"),
    ).toBe(true);
    expect(stderr).not.toContain("MaxListeners");
  });

  it("gives up what is not answered by the shutdown deadline, and says so with its exit code", async () => {
    const { child, finished, url } = await serve([
      "--max-batch",
      "1",
      "--concurrency",
      "1",
      "--shutdown-deadline",
      "1",
    ]);
    const accepted = Array.from({ length: 30 }, () => ask(url));
    while ((await metric(url, "lingolens_pictures_waiting")) < 25);
    child.kill("SIGTERM");
    const statuses = (await Promise.all(accepted)).map(({ status }) => status);
    expect(statuses).toContain(503);
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true);
    expect((await finished).code).toBe(1);
  });

  it("takes keys from a file and the environment, and logs none", async () => {
    const keys = join(folder.path, "keys");
    await writeFile(keys, "file-key\n\nother-key\n");
    const { child, finished, url } = await serve(["--api-key-file", keys], {
      LINGOLENS_API_KEY: "environment-key",
    });
    const status = async (key: string) =>
      (await fetch(`${url}/v1/models`, { headers: { "x-api-key": key } })).status;
    expect([await status("file-key"), await status("environment-key"), await status("wrong-key")]).toEqual([
      200, 200, 401,
    ]);
    child.kill("SIGINT");
    const { code, stderr } = await finished;
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/(?:file|environment|wrong)-key/);
  });

  it("translates into English with the models of --gloss", async () => {
    const models = join(folder.path, "marian");
    await writeTinyMarian(join(models, "opus-mt-de-en"), 1);
    const { child, finished, url } = await serve(["--gloss", models]);
    const answer = await fetch(`${url}/v1/translations`, {
      method: "POST",
      body: JSON.stringify({ lang: "de", texts: ["ein roter Ball"] }),
      headers: { "content-type": "application/json" },
    });
    expect(await answer.json()).toEqual({
      translations: [{ text: expect.stringMatching(/./), model: "opus-mt-de-en" }],
    });
    child.kill("SIGTERM");
    expect((await finished).code).toBe(0);
  });

  it("says what is wrong with its options", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    await writeFile(join(folder.path, "empty"), "\n");
    for (const [args, code] of [
      [["--port", String(port)], 2],
      [["--max-batch", "0"], 2],
      [["--port", "99999"], 2],
      [["--api-key", "two words"], 2],
      [["--api-key-file", join(folder.path, "empty")], 2],
      [["--api-key-file", join(folder.path, "nothing")], 1],
      [["--gloss", join(folder.path, "nothing")], 1],
      [["--gloss", folder.path], 1],
    ] as const) {
      const result = await run(["serve", "--model", model, ...args]);
      expect([args, result.code]).toEqual([args, code]);
      if (args[0] === "--port") expect(failures(result.stderr)[0]).toMatch(/cannot listen/);
      expect(result.stderr).not.toMatch(/\n {4}at /);
    }
    taken.close();
  });
});
