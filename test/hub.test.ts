/** Models of the hub on the command line and in the library, as their users name them. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run, start } from "./support/command-line.js";
import { type HubServer, sha256, startHubServer } from "./support/hub-server.js";
import { temporaryFolder, writeTinyCaptioner } from "./support/tiny-captioner.js";

const TOKEN = "hf_aVerySecretToken";

let hub: HubServer;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let files: Record<string, Uint8Array>;
/** A cache of its own for each test. */
let env: Record<string, string>;
let tests = 0;
const scenes = ["data", "scenes", "--count", "2", "--seed", "9", "--out", "scenes"];
const picture = "scenes/images/000001.png";

beforeAll(async () => {
  hub = await startHubServer();
  folder = await temporaryFolder();
  const model = join(folder.path, "model");
  await writeTinyCaptioner(model);
  const names = await readdir(model);
  files = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(model, name))])),
  );
  await output(scenes, { cwd: folder.path });
});
afterAll(async () => {
  await hub.close();
  await folder.remove();
});
beforeEach(() => {
  hub.models.set("owner/name", { licence: "mit", files });
  hub.requests.length = 0;
  for (const fault of Object.keys(hub.faults)) delete hub.faults[fault as keyof HubServer["faults"]];
  env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: join(folder.path, `cache-${tests++}`),
    HF_TOKEN: "",
    HF_HUB_OFFLINE: "",
  };
});

const contents = () => hub.requests.filter(({ url }) => !url.startsWith("/api/"));

describe("--model owner/name", () => {
  it("captions as the folder does, and again offline", async () => {
    const cwd = folder.path;
    const args = ["caption", picture, "--lang", "all", "--json"];
    const expected = jsonLines(await output([...args, "--model", "model"], { cwd }));
    const { code, stdout, stderr } = await run([...args, "--model", "owner/name"], { cwd, env });
    expect(code, stderr).toBe(0);
    expect(jsonLines(stdout)).toEqual(expected);
    expect(stderr).toMatch(/^lingolens: downloading owner\/name \(.* [kM]B; licence: mit\) into .*, once\n$/);

    hub.requests.length = 0;
    const offline = await run([...args, "--model", "owner/name", "--offline"], { cwd, env });
    expect(offline).toEqual({ code: 0, stdout, stderr: "" });
    expect(hub.requests).toEqual([]);
  });

  it("works for score, evaluate and tokenize, of which the last needs no weights", async () => {
    const cwd = folder.path;
    const named = ["--model", "owner/name", "--json"];
    const [line] = jsonLines(await output(["tokenize", ...named], { cwd, env, stdin: "a red circle\n" }));
    expect(line.tokens.length).toBeGreaterThan(2);
    expect(contents().some(({ url }) => url.includes("safetensors"))).toBe(false);
    const [report] = jsonLines(await output(["evaluate", "--data", "scenes", ...named], { cwd, env }));
    expect(report.loss).toBeGreaterThan(0);
    expect(contents().filter(({ url }) => url.endsWith("model.safetensors"))).toHaveLength(1);
    await output(["evaluate", "--data", "scenes", ...named, "--offline"], { cwd, env });
  });

  it("is where training starts", async () => {
    const sets = ["model.path=owner/name", "data.path=scenes", "steps=1", "batchSize=2", "evaluateCount=1"];
    const args = ["train", "finetune", "--out", "run", "--json", ...sets.flatMap((set) => ["--set", set])];
    const [{ model }] = jsonLines(await output(args, { cwd: folder.path, env }));
    expect(await readdir(join(folder.path, model))).toEqual(expect.arrayContaining(["model.safetensors"]));
    expect(JSON.parse(await readFile(join(folder.path, "run/recipe.json"), "utf8")).model.path).toBe(
      "owner/name",
    );
  });

  it("that is not in the cache fails offline, with what to do", async () => {
    const args = ["caption", picture, "--model", "owner/name", "--offline"];
    const { code, stdout, stderr } = await run(args, { cwd: folder.path, env });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(failures(stderr)).toEqual([
      expect.stringMatching(/owner\/name@main.*Run once.*\(file-not-found\)/),
    ]);
    expect(hub.requests).toEqual([]);
  });

  it("that is malformed is wrong use", async () => {
    const { code, stderr } = await run(["caption", picture, "--model", "owner/na me"], {
      cwd: folder.path,
      env,
    });
    expect(code).toBe(2);
    expect(stderr).toContain("owner/name[@revision]");
  });

  it("reads what needs a token, and prints the token nowhere", async () => {
    hub.models.set("owner/name", { files, token: TOKEN });
    const args = ["caption", picture, "--model", "owner/name"];
    const cwd = folder.path;
    const refused = await run(args, { cwd, env });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("HF_TOKEN");
    const read = await run(args, { cwd, env: { ...env, HF_TOKEN: TOKEN } });
    expect(read.code, read.stderr).toBe(0);
    hub.faults.status = 500;
    const failed = await run(["caption", picture, "--model", "owner/other"], {
      cwd,
      env: { ...env, HF_TOKEN: TOKEN },
    });
    expect(failed.code).toBe(1);
    for (const { stdout, stderr } of [read, failed]) expect(stdout + stderr).not.toContain(TOKEN);
  });

  it("is fetched once when two processes want it at once", async () => {
    hub.faults.slow = 20;
    const args = ["caption", picture, "--model", "owner/name", "--json"];
    const [one, other] = await Promise.all([1, 2].map(() => run(args, { cwd: folder.path, env })));
    expect(one!.code, one!.stderr).toBe(0);
    expect(other!.code, other!.stderr).toBe(0);
    expect(other!.stdout).toBe(one!.stdout);
    expect(hub.requests.filter(({ host }) => host === "cdn").length).toBe(
      new Set(hub.requests.filter(({ host }) => host === "cdn").map(({ url }) => url)).size,
    );
  });

  it.skipIf(process.platform === "win32")(
    "goes on after kill -9 and an interrupt where it stopped",
    async () => {
      const args = ["caption", picture, "--model", "owner/name"];
      const cwd = folder.path;
      const digest = sha256(files["model.safetensors"]!);
      const blobs = join(env.HF_HUB_CACHE!, "models--owner--name/blobs");
      const fetched = async () =>
        (await stat(join(blobs, `${digest}.incomplete`)).catch(() => ({ size: 0 }))).size;
      hub.faults.slow = 150;
      for (const [signal, code] of [
        ["SIGKILL", null],
        ["SIGINT", 130],
      ] as const) {
        const before = await fetched();
        const { child, finished } = start(args, { cwd, env });
        while ((await fetched()) <= before) await new Promise((resolve) => setTimeout(resolve, 10));
        child.kill(signal);
        expect((await finished).code).toBe(code);
      }
      const before = await fetched();
      expect(before).toBeLessThan(files["model.safetensors"]!.length);
      delete hub.faults.slow;
      hub.requests.length = 0;
      const { code, stderr } = await run(args, { cwd, env });
      expect(code, stderr).toBe(0);
      expect(hub.requests.filter(({ host }) => host === "cdn").map(({ range }) => range)).toEqual([
        `bytes=${before}-`,
      ]);
    },
  );
});
