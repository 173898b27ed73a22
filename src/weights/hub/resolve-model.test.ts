import { once } from "node:events";
import { mkdir, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { createServer as createProxy } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  commitOf,
  gitSha1,
  type HubModel,
  type HubServer,
  sha256,
  startHubServer,
} from "../../../test/support/hub-server.js";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { LingolensError } from "../../errors.js";
import { ORIGINAL } from "./reference.js";
import { type ResolveOptions, resolveModel } from "./resolve-model.js";

const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) % 251));
const TOKEN = "hf_aVerySecretToken";

const model: HubModel = {
  licence: "apache-2.0",
  files: {
    "README.md": "# A model",
    "config.json": '{"model_type":"clip-vision-mbart"}',
    "tokenizer.json": "{}",
    "model.safetensors": WEIGHTS,
    "flax_model.msgpack": Buffer.concat([WEIGHTS, WEIGHTS]),
    "pytorch_model.bin": WEIGHTS.subarray(1),
  },
};
const main = commitOf(model);

let hub: HubServer;
/** An address where nobody listens. */
let nowhere: string;
let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
/** All that a user gets to see. */
let notices: string[];

beforeAll(async () => {
  hub = await startHubServer();
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  nowhere = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
  closed.close();
});
afterAll(() => hub.close());

