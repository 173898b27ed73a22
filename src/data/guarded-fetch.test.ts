import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import type { Dispatcher } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LingolensError } from "../errors.js";
import { FetchAgent, FetchError, type FetchOptions, guardedFetch } from "./guarded-fetch.js";

const PICTURE = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));

/** Where `/to-inside` leads, and how often somebody went there. */
let inside = "";
let reached = 0;

const routes: Record<string, RequestListener> = {
  "/picture": (_, answer) => answer.setHeader("x-robots-tag", "noai").end(PICTURE),
  "/gzip": (_, answer) => answer.setHeader("content-encoding", "gzip").end(gzipSync(PICTURE)),
  "/gzip-bomb": (_, answer) =>
    answer.setHeader("content-encoding", "gzip").end(gzipSync(Buffer.alloc(5_000_000))),
  "/gzip-broken": (_, answer) =>
    answer.setHeader("content-encoding", "gzip").end(gzipSync(PICTURE).subarray(0, 30)),
  "/hop": (_, answer) => answer.writeHead(302, { location: "/picture" }).end("moved"),
  "/loop": (_, answer) => answer.writeHead(307, { location: "/loop" }).end(),
  "/to-file": (_, answer) => answer.writeHead(301, { location: "file:///etc/passwd" }).end(),
  "/to-inside": (_, answer) => answer.writeHead(302, { location: `${inside}/inside` }).end(),
  "/inside": (_, answer) => {
    reached++;
    answer.end(PICTURE);
  },
  "/no-location": (_, answer) => answer.writeHead(302).end(),
  "/broken-off": (request, answer) => {
    answer.writeHead(200, { "content-length": "100000" }).write("begin");
    setTimeout(() => request.socket.destroy(), 50);
  },
  "/stalls": (_, answer) => void answer.writeHead(200).write("begin"),
  "/silent": () => {},
  "/endless": (_, answer) => {
    const write = () => {
      while (answer.write(Buffer.alloc(65536)));
    };
    answer.on("drain", write);
    write();
  },
  "/agent": (request, answer) => answer.end(request.headers["user-agent"]),
};

let server: Server;
let base: string;

beforeAll(async () => {
  server = createServer((request, answer) => {
    const route = routes[request.url ?? ""];
    if (route) route(request, answer);
    else answer.writeHead(404).end("<html>not here</html>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function failureOf(url: string, options: FetchOptions = {}): Promise<FetchError> {
  try {
    await guardedFetch(url, options);
  } catch (error) {
    expect(error).toBeInstanceOf(FetchError);
    expect((error as Error).message).not.toContain("\n");
    return error as FetchError;
  }
  throw new Error(`${url} was fetched`);
}

const local = { allowPrivate: true };

describe("guardedFetch", () => {
  it("gets the bytes and headers", async () => {
    const fetched = await guardedFetch(`${base}/picture`, local);
    expect(Buffer.from(fetched.bytes).equals(PICTURE)).toBe(true);
    expect(fetched.headers["x-robots-tag"]).toBe("noai");
  });

  it("decompresses", async () => {
    const fetched = await guardedFetch(`${base}/gzip`, local);
    expect(Buffer.from(fetched.bytes).equals(PICTURE)).toBe(true);
  });

  it("follows redirects and tells where they led", async () => {
    const fetched = await guardedFetch(`${base}/hop`, local);
    expect(fetched.url).toBe(`${base}/picture`);
    expect(fetched.bytes).toHaveLength(PICTURE.length);
  });

  it("names itself", async () => {
    const { bytes } = await guardedFetch(`${base}/agent`, { ...local, userAgent: "tester" });
    expect(Buffer.from(bytes).toString()).toBe("tester");
  });

  it.each([
    ["/missing", "http-404", {}],
    ["/no-location", "http-302", {}],
    ["/loop", "redirects", {}],
    ["/hop", "redirects", { maxRedirects: 0 }],
    ["/to-file", "bad-url", {}],
    ["/picture", "too-large", { maxBytes: 4999 }],
    ["/endless", "too-large", { maxBytes: 1_000_000 }],
    ["/gzip-bomb", "too-large", { maxBytes: 1_000_000 }],
    ["/gzip-broken", "connection", {}],
    ["/broken-off", "connection", {}],
    ["/stalls", "timeout", { deadline: 0.3 }],
    ["/silent", "timeout", { deadline: 0.3 }],
  ] as const)("%s fails as %s", async (path, failure, options) => {
    const error = await failureOf(base + path, { ...local, ...options });
    expect(error.failure).toBe(failure);
    expect(error.code).toBe("fetch-failed");
  });

  it.each([
    "ftp://example.com/a.jpg",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
    "a.jpg",
    "http://",
    "",
  ])("refuses the URL %j as bad-url", async (url) => {
    expect((await failureOf(url)).failure).toBe("bad-url");
  });

  it("tells a closed port and an unknown name apart", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, "close");
    expect((await failureOf(`http://127.0.0.1:${port}/`, local)).failure).toBe("connection");
    expect((await failureOf("http://no-such-host.invalid/")).failure).toBe("dns");
  });

  it("cancels when the caller's signal aborts", async () => {
    const controller = new AbortController();
    const pending = guardedFetch(`${base}/stalls`, { ...local, signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(pending).rejects.toMatchObject({ code: "cancelled" });
    await expect(guardedFetch(`${base}/picture`, { ...local, signal: controller.signal })).rejects.toThrow(
      LingolensError,
    );
  });

  it("keeps messages short for long URLs", async () => {
    const error = await failureOf(`${base}/${"x".repeat(5000)}`, local);
    expect(error.message.length).toBeLessThan(400);
  });
});

describe("guardedFetch without allowPrivate", () => {
  it.each(["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]"])(
    "refuses our own server spelt %s",
    async (host) => {
      const error = await failureOf(`${base.replace("127.0.0.1", host)}/picture`);
      expect(error.failure).toBe("address-refused");
      expect(error.code).toBe("address-refused");
    },
  );

  /** Our server plays a site on the public Internet; every other host is asked as ever. */
  class OurSiteIsPublic extends FetchAgent {
    override dispatcher(allowPrivate: boolean): Dispatcher {
      const open = super.dispatcher(true);
      return super
        .dispatcher(allowPrivate)
        .compose(
          (dispatch) => (options, handler) =>
            `${options.origin}` === "http://site.example"
              ? open.dispatch({ ...options, origin: base }, handler)
              : dispatch(options, handler),
        );
    }
  }

  it.each(["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])(
    "refuses a redirect of a public site to our own server spelt %s",
    async (host) => {
      const agent = new OurSiteIsPublic();
      inside = base.replace("127.0.0.1", host);
      const asked = reached;
      expect((await guardedFetch("http://site.example/hop", { agent })).bytes).toHaveLength(PICTURE.length);
      const error = await failureOf("http://site.example/to-inside", { agent });
      expect([error.failure, reached]).toEqual(["address-refused", asked]);
      await agent.close();
    },
  );

  it("refuses a name that resolves to a private address, as the connection is opened", async () => {
    const error = await failureOf(`${base.replace("127.0.0.1", "localhost")}/picture`);
    expect(error.failure).toBe("address-refused");
    const again = await guardedFetch(`${base.replace("127.0.0.1", "localhost")}/picture`, local);
    expect(again.bytes).toHaveLength(PICTURE.length);
  });
});
