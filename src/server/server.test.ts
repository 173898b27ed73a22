import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  metric,
  serverSentEvents,
  type TestServer,
  testServer,
  withStream,
} from "../../test/support/test-server.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { examplePictures } from "../weights/bundled-model.js";

let captioner: Captioner;
let server: TestServer;
let pictures: Buffer[];
beforeAll(async () => {
  captioner = await loadCaptioner();
  server = await testServer(captioner);
  pictures = await Promise.all(examplePictures.map((path) => readFile(path)));
});
afterAll(async () => {
  expect(await server.close()).toBe(true);
  await captioner.close();
});

function form(fields: Readonly<Record<string, string>>, files: readonly number[] = [0]): FormData {
  const data = new FormData();
  for (const i of files)
    data.append("image", new Blob([new Uint8Array(pictures[i]!)]), basename(examplePictures[i]!));
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return data;
}

const post = (path: string, body: unknown, headers: Record<string, string> = {}, url = server.url) =>
  fetch(`${url}${path}`, {
    method: "POST",
    ...(body instanceof FormData
      ? { body, headers }
      : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } }),
  });
const base64 = (i: number) => ({ base64: pictures[i]!.toString("base64") });

describe("POST /v1/captions", () => {
  it("takes a form, and answers with the command line's objects in its order", async () => {
    const answer = await post("/v1/captions", form({ lang: "en,de", beams: "2", maxLength: "32" }, [0, 1]));
    expect(answer.status).toBe(200);
    const direct = await captioner.caption(pictures.slice(0, 2), {
      lang: ["en", "de"],
      beams: 2,
      maxLength: 32,
    });
    const { results } = await answer.json();
    expect(results.map(({ image, lang }: { image: string; lang: string }) => [image, lang])).toEqual([
      ["scene-1.png", "en_XX"],
      ["scene-1.png", "de_DE"],
      ["scene-2.png", "en_XX"],
      ["scene-2.png", "de_DE"],
    ]);
    results.forEach(
      ({ captions }: { captions: { text: string; tokens: number[]; score: number }[] }, i: number) => {
        const expected = direct[i]!;
        if ("error" in expected) throw new Error(expected.error.message);
        expect(captions.map(({ tokens }) => tokens)).toEqual(expected.captions.map(({ tokens }) => tokens));
        expect(captions[0]!.text).toBe(expected.captions[0]!.text);
        expect(captions[0]!.score).toBeCloseTo(expected.captions[0]!.score, 5);
      },
    );
  });

  it("takes JSON with base64, data URLs and names", async () => {
    const images = [
      { ...base64(2), name: "mine.png" },
      { base64: `data:image/png;base64,${base64(2).base64}` },
    ];
    const { results } = await (await post("/v1/captions", { images, lang: "fr", beams: 1 })).json();
    expect(results.map(({ image }: { image: string }) => image)).toEqual(["mine.png", "#2"]);
    expect(results[0].captions).toEqual(results[1].captions);
  });

  it("draws captions", async () => {
    const asked = { images: [base64(0)], sample: true, temperature: 2, seed: 3, numCaptions: 4 };
    const { results } = await (await post("/v1/captions", asked)).json();
    expect(results[0].captions).toHaveLength(4);
    const streamed = await post("/v1/captions/stream", asked);
    const { data } = serverSentEvents(await streamed.text()).find(({ event }) => event === "result")!;
    expect({ ...data, image: "" }).toEqual({ ...results[0], image: "" });
  });

  it("gives alternatives, and attention with the pieces of the text when asked", async () => {
    const plain = await (await post("/v1/captions", { images: [base64(0)] })).json();
    expect(Object.keys(plain.results[0].captions[0])).toEqual(["text", "score", "tokens"]);
    const asked = { images: [base64(0)], numCaptions: 3, attention: true };
    const { results } = await (await post("/v1/captions", asked)).json();
    expect(results[0].captions).toHaveLength(3);
    for (const { text, tokens, attention, pieces } of results[0].captions) {
      expect(attention).toHaveLength(tokens.length - 1);
      expect(pieces).toHaveLength(tokens.length - 1);
      expect(pieces.join("")).toBe(text);
    }
  });

  it("names a failed picture among good ones, and fails where all did", async () => {
    const bad = { base64: Buffer.from("no picture").toString("base64"), name: "bad" };
    const mixed = await post("/v1/captions", { images: [bad, base64(1)], beams: 1 });
    expect(mixed.status).toBe(200);
    const { results } = await mixed.json();
    expect(results[0]).toEqual({
      image: "bad",
      error: { code: "unreadable-image", message: expect.any(String) },
    });
    expect(results[1].captions).toHaveLength(1);
    const failed = await post("/v1/captions", { images: [bad, bad] });
    expect(failed.status).toBe(422);
    expect((await failed.json()).error.code).toBe("unreadable-image");
  });

  it("describes pictures of several requests in one batch", async () => {
    const before = await metric(server.url, "lingolens_batch_pictures_count");
    const worked = await metric(server.url, "process_cpu_seconds_total");
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) => post("/v1/captions", { images: [base64(i % 6)], beams: 1 })),
    );
    const texts = await Promise.all(
      answers.map(async (answer) => (await answer.json()).results[0].captions[0].text),
    );
    expect(new Set(texts.filter((_, i) => i % 6 === 0)).size).toBe(1);
    expect(new Set(texts).size).toBe(6);
    expect((await metric(server.url, "lingolens_batch_pictures_count")) - before).toBeLessThan(16);
    expect(await metric(server.url, "process_cpu_seconds_total")).toBeGreaterThan(worked);
  });
});

