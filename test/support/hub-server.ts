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

export async function startHubServer(): Promise<HubServer> {
  const models: HubServer["models"] = new Map();
  const requests: HubRequest[] = [];
  const faults: HubServer["faults"] = {};
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

  const hub = createServer((request, answer) => {
    record("hub", request);
    if (faults.status) return answer.writeHead(faults.status).end("a page that says so");
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
  const endpoint = await listen(hub, "127.0.0.1");
  return {
    endpoint,
    models,
    requests,
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
