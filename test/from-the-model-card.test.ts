/** The lines of docs/from-the-model-card.md, run as they stand there against a hub and a web server on loopback. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onnxRuntimeLibrary } from "../src/engine/onnxruntime-library.js";
import { jsonLines, output, run } from "./support/command-line.js";
import { type HubServer, startHubServer } from "./support/hub-server.js";
import { originalOnHub, writeSafetensorsModel } from "./support/original-layout.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Where the card's picture is. */
const PICTURE = { host: "images.cocodataset.org", path: "/val2017/000000397133.jpg" };

let page: string;
let hub: HubServer;
let web: Server;
let webHost: string;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let env: Record<string, string>;
let picture: string;
/** What the same model says of the same picture, both from the disk, and the weights as safetensors. */
let expected: { text: string; tokens: number[] };

beforeAll(async () => {
  page = await readFile(join(root, "docs/from-the-model-card.md"), "utf8");
  folder = await temporaryFolder();
  const cwd = folder.path;
  picture = join(root, "examples/scene-1.png");

  hub = await startHubServer();
  for (const [name, model] of await originalOnHub()) hub.models.set(name, model);
  await writeSafetensorsModel(join(cwd, "model"));
  env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: join(cwd, "huggingface"),
    HF_HUB_CACHE: "",
    HF_HUB_OFFLINE: "",
    HF_TOKEN: "",
    // Not the user's own cache, and yet the engine that is there.
    XDG_CACHE_HOME: join(cwd, "caches"),
    LINGOLENS_ONNXRUNTIME: await onnxRuntimeLibrary(),
  };

  const bytes = await readFile(picture);
  web = createServer((request, answer) => {
    if (request.url === PICTURE.path) answer.end(bytes);
    else answer.writeHead(404).end();
  });
  web.listen(0, "127.0.0.1");
  await once(web, "listening");
  webHost = `127.0.0.1:${(web.address() as AddressInfo).port}`;

  const args = ["caption", picture, "--model", "model", "--lang", "es", "--json"];
  expected = jsonLines(await output(args, { cwd }))[0].captions[0];
});
afterAll(async () => {
  await hub.close();
  web.close();
  await folder.remove();
});

/** The page's first block of a language. */
function block(language: string): string {
  const [, code] = page.match(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, "m")) ?? [];
  if (!code) throw new Error(`the page has no block of ${language}`);
  return code.trimEnd();
}

describe("the card's example", () => {
  it("is one command", async () => {
    const [program, ...args] = block("sh").split(/\s+/);
    expect(program).toBe("lingolens");
    // A host of our own, which has to be allowed. Everything else is as the page says.
    const own = [...args.map((arg) => arg.replace(PICTURE.host, webHost)), "--allow-private"];
    expect(own).toContain(`http://${webHost}${PICTURE.path}`);
    const { code, stdout, stderr } = await run(own, { cwd: folder.path, env });
    expect(code, stderr).toBe(0);
    expect(expected.text).not.toBe("");
    expect(stdout).toContain(expected.text);
    expect(stderr).toMatch(
      /downloading flax-community\/clip-vit-base-patch32_mbart-large-50 \(\d+ kB; its model card/,
    );

    const again = jsonLines(await output([...own, "--json", "--offline"], { cwd: folder.path, env }));
    expect(again).toMatchObject([
      { lang: "es_XX", captions: [{ text: expected.text, tokens: expected.tokens }] },
    ]);
    expect(expected.tokens.length).toBeLessThanOrEqual(64);
  });

  it("is five lines of code", async () => {
    const code = block("js");
    expect(code.split("\n")).toHaveLength(5);
    const own = code
      .replace(PICTURE.host, webHost)
      .replace("maxLength: 64", "maxLength: 64, allowPrivate: true");
    expect(own).toContain(`"http://${webHost}${PICTURE.path}"`);
    // From within the package, which may import itself by name.
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", own], {
      cwd: root,
      env: { ...process.env, ...env },
    });
    expect(stdout).toBe(`${expected.text}\n`);
  });
});

describe("the page", () => {
  it("names commands and pages that there are", async () => {
    const help = await output(["--help"]);
    const planned = page.match(/`lingolens serve`, is planned/) ? ["serve"] : [];
    for (const [, command] of page.matchAll(/`lingolens ([a-z]+)/g))
      if (!planned.includes(command!)) expect(help).toMatch(new RegExp(`^ {2}${command} `, "m"));
    for (const [, link] of page.matchAll(/\]\(([\w-]+\.md)/g))
      await expect(readFile(join(root, "docs", link!), "utf8")).resolves.toBeTruthy();
  });
});
