import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Captioner } from "../captioner/captioner.js";
import { type CaptionRequest, readCaptionRequest } from "./caption-request.js";
import { type Caller, CaptionService } from "./caption-service.js";
import { keyChecker, RateLimiter } from "./clients.js";
import { closeGently } from "./close-gently.js";
import { streamEvents } from "./event-stream.js";
import { errorAnswer, HttpError } from "./http-error.js";
import type { Log } from "./log.js";
import { type Gauge, Metrics } from "./metrics.js";
import type { ModelFiles } from "./model-files.js";
import { describeModel } from "./models.js";
import { openApiDocument } from "./openapi.js";
import { docsPage, PAGE_STYLE, startPage } from "./pages.js";
import { BodyBudget, readBody } from "./read-body.js";
import { RequestContext } from "./request-context.js";
import { PAGE_POLICY, SECURITY_HEADERS, stylePolicy } from "./security-headers.js";
import type { ServerSettings } from "./settings.js";
import { showPicture } from "./show-picture.js";
import type { StaticFiles } from "./static-files.js";
import { readTranslationRequest, type Translations } from "./translations.js";

export interface AppParts {
  readonly captioner: Captioner;
  /** What --model names; undefined for the bundled model. */
  readonly model: string | undefined;
  readonly settings: ServerSettings;
  readonly version: string;
  readonly log: Log;
  /** The web page, where it was built. */
  readonly files: StaticFiles | undefined;
  /** The model's files, where browsers may have them to run it themselves. */
  readonly modelFiles?: ModelFiles | undefined;
  /** What translates captions into English, where models for that are configured. */
  readonly translations?: Translations | undefined;
}

export type Env = { Bindings: HttpBindings; Variables: { request: RequestContext } };

const ROUTES = [
  "/v1/captions",
  "/v1/captions/stream",
  "/v1/pictures",
  "/v1/translations",
  "/v1/models",
  "/healthz",
  "/readyz",
  "/metrics",
];
/** Answered even while the server is shutting down. */
const PROBES = ["/healthz", "/readyz", "/metrics"];

/** The API and the page, without the sockets. */
export class App {
  readonly #open = new Set<RequestContext>();
  readonly #metrics: Metrics;
  readonly #service: CaptionService;
  readonly #bodies: BodyBudget;
  #draining = false;
  /** What refusals wait for. */
  #held = Promise.resolve();
  #idle = (): void => {};
  readonly fetch: Hono<Env>["fetch"];

  constructor(private readonly parts: AppParts) {
    const { captioner, settings } = parts;
    this.#metrics = new Metrics([
      gauge("lingolens_requests_open", "Requests in hand.", () => this.#open.size),
      gauge(
        "lingolens_pictures_waiting",
        "Pictures let in and not described yet.",
        () => this.#service.pictures,
      ),
      gauge("lingolens_batches_running", "Batches and streams worked on.", () => this.#service.running),
    ]);
    this.#service = new CaptionService(captioner, settings, this.#metrics);
    this.#bodies = new BodyBudget(settings.maxBodies);
    this.fetch = this.#routes().fetch;
  }

  /**
   * Takes no more requests and waits for those in hand; after the deadline, in seconds, they are given up.
   * @returns whether all were answered
   */
  async drain(deadline: number): Promise<boolean> {
    this.#draining = true;
    let answered = true;
    const giveUp = setTimeout(() => {
      answered = false;
      for (const request of this.#open) request.stop(shuttingDown());
    }, deadline * 1000);
    while (this.#open.size > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    clearTimeout(giveUp);
    this.#metrics.close();
    return answered;
  }

  /**
   * Keeps those waiting who are refused from now on: they would come again at once.
   * @returns lets them have their answers
   */
  holdRefusals(): () => void {
    let letGo = (): void => {};
    this.#held = new Promise((resolve) => {
      letGo = resolve;
    });
    return letGo;
  }

