/** S3 and what speaks like it: objects put and looked at, signed by aws4fetch, sent by undici. */
import { createReadStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AwsV4Signer } from "aws4fetch";
import { Agent, type Dispatcher, request } from "undici";
import { LingolensError, throwIfCancelled } from "../../errors.js";

export interface ObjectStoreSettings {
  /** Such as "https://s3.eu-central-1.amazonaws.com"; buckets are the first part of the path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** What is put: a file, with the digest that the store compares and keeps. */
export interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

type Answer = Pick<Dispatcher.ResponseData, "statusCode" | "headers"> & { readonly text: string };

const ATTEMPTS = 4;
/** Milliseconds before the second attempt; each further one waits twice as long. */
const FIRST_PAUSE = 500;
/** Milliseconds without a byte. */
const PATIENCE = 60_000;
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export class ObjectStore {
  readonly #agent = new Agent({ headersTimeout: PATIENCE, bodyTimeout: PATIENCE });

  constructor(private readonly settings: ObjectStoreSettings) {}

  /** Writes or replaces an object. The store refuses bytes of another digest. */
  async put(key: string, { path, bytes, sha256 }: StoredFile, signal?: AbortSignal): Promise<void> {
    const headers = {
      "content-length": `${bytes}`,
      "x-amz-content-sha256": sha256,
      "x-amz-meta-sha256": sha256,
    };
    const answer = await this.#send("PUT", key, headers, () => createReadStream(path), signal);
    if (answer.statusCode !== 200) throw refused(this.#url(key), answer);
  }

  /** The digest that an object was put with; undefined where there is no object, or one of somebody else's. */
  async digestOf(key: string, signal?: AbortSignal): Promise<string | undefined> {
    const headers = { "x-amz-content-sha256": EMPTY_SHA256 };
    const answer = await this.#send("HEAD", key, headers, () => null, signal);
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode !== 200) throw refused(this.#url(key), answer);
    const digest = answer.headers["x-amz-meta-sha256"];
    return typeof digest === "string" ? digest : undefined;
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  #url(key: string): string {
    const { endpoint, bucket } = this.settings;
    const path = [bucket, ...key.split("/")].map(encodeURIComponent).join("/");
    return `${endpoint.replace(/\/+$/, "")}/${path}`;
  }

  async #send(
    method: "PUT" | "HEAD",
    key: string,
    headers: Record<string, string>,
    body: () => Dispatcher.DispatchOptions["body"],
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const url = this.#url(key);
    const { accessKeyId, secretAccessKey, sessionToken, region } = this.settings;
    for (let attempt = 1; ; attempt++) {
      throwIfCancelled(signal);
      let failure: unknown;
      try {
        // Signed anew each time: a signature is good for some minutes.
        const credentials = { accessKeyId, secretAccessKey, region, ...(sessionToken && { sessionToken }) };
        const signed = await new AwsV4Signer({ ...credentials, service: "s3", method, url, headers }).sign();
        const answer = await request(url, {
          method,
          headers: Object.fromEntries(signed.headers),
          body: body() ?? null,
          dispatcher: this.#agent,
          ...(signal && { signal }),
        });
        const text = await answer.body.text();
        if (attempt === ATTEMPTS || !isPassing(answer.statusCode)) return { ...answer, text };
      } catch (error) {
        throwIfCancelled(signal);
        failure = error;
      }
      if (failure !== undefined && attempt === ATTEMPTS)
        throw new LingolensError(
          "output-unwritable",
          `${url}: ${(failure as Error).message} Is the endpoint right, and the network there?`,
          { cause: failure },
        );
      await sleep(FIRST_PAUSE * 2 ** (attempt - 1), undefined, signal && { signal }).catch(() =>
        throwIfCancelled(signal),
      );
    }
  }
}

function isPassing(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}

function refused(url: string, { statusCode, text }: Answer): LingolensError {
  const [code, message] = ["Code", "Message"].map((tag) => new RegExp(`<${tag}>([^<]*)<`).exec(text)?.[1]);
  const reason = code ? `${code}${message ? `: ${message}` : ""}` : "no reason given";
  return new LingolensError(
    "output-unwritable",
    `${url}: the store answered ${statusCode} (${reason}). Are bucket, region and keys right?`,
  );
}