describe("POST /v1/captions/stream", () => {
  it("tells captions as they grow, then the results, then the end", async () => {
    const answer = await post("/v1/captions/stream", form({ lang: "en,es", numCaptions: "2" }));
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const events = serverSentEvents(await answer.text());
    const partial = events.filter(({ event, data }) => event === "partial" && data.lang === "es_XX");
    expect(partial.length).toBeGreaterThan(3);
    expect(events.at(-1)).toEqual({ event: "done", data: {} });
    const finals = events.filter(({ event }) => event === "result").map(({ data }) => data);
    const whole = await (await post("/v1/captions", form({ lang: "en,es", numCaptions: "2" }))).json();
    const told = (results: unknown) =>
      JSON.parse(JSON.stringify(results, ["image", "lang", "captions", "text", "tokens"]));
    expect(told(finals)).toEqual(told(whole.results));
  });

  it("makes a failed picture a result, and refuses what is wrong with the request before it begins", async () => {
    const bad = { base64: Buffer.from("no picture").toString("base64") };
    const answer = await post("/v1/captions/stream", { images: [bad, base64(0)], beams: 1 });
    const events = serverSentEvents(await answer.text());
    expect(events).toContainEqual({
      event: "result",
      data: { image: "#1", error: { code: "unreadable-image", message: expect.any(String) } },
    });
    expect(events.at(-1)!.event).toBe("done");
    const refused = await post("/v1/captions/stream", { images: [base64(0)], lang: "xx" });
    expect(refused.status).toBe(400);
    expect((await refused.json()).error.code).toBe("unknown-language");
  });
});