  #routes(): Hono<Env> {
    const { settings, files, modelFiles, translations, version } = this.parts;
    const app = new Hono<Env>();
    app.use((c, next) => {
      this.#begin(c);
      return this.#draining ? this.#refuse(c, next) : next();
    });
    if (settings.cors.length > 0)
      app.use(
        cors({
          origin: settings.cors.includes("*") ? "*" : [...settings.cors],
          allowMethods: ["GET", "POST"],
          allowHeaders: ["authorization", "content-type", "x-api-key"],
          exposeHeaders: ["retry-after", "x-request-id"],
          maxAge: 600,
        }),
      );
    const guard = this.#guard();
    app.use("/v1/*", guard);
    app.use("/metrics", guard);

    app.post("/v1/captions", async (c) => {
      const { request, caller } = await this.#read(c);
      return c.json({ results: await this.#service.caption(request, caller) });
    });
    app.post("/v1/captions/stream", async (c) => {
      const { request, caller } = await this.#read(c);
      this.#service.check(request);
      return streamEvents(
        c,
        (emit) => this.#service.stream(request, caller, emit),
        (error) => this.#logFault(error, c),
      );
    });
    app.post("/v1/pictures", async (c) => {
      const { signal } = c.get("request");
      const { type, bytes } = await showPicture(
        c.req.header("content-type"),
        await this.#readBody(c),
        settings,
        signal,
      );
      return c.body(bytes, 200, { "content-type": type, "cache-control": "no-store" });
    });
    app.post("/v1/translations", async (c) => {
      if (!translations)
        throw new HttpError(
          "not-found",
          "This server does not translate; --gloss would say where models are.",
        );
      const request = readTranslationRequest(c.req.header("content-type"), await this.#readBody(c));
      return c.json({ translations: await translations.translate(request, c.get("request").signal) });
    });
    const models = describeModel(this.parts);
    app.get("/v1/models", (c) => c.json(models));
    app.get("/healthz", (c) => c.json({ status: "ok" }));
    app.get("/readyz", (c) => {
      if (this.#draining) throw shuttingDown();
      return c.json({ status: "ready" });
    });
    app.get("/metrics", (c) =>
      c.body(this.#metrics.text(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }),
    );

    const document = openApiDocument({
      version,
      keys: settings.apiKeys.length > 0,
      translations: translations !== undefined,
    });
    const docs = docsPage(document);
    const policy = { "content-security-policy": stylePolicy(PAGE_STYLE) };
    app.get("/openapi.json", (c) => c.json(document));
    app.get("/docs", (c) => c.html(docs, 200, policy));
    if (modelFiles)
      app.get(`/${modelFiles.path}*`, async (c, next) => {
        const name = c.req.path.slice(modelFiles.path.length + 1);
        const size = modelFiles.size(name);
        if (size === undefined) return next();
        const request = c.get("request");
        request.takeTime();
        c.header("content-type", "application/octet-stream");
        c.header("content-length", String(size));
        c.header("cache-control", "no-store"); // Browsers keep them by themselves.
        return c.req.method === "HEAD" ? c.body(null) : c.body(modelFiles.read(name, request.signal));
      });
    if (files)
      app.get("*", async (c, next) => {
        const file = await files.get(c.req.path, c.req.header("accept-encoding"));
        if (!file) return next();
        return c.body(file.body, 200, { ...file.headers, "content-security-policy": PAGE_POLICY });
      });
    else app.get("/", (c) => c.html(startPage(version), 200, policy));

    app.all("*", (c) => {
      const { path } = c.req;
      if (!ROUTES.includes(path))
        throw new HttpError("not-found", "There is nothing at this path; /docs says what there is.");
      const allow = /^\/v1\/(?:captions|pictures|translations)/.test(path) ? "POST" : "GET";
      throw new HttpError("method-not-allowed", `${path} takes ${allow} only.`, { allow });
    });
    app.onError((error, c) => this.#answerError(error, c));
    return app;
  }

  /** What every request begins with. */
  #begin(c: Context<Env>): void {
    const { settings, log } = this.parts;
    const request = new RequestContext(c.env, settings);
    c.set("request", request);
    if (!this.#draining) this.#open.add(request);
    c.env.outgoing.once("close", () => {
      this.#open.delete(request);
      if (this.#open.size === 0) this.#idle();
      const route = ROUTES.includes(c.req.path) ? c.req.path : "other";
      const fields = request.end();
      this.#metrics.requests.add({ route, method: fields.method, status: fields.status });
      this.#metrics.duration.observe(fields.milliseconds / 1000, { route });
      log("request", { ...fields, path: c.req.path.slice(0, 200) });
    });
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.header(name, value);
    c.header("x-request-id", request.id);
  }

  /** What becomes of a request once the server has been told to stop. */
  async #refuse(c: Context<Env>, next: () => Promise<void>): Promise<void> {
    c.header("connection", "close");
    if (PROBES.includes(c.req.path)) return next();
    await this.#held;
    throw shuttingDown();
  }

  /** Keys, pages of other sites, rates. */
  #guard() {
    const { settings } = this.parts;
    const isKey = keyChecker(settings.apiKeys);
    const limiter = new RateLimiter(settings.rateLimit);
    return async (c: Context<Env>, next: () => Promise<void>): Promise<void> => {
      const request = c.get("request");
      if (settings.apiKeys.length > 0 && !isKey(request.key))
        throw new HttpError(
          "unauthorized",
          "An API key is needed: Authorization: Bearer KEY, or X-API-Key.",
          {
            "www-authenticate": "Bearer",
          },
        );
      if (c.req.method === "POST") {
        refuseOtherSites(c, settings.cors);
        limiter.take(request.client);
      }
      await next();
    };
  }

  async #read(c: Context<Env>): Promise<{ request: CaptionRequest; caller: Caller }> {
    const { settings } = this.parts;
    const context = c.get("request");
    const { signal, client } = context;
    this.#service.checkRoom(1);
    const body = await this.#readBody(c);
    const request = readCaptionRequest(c.req.header("content-type"), body, settings);
    context.pictures = request.images.length;
    return { request, caller: { client, signal } };
  }

  async #readBody(c: Context<Env>): Promise<Buffer> {
    const { settings } = this.parts;
    const { signal } = c.get("request");
    const giveBack = this.#bodies.take(c.req.header("content-length"), settings.maxBody);
    c.env.outgoing.once("close", giveBack);
    return readBody(c.env.incoming, { maxBytes: settings.maxBody, timeout: settings.bodyTimeout, signal });
  }

  #answerError(error: Error, c: Context<Env>): Response {
    const { status, headers, error: detail } = errorAnswer(error);
    this.#logFault(error, c);
    const { incoming } = c.env;
    if (!incoming.complete) {
      // What is left of a body is not waited for: Node closes the connection once the answer is out, in our way.
      c.header("connection", "close");
      incoming.resume(); // Else Node would hide from us what comes.
      incoming.socket.destroySoon = () => closeGently(incoming.socket, incoming);
    }
    return c.json({ error: detail }, status as ContentfulStatusCode, headers);
  }

  #logFault(error: unknown, c: Context<Env>): void {
    if (errorAnswer(error).status !== 500) return;
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.parts.log("error", { id: c.get("request").id, message });
  }
}

/**
 * A browser says when a page of another site asks. Such a page could not read the answer, but it could make its
 * visitors' browsers use up a server that only they can reach.
 */
function refuseOtherSites(c: Context<Env>, allowed: readonly string[]): void {
  const site = c.req.header("sec-fetch-site");
  if (site === undefined || site === "same-origin" || site === "none") return;
  const origin = c.req.header("origin") ?? "";
  if (allowed.includes("*") || allowed.includes(origin)) return;
  throw new HttpError(
    "forbidden",
    "Pages of other sites may not use this server; --cors names those that may.",
  );
}

function shuttingDown(): HttpError {
  const headers = { "retry-after": "5" };
  return new HttpError("shutting-down", "The server is shutting down; try again in a moment.", headers);
}

function gauge(name: string, help: string, value: () => number): Gauge {
  return { name, help, value };
}