beforeEach(async () => {
  temporary = await temporaryFolder();
  hub.models.clear();
  hub.models.set("owner/name", model);
  hub.requests.length = 0;
  for (const fault of Object.keys(hub.faults)) delete hub.faults[fault as keyof HubServer["faults"]];
  notices = [];
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", join(temporary.path, "hub"));
  vi.stubEnv("XDG_CACHE_HOME", join(temporary.path, "caches"));
  for (const name of ["HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]) vi.stubEnv(name, "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await temporary.remove();
});

function resolve(name = "owner/name", options: ResolveOptions = {}): Promise<string> {
  return resolveModel(name, { onNotice: (line) => notices.push(line), ...options });
}

async function failure(name = "owner/name", options: ResolveOptions = {}): Promise<LingolensError> {
  try {
    await resolve(name, options);
  } catch (error) {
    expect(error).toBeInstanceOf(LingolensError);
    return error as LingolensError;
  }
  throw new Error(`${name} was found`);
}

/** Quicker than `toEqual`, which looks at each byte. */
async function expectContent(folder: string, name: string, bytes: Uint8Array | string): Promise<void> {
  expect((await readFile(join(folder, name))).equals(Buffer.from(bytes))).toBe(true);
}

const repository = (): string => join(temporary.path, "hub/models--owner--name");
const contentRequests = () => hub.requests.filter(({ url }) => !url.startsWith("/api/"));

describe("a model of the hub", () => {
  it("lies in the cache as Python's huggingface_hub lays it out", async () => {
    const folder = await resolve();
    expect(folder).toBe(join(repository(), "snapshots", main));
    expect((await readdir(folder)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    await expectContent(folder, "model.safetensors", WEIGHTS);
    expect(await readlink(join(folder, "model.safetensors"))).toBe(`../../blobs/${sha256(WEIGHTS)}`);
    const config = Buffer.from(model.files["config.json"]!);
    expect(await readlink(join(folder, "config.json"))).toBe(`../../blobs/${gitSha1(config)}`);
    expect(await readFile(join(repository(), "refs/main"), "utf8")).toBe(main);
    expect((await readdir(join(repository(), "blobs"))).filter((name) => name.includes("."))).toEqual([]);
  });

  it("is announced with size and licence before it is fetched, and only then", async () => {
    await resolve();
    expect(notices).toEqual([expect.stringMatching(/owner\/name .*301 kB; licence: apache-2\.0/)]);
    await resolve();
    expect(notices).toHaveLength(1);
    expect(contentRequests().filter(({ host }) => host === "cdn")).toHaveLength(1);
  });

  it("tells how far the download is", async () => {
    const seen: { done: number; total: number }[] = [];
    await resolve("owner/name", { onProgress: (progress) => seen.push(progress) });
    const total = WEIGHTS.length + 34 + 2;
    expect(seen.at(-1)).toEqual({ done: total, total });
    expect(seen.every(({ done }, i) => i === 0 || done >= seen[i - 1]!.done)).toBe(true);
    expect(seen.filter(({ done }) => done < total).length).toBeGreaterThan(2);
  });

  it.each([
    [["flax_model.msgpack", "pytorch_model.bin"], "flax_model.msgpack"],
    [["pytorch_model.bin"], "pytorch_model.bin"],
  ])("of %j is fetched in one format", async (names, expected) => {
    const { "config.json": config, "tokenizer.json": tokenizer } = model.files;
    const weights = Object.fromEntries(names.map((name) => [name, model.files[name]!]));
    hub.models.set("owner/name", {
      files: { "config.json": config!, "tokenizer.json": tokenizer!, ...weights },
    });
    const folder = await resolve();
    expect((await readdir(folder)).sort()).toEqual(["config.json", expected, "tokenizer.json"]);
  });

  it("is fetched with all shards that its index names", async () => {
    const { "model.safetensors": _, ...files } = model.files;
    const index = {
      weight_map: { a: "model-1.safetensors", b: "model-2.safetensors", c: "model-1.safetensors" },
    };
    hub.models.set("owner/name", {
      files: {
        ...files,
        "model.safetensors.index.json": JSON.stringify(index),
        "model-1.safetensors": WEIGHTS,
        "model-2.safetensors": WEIGHTS.subarray(7),
        "model-3.safetensors": WEIGHTS.subarray(8),
      },
    });
    const names = await readdir(await resolve());
    expect(names.filter((name) => name.startsWith("model")).sort()).toEqual([
      "model-1.safetensors",
      "model-2.safetensors",
      "model.safetensors.index.json",
    ]);
  });

  it("is fetched without weights for those who need none", async () => {
    const folder = await resolve("owner/name", { weights: false });
    expect((await readdir(folder)).sort()).toEqual(["config.json", "tokenizer.json"]);
    expect((await readdir(await resolve())).length).toBe(3);
  });

  it.each(["config.json", "tokenizer.json"])(
    "without %s is refused before its weights are fetched",
    async (name) => {
      const { [name]: _, ...files } = model.files;
      hub.models.set("owner/name", { files });
      const { code, message } = await failure();
      expect(code).toBe("file-not-found");
      expect(message).toContain("owner/name");
      expect(contentRequests()).toEqual([]);
    },
  );
});

describe("a revision", () => {
  const older: HubModel = { files: { ...model.files, "config.json": '{"older":true}' } };
  beforeEach(() => {
    hub.models.set("owner/name", { ...model, branches: { "refs/pr/1": older, v1: older } });
  });

  it("is a branch, a tag or a commit", async () => {
    const commit = commitOf(older);
    for (const revision of ["v1", "refs/pr/1", commit]) {
      const folder = await resolve(`owner/name@${revision}`);
      expect(folder).toBe(join(repository(), "snapshots", commit));
      expect(await readFile(join(folder, "config.json"), "utf8")).toContain("older");
    }
    expect(await readdir(join(repository(), "refs"))).toEqual(expect.arrayContaining(["v1"]));
    // Equal contents are kept, and were fetched, once.
    await resolve();
    expect(hub.requests.filter(({ host }) => host === "cdn")).toHaveLength(1);
  });

  it("that is a commit in the cache is not asked for again", async () => {
    await resolve(`owner/name@${main}`);
    hub.requests.length = 0;
    await resolve(`owner/name@${main}`);
    expect(hub.requests).toEqual([]);
  });

  it("that is a branch follows it", async () => {
    await resolve();
    hub.models.set("owner/name", older);
    expect(await resolve()).toContain(commitOf(older));
  });

  it("that is unknown is named", async () => {
    const { code, message } = await failure("owner/name@nowhere");
    expect(code).toBe("file-not-found");
    expect(message).toMatch(/owner\/name.*no revision "nowhere"/);
  });
});

describe("an interrupted download", () => {
  it("goes on at once when the connection breaks", async () => {
    hub.faults.cut = { after: 100_000, times: 2 };
    const folder = await resolve();
    await expectContent(folder, "model.safetensors", WEIGHTS);
    const ranges = hub.requests.filter(({ host }) => host === "cdn").map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    expect(ranges[1]).toMatch(/^bytes=\d+-$/);
  });

  it("goes on at the next run where it stopped: only the rest is fetched", async () => {
    const controller = new AbortController();
    const cancelled = failure("owner/name", {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done > 150_000) controller.abort();
      },
    });
    hub.faults.slow = 5;
    expect((await cancelled).code).toBe("cancelled");
    const incomplete = join(repository(), "blobs", `${sha256(WEIGHTS)}.incomplete`);
    const { size } = await stat(incomplete);
    expect(size).toBeGreaterThan(100_000);
    expect(size).toBeLessThan(WEIGHTS.length);

    hub.requests.length = 0;
    const folder = await resolve();
    await expectContent(folder, "model.safetensors", WEIGHTS);
    expect(hub.requests.filter(({ host }) => host === "cdn").map(({ range }) => range)).toEqual([
      `bytes=${size}-`,
    ]);
    await expect(stat(incomplete)).rejects.toThrow("ENOENT");
  });

  it.each([
    ["whole", WEIGHTS],
    ["too long", Buffer.concat([WEIGHTS, WEIGHTS])],
  ])("whose file is %s already ends well", async (_, content) => {
    await mkdir(join(repository(), "blobs"), { recursive: true });
    await writeFile(join(repository(), "blobs", `${sha256(WEIGHTS)}.incomplete`), content);
    await expectContent(await resolve(), "model.safetensors", WEIGHTS);
  });

  it("starts anew where the server knows no ranges", async () => {
    await mkdir(join(repository(), "blobs"), { recursive: true });
    await writeFile(join(repository(), "blobs", `${sha256(WEIGHTS)}.incomplete`), "not the beginning");
    hub.faults.noRanges = true;
    await expectContent(await resolve(), "model.safetensors", WEIGHTS);
  });

  it("fails when a connection brings nothing, and says that the rest is kept", async () => {
    hub.faults.cut = { after: 0, times: 9 };
    const { code, message } = await failure();
    expect(code).toBe("fetch-failed");
    expect(message).toContain("what was fetched is kept");
    expect(hub.faults.cut.times).toBe(8);
  });

  it("is cancelled before it begins", async () => {
    const { code } = await failure("owner/name", { signal: AbortSignal.abort() });
    expect(code).toBe("cancelled");
    expect(hub.requests).toEqual([]);
  });
});

describe("content", () => {
  it("that hashes wrong is refused and not kept", async () => {
    hub.faults.corrupt = true;
    const { code, message } = await failure();
    expect(code).toBe("checkpoint-damaged");
    expect(message).toMatch(/config\.json.*git-sha1.*not kept/);
    expect(await readdir(join(repository(), "blobs"))).toEqual([]);
    expect((await resolve("owner/name", { offline: true }).catch((error) => error)).code).toBe(
      "file-not-found",
    );

    hub.faults.corrupt = false;
    await resolve("owner/name", { weights: false });
    hub.faults.corrupt = true;
    expect((await failure()).message).toMatch(/model\.safetensors.*sha256/);
    expect(
      (await readdir(join(repository(), "blobs"))).filter((name) => name.startsWith(sha256(WEIGHTS))),
    ).toEqual([]);
    hub.faults.corrupt = false;
    await resolve();
  });

  it("of a damaged beginning is refused, and fetched whole the next time", async () => {
    await mkdir(join(repository(), "blobs"), { recursive: true });
    await writeFile(join(repository(), "blobs", `${sha256(WEIGHTS)}.incomplete`), "not the beginning");
    expect((await failure()).code).toBe("checkpoint-damaged");
    await expectContent(await resolve(), "model.safetensors", WEIGHTS);
  });
});

describe("what the hub refuses", () => {
  it.each([
    ["an unknown model", "owner/other", "file-not-found", /no folder owner\/other, and no model .*HF_TOKEN/],
    ["a private model", "owner/private", "file-not-found", /no model .*HF_TOKEN/],
    ["a gated model", "owner/gated", "fetch-failed", /conditions.*owner\/gated.*HF_TOKEN/],
  ])("%s is told with what to do", async (_, name, expected, words) => {
    hub.models.set("owner/private", { ...model, token: TOKEN });
    hub.models.set("owner/gated", { ...model, gated: true });
    const { code, message } = await failure(name);
    expect(code).toBe(expected);
    expect(message).toMatch(words);
  });

  it.each([500, 503, 429, 403])("status %i is told with what to do", async (status) => {
    hub.faults.status = status;
    const { code, message } = await failure();
    expect(code).toBe("fetch-failed");
    expect(message).toContain(`status ${status}`);
  });

  it("an answer that is no hub's is told", async () => {
    hub.faults.status = 200;
    const { code, message } = await failure();
    expect(code).toBe("fetch-failed");
    expect(message).toContain("HF_ENDPOINT");
  });

  it("a hub that cannot be reached is told with the reason", async () => {
    vi.stubEnv("HF_ENDPOINT", nowhere);
    const { code, message } = await failure();
    expect(code).toBe("fetch-failed");
    expect(message).toMatch(/ECONNREFUSED.*--offline/s);
  });
});

describe("the token", () => {
  beforeEach(() => {
    hub.models.set("owner/name", { ...model, token: TOKEN });
    vi.stubEnv("HF_TOKEN", `${TOKEN}\n`);
  });

  it("goes to the hub, not to where it redirects", async () => {
    await resolve();
    const asked = (host: string) => hub.requests.filter((request) => request.host === host);
    expect(asked("hub").length).toBeGreaterThan(3);
    expect(new Set(asked("hub").map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${TOKEN}`]),
    );
    expect(asked("cdn").map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it("is in nothing that is printed, nor is the CDN's signature", async () => {
    const errors = [await failure("owner/other")];
    hub.faults.status = 403;
    errors.push(await failure());
    delete hub.faults.status;
    hub.faults.cut = { after: 0, times: 99 };
    errors.push(await failure());
    hub.faults.cut = { after: 0, times: 0 };
    vi.stubEnv("HF_TOKEN", `${TOKEN}\u0001end`);
    errors.push(await failure());
    expect(errors.map(({ code }) => code)).toEqual([
      "file-not-found",
      "fetch-failed",
      "fetch-failed",
      "option-unsupported",
    ]);
    const printed = [...notices, ...errors.map(({ message }) => message)].join("\n");
    expect(printed).not.toContain(TOKEN);
    expect(printed).not.toContain("secret-of-the-cdn");
  });

  it("that is wrong is told without showing it", async () => {
    vi.stubEnv("HF_TOKEN", "hf_wrong");
    const { code, message } = await failure();
    expect(code).toBe("file-not-found");
    expect(message).toContain("with the HF_TOKEN that is set");
    expect(message).not.toContain("hf_wrong");
  });
});

it.each(["ftp://hub", "not an address", "https://user:password@hub.example"])(
  "refuses %j as HF_ENDPOINT without showing it",
  async (endpoint) => {
    vi.stubEnv("HF_ENDPOINT", endpoint);
    const { code, message } = await failure();
    expect(code).toBe("option-unsupported");
    expect(message).toContain("HF_ENDPOINT");
    expect(message).not.toContain(endpoint);
  },
);

it("a proxy of the environment is gone through", async () => {
  const asked: string[] = [];
  const { hostname, port } = new URL(hub.endpoint);
  const proxy = createProxy().on("connect", ({ url = "" }, client) => {
    asked.push(url);
    // Only the proxy knows the hub's name.
    const [host, at] = url.startsWith("hub.invalid:") ? [hostname, port] : url.split(":");
    const onward = connect(Number(at), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.pipe(client).pipe(onward);
    });
    for (const end of [client, onward]) end.on("error", () => {});
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  try {
    vi.stubEnv("HF_ENDPOINT", "http://hub.invalid");
    for (const name of ["http_proxy", "HTTP_PROXY"])
      vi.stubEnv(name, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    await expectContent(await resolve(), "model.safetensors", WEIGHTS);
    expect(asked).toContain("hub.invalid:80");
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});

describe("offline", () => {
  it.each([
    ["--offline", { offline: true }, ""],
    ["HF_HUB_OFFLINE=1", {}, "1"],
    ["HF_HUB_OFFLINE=yes", {}, "yes"],
  ])("by %s, the cache is used and nothing else", async (_, options, environment) => {
    const folder = await resolve();
    hub.requests.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", environment);
    vi.stubEnv("HF_ENDPOINT", nowhere);
    expect(await resolve("owner/name", options)).toBe(folder);
    expect(hub.requests).toEqual([]);
    expect((await failure("owner/other", options)).code).toBe("file-not-found");
  });

  it("a model that is not there in full is refused", async () => {
    await resolve("owner/name", { weights: false });
    const { code, message } = await failure("owner/name", { offline: true });
    expect(code).toBe("file-not-found");
    expect(message).toMatch(/owner\/name@main.*--offline/);
    await rm(repository(), { recursive: true });
    expect((await failure("owner/name", { offline: true, weights: false })).code).toBe("file-not-found");
    await resolve();
    await rm(join(repository(), "blobs", sha256(WEIGHTS)));
    expect((await failure("owner/name", { offline: true })).code).toBe("file-not-found");
  });

  it("a hub out of reach leaves the cache, with a notice", async () => {
    const folder = await resolve();
    vi.stubEnv("HF_ENDPOINT", nowhere);
    expect(await resolve()).toBe(folder);
    expect(notices.at(-1)).toMatch(/from the cache.*ECONNREFUSED/s);
  });
});

it("a cache that cannot be written is named", async () => {
  await writeFile(join(temporary.path, "hub"), "a file where the folder should be");
  const { code, message } = await failure();
  expect(code).toBe("fetch-failed");
  expect(message).toMatch(/cannot be written.*hub.*HF_HOME/);
});

describe("hostile names", () => {
  it("in an index are refused", async () => {
    const { "model.safetensors": _, ...files } = model.files;
    for (const name of ["../../x", "/etc/passwd", "a/../b", "..", ""]) {
      const index = JSON.stringify({ weight_map: { a: name } });
      hub.models.set("owner/name", { files: { ...files, "model.safetensors.index.json": index } });
      const { code, message } = await failure();
      expect(code).toBe("checkpoint-damaged");
      expect(message).toContain("weight_map");
    }
  });

  it("in the hub's list are not taken", async () => {
    const hostile = { type: "file", size: 3, oid: "../../../../x" };
    hub.faults.entries = [
      { ...hostile, path: "../x", oid: "0".repeat(40) },
      { ...hostile, path: "generation_config.json" },
      { ...hostile, path: "preprocessor_config.json", oid: "0".repeat(40), lfs: { oid: "../../x", size: 3 } },
    ];
    const folder = await resolve();
    expect((await readdir(folder)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  });

  it("as a commit are refused", async () => {
    hub.faults.commit = "../../../x";
    expect((await failure()).code).toBe("fetch-failed");
    expect(await readdir(temporary.path)).toEqual([]);
  });
});

describe("a name", () => {
  it("of an existing folder is that folder, whatever the hub has", async () => {
    const here = process.cwd();
    process.chdir(temporary.path);
    try {
      await mkdir("owner/name", { recursive: true });
      expect(await resolve()).toBe("owner/name");
      expect(hub.requests).toEqual([]);
    } finally {
      process.chdir(here);
    }
  });

  it.each([
    ["no-such-folder", "file-not-found"],
    ["./no-such-folder", "file-not-found"],
    ["/no/such/folder", "file-not-found"],
    ["runs/mine/final", "file-not-found"],
    [fileURLToPath(import.meta.url), "file-not-found"],
    ["owner/na me", "option-unsupported"],
    ["owner/name@", "option-unsupported"],
    ["own--er/name", "option-unsupported"],
  ])("%s fails as %s", async (name, expected) => {
    const { code, message } = await failure(name);
    expect(code).toBe(expected);
    expect(message).toContain(name);
    expect(message).toContain("owner/name[@revision]");
    expect(hub.requests).toEqual([]);
  });
});

describe("original", () => {
  const { "config.json": config, "flax_model.msgpack": flax, "tokenizer.json": tokenizer } = model.files;
  const published: HubModel = { files: { "config.json": config!, "flax_model.msgpack": flax! } };
  beforeEach(() => {
    hub.models.set(ORIGINAL, published);
    hub.models.set("facebook/mbart-large-50", { licence: "mit", files: { "tokenizer.json": tokenizer! } });
  });

  it("is the published model with the tokenizer of the one it was made from", async () => {
    const folder = await resolve("original");
    expect((await readdir(folder)).sort()).toEqual(["config.json", "flax_model.msgpack", "tokenizer.json"]);
    await expectContent(folder, "flax_model.msgpack", flax!);
    expect(await resolve(ORIGINAL)).toBe(folder);
    // The shared cache holds each model as the hub does.
    const snapshot = join(temporary.path, "hub", `models--${ORIGINAL.replace("/", "--")}`, "snapshots");
    expect(await readdir(join(snapshot, commitOf(published)))).toEqual(["config.json", "flax_model.msgpack"]);
  });

  it("says its size, as the hub tells it, and that its licence is not stated", async () => {
    await resolve("original");
    expect(notices.join("\n")).toMatch(
      /clip-vit-base-patch32_mbart-large-50 \(601 kB; its model card states no licence\)/,
    );
  });

  it("works offline, and again after the cache was moved", async () => {
    await resolve("original");
    expect((await readdir(await resolve("original", { offline: true }))).length).toBe(3);
    await rm(join(temporary.path, "hub"), { recursive: true });
    expect((await failure("original", { offline: true })).code).toBe("file-not-found");
    vi.stubEnv("HF_HUB_CACHE", join(temporary.path, "elsewhere"));
    await expectContent(await resolve("original"), "flax_model.msgpack", flax!);
  });
});