describe("the rest", () => {
  it("tells of the model and of limits", async () => {
    const { models, limits } = await (await fetch(`${server.url}/v1/models`)).json();
    expect(models[0]).toMatchObject({ id: "bundled", bundled: true, imageSize: 96, grid: 12 });
    expect(models[0].languages[0]).toEqual({ code: "en_XX", iso: "en", name: "English" });
    expect(limits.images).toBe(16);
  });

  it("answers every path of the OpenAPI document, whose references all lead somewhere", async () => {
    const text = await (await fetch(`${server.url}/openapi.json`)).text();
    const document = JSON.parse(text);
    expect(document.openapi).toBe("3.1.0");
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty([name!]);
    for (const [path, methods] of Object.entries(document.paths))
      for (const [method, { parameters = [] }] of Object.entries(
        methods as Record<string, { parameters?: { required?: boolean }[] }>,
      )) {
        const { status } = await fetch(server.url + path, { method: method.toUpperCase() });
        const incomplete = parameters.some(({ required }) => required);
        expect(status, path).toBe(method === "post" ? 415 : incomplete ? 400 : 200);
      }
    const options = Object.keys(document.components.schemas.CaptionRequest.properties);
    expect(options).toEqual(expect.arrayContaining(["images", "lang", "numCaptions", "attention", "topP"]));
    expect(options).not.toContain("allowPrivate");
  });

  it("has pages that load nothing from outside, under a policy that lets nothing in", async () => {
    for (const path of ["/", "/docs"]) {
      const answer = await fetch(server.url + path);
      expect(answer.headers.get("content-security-policy")).toMatch(
        /^default-src 'none'.*style-src 'sha256-/,
      );
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      const html = await answer.text();
      expect(html).toContain("/v1/captions");
      expect(html).not.toMatch(/<script|<link|<img|src=|undefined|\[object/);
    }
  });

  it("says what is not there, and what is not meant so", async () => {
    const missing = await fetch(`${server.url}/nothing`);
    expect([missing.status, (await missing.json()).error.code]).toEqual([404, "not-found"]);
    const wrong = await fetch(`${server.url}/v1/captions`);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
  });

  it("logs requests without what is in them", async () => {
    await post(
      "/v1/captions",
      { images: [{ ...base64(0), name: "secret-name.png" }], beams: 1 },
      { "x-api-key": "secret-key" },
    );
    const line = server.events.findLast(({ event }) => event === "request")!;
    expect(line).toMatchObject({ method: "POST", path: "/v1/captions", status: 200, pictures: 1 });
    expect(JSON.stringify(server.events)).not.toMatch(/secret|127\.0\.0\.1/);
  });
});

describe("who may ask", () => {
  it("needs a key where there are keys, for all but probes and pages", async () => {
    const keyed = await testServer(captioner, { apiKeys: ["right-key", "other-key"] });
    const ask = (headers: Record<string, string>) => fetch(`${keyed.url}/v1/models`, { headers });
    for (const headers of [
      {},
      { "x-api-key": "right-ke" },
      { "x-api-key": "right-keyy" },
      { authorization: "Basic right-key" },
    ])
      expect((await ask(headers as Record<string, string>)).status).toBe(401);
    expect((await ask({ authorization: "Bearer right-key" })).status).toBe(200);
    expect((await ask({ "x-api-key": "other-key" })).status).toBe(200);
    expect((await fetch(`${keyed.url}/metrics`)).status).toBe(401);
    for (const path of ["/", "/docs", "/healthz", "/readyz", "/openapi.json"])
      expect((await fetch(keyed.url + path)).status).toBe(200);
    await keyed.close();
  });

  it("lets pages of listed origins in, and of no others", async () => {
    const open = await testServer(captioner, { cors: ["https://page.example"] });
    const from = (origin: string) =>
      post(
        "/v1/captions",
        { images: [base64(0)], beams: 1 },
        { origin, "sec-fetch-site": "cross-site" },
        open.url,
      );
    const listed = await from("https://page.example");
    expect([listed.status, listed.headers.get("access-control-allow-origin")]).toEqual([
      200,
      "https://page.example",
    ]);
    const other = await from("https://other.example");
    expect([other.status, other.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    const preflight = await fetch(`${open.url}/v1/captions`, {
      method: "OPTIONS",
      headers: { origin: "https://page.example", "access-control-request-method": "POST" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toMatch(/content-type/i);
    await open.close();
  });

  it("limits the rate of each client", async () => {
    const limited = await testServer(captioner, { rateLimit: 2, trustProxy: true });
    const ask = (client: string) =>
      post(
        "/v1/captions",
        { images: [base64(0)], beams: 1 },
        { "x-forwarded-for": `1.1.1.1, ${client}` },
        limited.url,
      );
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask("203.0.113.5")).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await ask("203.0.113.5");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(20);
    expect((await ask("203.0.113.6")).status).toBe(200);
    await limited.close();
  });
});

describe("too much, too long, going away", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let slow: Captioner;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await writeTinyCaptioner(join(folder.path, "model"));
    slow = await loadCaptioner({ model: join(folder.path, "model") });
  });
  afterAll(async () => {
    await slow.close();
    await folder.remove();
  });
  /** Captions of some tens of steps, and so of some time. */
  const long = { minLength: 64, maxLength: 64, lang: "all", beams: 8 };

  it("answers 429 where too many pictures wait, and goes on", async () => {
    const small = await testServer(slow, { maxQueue: 3, maxBatch: 1, concurrency: 1 });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post("/v1/captions", { images: [base64(0)], ...long }, {}, small.url)),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(10);
    expect(Number(refused[0]!.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(answers.every(({ status }) => status === 200 || status === 429)).toBe(true);
    expect((await post("/v1/captions", { images: [base64(0)], ...long }, {}, small.url)).status).toBe(200);
    await small.close();
  });

  it("stops at the deadline", async () => {
    const hasty = await testServer(slow, { deadline: 0.05, maxBatch: 1, concurrency: 1 });
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => post("/v1/captions", { images: [base64(0)], ...long }, {}, hasty.url)),
    );
    const late = answers.filter(({ status }) => status === 503);
    expect(late.length).toBeGreaterThan(0);
    expect((await late[0]!.json()).error.code).toBe("deadline-exceeded");
    await hasty.close();
  });

  const DESCRIBED = 'lingolens_pictures_total{outcome="described"}';

  it("stops the work of clients that leave, whether it waits or runs", async () => {
    const own = await testServer(slow, { maxBatch: 1, concurrency: 1 });
    for (const path of ["/v1/captions", "/v1/captions/stream"])
      for (let round = 0; round < 6; round++) {
        const controllers = Array.from({ length: 16 }, () => new AbortController());
        const asked = controllers.map(({ signal }) =>
          fetch(own.url + path, {
            method: "POST",
            body: JSON.stringify({ images: [base64(0)], ...long }),
            headers: { "content-type": "application/json" },
            signal,
          })
            .then(
              (answer) => answer.text(),
              () => {},
            )
            .catch(() => {}),
        );
        await new Promise((resolve) => setTimeout(resolve, 10 + round * 10));
        for (const controller of controllers) controller.abort();
        await Promise.all(asked);
        const described = await metric(own.url, DESCRIBED);
        while (
          (await metric(own.url, "lingolens_pictures_waiting")) +
            (await metric(own.url, "lingolens_batches_running")) >
          0
        );
        expect((await metric(own.url, DESCRIBED)) - described).toBeLessThanOrEqual(1);
      }
    expect((await post("/v1/captions", { images: [base64(0)], beams: 1 }, {}, own.url)).status).toBe(200);
    await own.close();
  });

  it("stops a stream within a step of its client's leaving, and keeps nothing of it", async () => {
    /** Parts of each stream: all that were made, and those made once it had been told to stop. */
    const streams: { parts: number; late: number; finished: boolean }[] = [];
    const watched = withStream(slow, async function* (image, options) {
      const seen = { parts: 0, late: 0, finished: false };
      streams.push(seen);
      for await (const part of slow.stream(image, options)) {
        seen.parts++;
        if (options?.signal?.aborted) seen.late++;
        yield part;
      }
      seen.finished = true;
    });
    const own = await testServer(watched);
    const asked = { images: [base64(0)], ...long, lang: "en" };
    const ROUNDS = 30;
    for (let round = 0; round < ROUNDS; round++) {
      const leaving = new AbortController();
      const answer = await fetch(`${own.url}/v1/captions/stream`, {
        method: "POST",
        body: JSON.stringify(asked),
        headers: { "content-type": "application/json" },
        signal: leaving.signal,
      });
      await answer.body!.getReader().read();
      leaving.abort();
      await vi.waitFor(async () => expect(await metric(own.url, "lingolens_batches_running")).toBe(0));
    }
    expect(streams).toHaveLength(ROUNDS);
    for (const { late, finished } of streams) expect([late <= 1, finished]).toEqual([true, false]);
    expect(await metric(own.url, "lingolens_pictures_waiting")).toBe(0);
    await vi.waitFor(async () => expect(await metric(own.url, "lingolens_requests_open")).toBe(1)); // This one.
    expect(own.events.filter(({ event }) => event === "error")).toEqual([]);
    await own.close();
  });

  it("finishes what was accepted, refuses what comes, and closes", async () => {
    const stopping = await testServer(slow, { maxBatch: 2, concurrency: 1 });
    const accepted = Array.from({ length: 12 }, () =>
      post("/v1/captions", { images: [base64(0)], ...long }, {}, stopping.url),
    );
    while ((await metric(stopping.url, "lingolens_pictures_waiting")) < 8);
    const closed = stopping.close();
    expect((await fetch(`${stopping.url}/readyz`)).status).toBe(503);
    const refused = await post("/v1/captions", { images: [base64(0)] }, {}, stopping.url);
    expect([refused.status, (await refused.json()).error.code]).toEqual([503, "shutting-down"]);
    expect((await fetch(`${stopping.url}/healthz`)).status).toBe(200);
    for (const answer of await Promise.all(accepted)) expect(answer.status).toBe(200);
    expect(await closed).toBe(true);
    await expect(fetch(`${stopping.url}/healthz`)).rejects.toThrow();
  });

  it("cuts nobody off who comes while it closes", async () => {
    const stopping = await testServer(captioner);
    const agent = new Agent({ keepAlive: true, maxSockets: 64 });
    const outcomes = new Set<number | string>();
    const client = async (): Promise<void> => {
      for (let last: number | string = ""; last !== "ECONNREFUSED"; outcomes.add(last)) {
        const sent = request(`${stopping.url}/v1/models`, { agent }).end();
        last = await once(sent, "response").then(
          async ([answer]: IncomingMessage[]) => {
            for await (const _ of answer!);
            return answer!.statusCode!;
          },
          (error: NodeJS.ErrnoException) => error.code!,
        );
      }
    };
    const clients = Array.from({ length: 64 }, client);
    await vi.waitFor(() => expect(outcomes).toContain(200));
    expect(await stopping.close()).toBe(true);
    await Promise.all(clients);
    agent.destroy();
    expect(outcomes).toEqual(new Set([200, 503, "ECONNREFUSED"]));
  });

  it("refuses a request that was on its way when it closed", async () => {
    const stopping = await testServer(slow);
    const { hostname, port } = new URL(stopping.url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    expect((await fetch(`${stopping.url}/healthz`)).status).toBe(200); // So that the server has seen the other, too.
    const closed = stopping.close();
    await vi.waitFor(() => expect(fetch(`${stopping.url}/healthz`)).rejects.toThrow());
    socket.write("GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 503 [\s\S]*shutting-down/);
    expect(await closed).toBe(true);
  });
});
