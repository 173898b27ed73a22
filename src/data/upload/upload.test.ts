import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ObjectStore } from "./object-store.js";
import { type UploadOptions, uploadFolder } from "./upload.js";

const KEYS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret/key+example" };
const REGION = "eu-central-1";

let folder: string;
let server: Server;
let store: ObjectStore;
let objects: Map<string, { bytes: Buffer; sha256: string }>;
/** Keys in the order in which they were put. */
let puts: string[];
/** What becomes of a request before it is answered: a status, or a connection that is broken. */
let trouble: (request: IncomingMessage) => number | "break" | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-upload-"));
  objects = new Map();
  puts = [];
  trouble = () => undefined;
  server = createServer(async (request, answer) => {
    const body = await buffer(request);
    const problem = trouble(request);
    if (problem === "break") return request.socket.destroy();
    if (problem !== undefined) return answer.writeHead(problem).end();
    const sha256 = createHash("sha256").update(body).digest("hex");
    if (!isSignedRight(request) || request.headers["x-amz-content-sha256"] !== sha256)
      return answer
        .writeHead(403)
        .end("<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>");
    const key = decodeURIComponent(request.url!);
    if (request.method === "PUT") {
      objects.set(key, { bytes: body, sha256: `${request.headers["x-amz-meta-sha256"]}` });
      puts.push(key);
      return answer.end();
    }
    const found = objects.get(key);
    if (!found) return answer.writeHead(404).end();
    answer.writeHead(200, { "x-amz-meta-sha256": found.sha256 }).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  store = storeWith(KEYS);
});
afterEach(async () => {
  await store.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

function storeWith(keys: typeof KEYS): ObjectStore {
  const { port } = server.address() as AddressInfo;
  return new ObjectStore({ ...keys, endpoint: `http://127.0.0.1:${port}`, region: REGION, bucket: "bucket" });
}

/** Signature Version 4, from its description: what was signed is what came. */
function isSignedRight({ method, url, headers }: IncomingMessage): boolean {
  const pattern = /Credential=([^,]+), SignedHeaders=([^,]+), Signature=(\w+)/;
  const [, credential, names, signature] = pattern.exec(headers.authorization ?? "") ?? [];
  if (!credential || !names) return false;
  const [key, date, region, service] = credential.split("/") as [string, string, string, string];
  const lines = names.split(";").map((name) => `${name}:${headers[name]}`);
  const canonical = [method, url, "", ...lines, "", names, headers["x-amz-content-sha256"]].join("\n");
  const digest = createHash("sha256").update(canonical).digest("hex");
  const scope = [date, region, service, "aws4_request"];
  const toSign = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope.join("/"), digest].join("\n");
  const hmac = (secret: string | Buffer, text: string) => createHmac("sha256", secret).update(text).digest();
  const signing = scope.reduce<string | Buffer>(hmac, `AWS4${KEYS.secretAccessKey}`);
  return key === KEYS.accessKeyId && region === REGION && hmac(signing, toSign).toString("hex") === signature;
}

async function writeFiles(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), `content of ${name}`);
  }
}

const upload = (options: Partial<UploadOptions> = {}) =>
  uploadFolder({
    input: folder,
    store,
    prefix: "a b/",
    task: { taskIndex: 0, taskCount: 1 },
    ...options,
  });

const SHARDS = ["00000", "00001", "00002"].flatMap((shard) => [
  `${shard}.done.json`,
  `${shard}.parquet`,
  `${shard}.tar`,
  `${shard}_stats.json`,
]);

describe("uploadFolder", () => {
  it("sends what is finished, markers last, and nothing twice", async () => {
    await writeFiles([...SHARDS, "train/é+1.tar", "train.tsv"]);
    await writeFiles([".tmp-00003/x", "00003.next/y", "parts/00000.done.json", "a.lock", ".pack.lock"]);
    const files = SHARDS.length + 2;
    expect(await upload()).toMatchObject({ files, sent: files });
    expect([...objects.keys()].sort()).toEqual(
      [...SHARDS, "train/é+1.tar", "train.tsv"].map((name) => `/bucket/a b/${name}`).sort(),
    );
    expect(objects.get("/bucket/a b/00001.tar")!.bytes.toString()).toBe("content of 00001.tar");
    expect(puts.slice(-3).every((key) => key.endsWith(".done.json"))).toBe(true);
    expect(await upload()).toEqual({ files, sent: 0, bytes: 0 });
    await writeFile(join(folder, "00001.tar"), "changed");
    expect(await upload()).toEqual({ files, sent: 1, bytes: 7 });
    expect(objects.get("/bucket/a b/00001.tar")!.bytes.toString()).toBe("changed");
  });

  it("is shared by tasks, a shard and its marker by one", async () => {
    await writeFiles(SHARDS);
    const task = async (taskIndex: number) => {
      const before = puts.length;
      await upload({ task: { taskIndex, taskCount: 2 } });
      return new Set(puts.slice(before).map((key) => /\d{5}/.exec(key)![0]));
    };
    const [first, second] = [await task(0), await task(1)];
    expect([...first].filter((shard) => second.has(shard))).toEqual([]);
    expect(puts.length).toBe(SHARDS.length);
  });

  it("tries again after errors that pass, and goes on where it was stopped", async () => {
    await writeFiles(SHARDS);
    const tried = new Set<string>();
    trouble = ({ method, url }) => {
      const isFirst = !tried.has(`${method} ${url}`);
      tried.add(`${method} ${url}`);
      if (!isFirst) return undefined;
      return url!.includes("00000.tar") ? 503 : url!.includes("00001.tar") ? "break" : undefined;
    };
    expect(await upload()).toMatchObject({ sent: SHARDS.length });

    objects.clear();
    trouble = ({ url }) => (url!.includes("00002.tar") ? 400 : undefined);
    await expect(upload()).rejects.toMatchObject({ code: "output-unwritable" });
    expect([...objects.keys()].some((key) => key.endsWith(".done.json"))).toBe(false);
    trouble = () => undefined;
    const { sent } = await upload();
    expect(sent).toBeGreaterThan(0);
    expect(objects.size).toBe(SHARDS.length);
  });

  it("says what a store says that refuses", async () => {
    await writeFiles(["00000.tar"]);
    const stranger = storeWith({ ...KEYS, secretAccessKey: "another" });
    await expect(
      stranger.put("x", { path: join(folder, "00000.tar"), bytes: 20, sha256: "0" }),
    ).rejects.toThrow(/answered 403 \(SignatureDoesNotMatch: No\.\)/);
    await stranger.close();
    await expect(upload({ input: join(folder, "none") })).rejects.toMatchObject({ code: "file-not-found" });
  });
});
