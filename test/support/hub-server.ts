/** A small Hugging Face hub on loopback, with the "CDN" that it redirects large files to, and faults to order. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubModel {
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly licence?: string;
  /** Only those with this token may read it. */
  readonly token?: string;
  /** Conditions have to be accepted. */
  readonly gated?: boolean;
  /** Commits of other branches and tags than main. */
  readonly branches?: Readonly<Record<string, HubModel>>;
}

export interface HubRequest {
  readonly host: "hub" | "cdn";
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface HubServer {
  /** For HF_ENDPOINT. */
  readonly endpoint: string;
  readonly models: Map<string, HubModel>;
  /** What was asked for, in order. */
  readonly requests: HubRequest[];
  /** Models that were made by a request, with who may see them. */
  readonly created: Map<string, string>;
  readonly faults: {
    /** The connection breaks after so many bytes of a file's content, so many times. */
    cut?: { readonly after: number; times: number };
    /** The hub answers everything with this status. */
    status?: number;
    /** Content comes with its last byte changed. */
    corrupt?: boolean;
    /** The CDN knows no ranges. */
    noRanges?: boolean;
    /** Milliseconds before each piece of 64 KiB. */
    slow?: number;
    /** Entries that are added to every list of files. */
    entries?: readonly unknown[];
    /** What is said to be the commit. */
    commit?: string;
  };
  close(): Promise<void>;
}

/** Files from this size on count as large: they have a SHA-256 and come from the CDN, as with Git LFS. */
export const LARGE = 10_000;

/** The token that may write models. */
export const WRITE_TOKEN = "hf_may_write";

export async function startHubServer(): Promise<HubServer> {
  const models: HubServer["models"] = new Map();
  const requests: HubRequest[] = [];
  const faults: HubServer["faults"] = {};
  const created: HubServer["created"] = new Map();
  const received = new Map<string, Buffer>();
  const record = (host: "hub" | "cdn", { url = "", headers }: IncomingMessage): void => {
    requests.push({ host, url, range: headers.range, authorization: headers.authorization });
  };

  const cdn = createServer((request, answer) => {
    record("cdn", request);
    const digest = request.url?.split("?")[0]?.slice(1);
    const content = [...models.values()]
      .flatMap((model) => [model, ...Object.values(model.branches ?? {})])
      .flatMap(({ files }) => Object.values(files).map((file) => Buffer.from(file)))
      .find((bytes) => sha256(bytes) === digest);
    if (content) void send(content, request, answer, faults);
    else answer.writeHead(404).end();
  });
  // Another host than the hub's, in name at least.
  const cdnOrigin = await listen(cdn, "localhost");

  let endpoint = "";
  const hub = createServer((request, answer) => {
    record("hub", request);
    if (faults.status) return answer.writeHead(faults.status).end("a page that says so");
    if (request.method !== "GET") return void write(request, answer, { models, created, received, endpoint });
    const refuse = (status: number, code: string) =>
      answer
        .writeHead(status, { "x-error-code": code, "content-type": "application/json" })
        .end(`{"error":"${code}"}`);
    const { pathname } = new URL(request.url ?? "", "http://hub");
    const [, api, name = "", , revision = "", file = ""] =
      /^(\/api\/models)?\/([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.+))?$/.exec(pathname) ?? [];
    const model = models.get(name);
    const { authorization } = request.headers;
    if (!model || (model.token && authorization !== `Bearer ${model.token}`))
      return refuse(401, "RepoNotFound");
    const found = revisions(model).find(([names]) => names.includes(decodeURIComponent(revision)));
    if (!found) return refuse(404, "RevisionNotFound");
    const [[commit = ""], { files, licence, gated }] = found;
    const json = (value: unknown) =>
      answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (pathname.includes("/revision/"))
      return json({
        _id: "1",
        id: name,
        sha: faults.commit ?? commit,
        cardData: licence ? { license: licence } : undefined,
        lastModified: "2021-07-20T00:00:00.000Z",
      });
    if (pathname.includes("/tree/"))
      return json([...Object.entries(files).map(entry), ...(faults.entries ?? [])]);
    if (gated && !authorization) return refuse(401, "GatedRepo");
    const content = files[decodeURIComponent(file)];
    if (api || content === undefined) return refuse(404, "EntryNotFound");
    const bytes = Buffer.from(content);
    answer.setHeader("x-repo-commit", commit);
    if (bytes.length < LARGE) {
      answer.setHeader("etag", `"${gitSha1(bytes)}"`);
      return void send(bytes, request, answer, faults);
    }
    const digest = sha256(bytes);
    answer.setHeader("x-linked-etag", `"${digest}"`);
    answer.setHeader("x-linked-size", bytes.length);
    answer.writeHead(302, { location: `${cdnOrigin}/${digest}?signature=secret-of-the-cdn` }).end();
  });
  endpoint = await listen(hub, "127.0.0.1");
  return {
    endpoint,
    models,
    requests,
    created,
    faults,
    async close() {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      }
    },
  };
}

