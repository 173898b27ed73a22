/** Everything that can be set of a server; `src/cli/serve.ts` has an option for each. */
export interface ServerSettings {
  /** Keys of which a client must show one; none asked for where there are none. */
  readonly apiKeys: readonly string[];
  /** Origins whose pages may use the API from a browser, or "*". */
  readonly cors: readonly string[];
  /** Whether X-Forwarded-For tells who the client is: only behind a proxy that sets it. */
  readonly trustProxy: boolean;
  /** Whether URLs may lead to addresses that are not public. */
  readonly allowPrivate: boolean;
  /** Most pictures in a batch. */
  readonly maxBatch: number;
  /** Milliseconds without another picture after which an idle server begins; at most five times as long in all. */
  readonly batchWait: number;
  /** Batches and streams worked on at once. */
  readonly concurrency: number;
  /** Most hypotheses of a batch and of one picture: languages × beams, or captions where sampling. */
  readonly maxRows: number;
  /** Most pictures that wait, and requests at once; those above get 429. */
  readonly maxQueue: number;
  /** Most pictures of a request. */
  readonly maxImages: number;
  /** Most bytes of a request's body, and of a picture that is fetched. */
  readonly maxBody: number;
  /** Most bytes of all bodies that are in memory at once. */
  readonly maxBodies: number;
  /** Most pixels of a picture. */
  readonly maxPixels: number;
  /** Requests a minute and client; 0 for no limit. */
  readonly rateLimit: number;
  /** Seconds in which a body must have come. */
  readonly bodyTimeout: number;
  /** Seconds in which a request must be answered. */
  readonly deadline: number;
  /** Seconds for what was accepted before the server was told to stop. */
  readonly shutdownDeadline: number;
}

export const DEFAULT_SETTINGS: ServerSettings = {
  apiKeys: [],
  cors: [],
  trustProxy: false,
  allowPrivate: false,
  maxBatch: 32,
  batchWait: 4,
  concurrency: 2,
  maxRows: 256,
  maxQueue: 512,
  maxImages: 16,
  maxBody: 20 * 2 ** 20,
  maxBodies: 256 * 2 ** 20,
  maxPixels: 40_000_000,
  rateLimit: 0,
  bodyTimeout: 30,
  deadline: 60,
  shutdownDeadline: 30,
};