interface Writing extends Pick<HubServer, "models" | "created" | "endpoint"> {
  /** Large files by their SHA-256, before a commit names them. */
  readonly received: Map<string, Buffer>;
}

/** What changes the hub: making a model, sending large files, and the commit. */
async function write(
  request: IncomingMessage,
  answer: ServerResponse,
  { models, created, received, endpoint }: Writing,
): Promise<void> {
  const { pathname } = new URL(request.url ?? "", endpoint);
  const body = Buffer.concat(await request.toArray());
  const json = (value: unknown, status = 200) =>
    answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  if (pathname.startsWith("/lfs/")) {
    const digest = pathname.slice(5);
    if (sha256(body) !== digest) return void json({ error: "not its digest" }, 400);
    received.set(digest, body);
    return void json({});
  }
  if (request.headers.authorization !== `Bearer ${WRITE_TOKEN}`) return void json({ error: "no" }, 403);
  if (pathname === "/api/repos/create") {
    const { organization, name, visibility } = JSON.parse(body.toString());
    const full = `${organization}/${name}`;
    if (models.has(full)) return void json({ error: "exists" }, 409);
    created.set(full, visibility);
    models.set(full, { files: {}, ...(visibility === "private" && { token: WRITE_TOKEN }) });
    return void json({ url: `${endpoint}/${full}`, id: full });
  }
  const [, name = ""] = /^(?:\/api\/models)?\/([^/]+\/[^/.]+)/.exec(pathname) ?? [];
  const model = models.get(name);
  if (!model) return void json({ error: "unknown" }, 404);
  if (pathname.includes("/preupload/")) {
    const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] };
    return void json({
      files: files.map(({ path, size }) => ({ path, uploadMode: size < LARGE ? "regular" : "lfs" })),
    });
  }
  if (pathname.endsWith("/info/lfs/objects/batch")) {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    const upload = ({ oid }: { oid: string }) => ({ upload: { href: `${endpoint}/lfs/${oid}` } });
    return void json({
      transfer: "basic",
      objects: objects.map((one) => ({ ...one, ...(!received.has(one.oid) && { actions: upload(one) }) })),
    });
  }
  const files = { ...model.files } as Record<string, Uint8Array | string>;
  for (const line of body.toString().split("\n").filter(Boolean)) {
    const { key, value } = JSON.parse(line);
    if (key === "file") files[value.path] = Buffer.from(value.content, "base64");
    if (key === "lfsFile") files[value.path] = received.get(value.oid)!;
  }
  models.set(name, { ...model, files });
  json({ commitOid: commitOf({ files }), commitUrl: `${endpoint}/${name}`, hookOutput: "" });
}

/** The commit that a model's files make, as good as any. */
export function commitOf({ files }: HubModel): string {
  const hash = createHash("sha1");
  for (const [name, content] of Object.entries(files)) hash.update(name).update(content);
  return hash.digest("hex");
}

function revisions(model: HubModel): (readonly [names: readonly string[], model: HubModel])[] {
  const branches = Object.entries({ main: model, ...model.branches });
  return branches.map(([branch, one]) => [[commitOf(one), branch], one]);
}

function entry([path, content]: [string, Uint8Array | string]): unknown {
  const bytes = Buffer.from(content);
  const { length: size } = bytes;
  const lfs = { oid: sha256(bytes), size, pointerSize: 130 };
  return { type: "file", path, size, oid: gitSha1(bytes), ...(size < LARGE ? {} : { lfs }) };
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function gitSha1(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

async function send(
  content: Buffer,
  request: IncomingMessage,
  answer: ServerResponse,
  faults: HubServer["faults"],
): Promise<void> {
  const bytes = Buffer.from(content);
  if (faults.corrupt && bytes.length > 0) bytes[bytes.length - 1]! ^= 1;
  const from = faults.noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const part = bytes.subarray(from);
  if (from > 0) answer.setHeader("content-range", `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
  answer.writeHead(from > 0 ? 206 : 200, { "content-length": part.length });
  const { cut } = faults;
  const cutAt = cut && cut.times > 0 ? cut.after : Number.POSITIVE_INFINITY;
  if (cut && cutAt < part.length) cut.times--;
  for (let at = 0; at < part.length; at += 65536) {
    if (faults.slow) await new Promise((resolve) => setTimeout(resolve, faults.slow));
    const piece = part.subarray(at, Math.min(at + 65536, cutAt));
    if (piece.length > 0) await new Promise((resolve) => answer.write(piece, resolve));
    if (at + 65536 > cutAt) return void request.socket.destroy();
  }
  answer.end();
}

async function listen(server: Server, host: string): Promise<string> {
  server.listen(0, host);
  await once(server, "listening");
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}
