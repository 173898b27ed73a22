import { type ErrorCode, LingolensError } from "../errors.js";

/** What only a server has to say; the other codes are the library's. */
export type ServerErrorCode =
  | "bad-request"
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "method-not-allowed"
  | "body-timeout"
  | "body-too-large"
  | "headers-too-large"
  | "unsupported-media-type"
  | "translation-unavailable"
  | "rate-limited"
  | "overloaded"
  | "deadline-exceeded"
  | "shutting-down"
  | "client-left"
  | "internal";

const STATUS_OF_SERVER_CODES = {
  "bad-request": 400,
  unauthorized: 401,
  forbidden: 403,
  "not-found": 404,
  "method-not-allowed": 405,
  "body-timeout": 408,
  "body-too-large": 413,
  "headers-too-large": 431,
  "unsupported-media-type": 415,
  "translation-unavailable": 422,
  "rate-limited": 429,
  overloaded: 429,
  "client-left": 499,
  internal: 500,
  "deadline-exceeded": 503,
  "shutting-down": 503,
} as const satisfies Record<ServerErrorCode, number>;

/** Whatever is not the fault of who asked is not listed, and a 500. */
const STATUS_OF_LIBRARY_CODES: Partial<Record<ErrorCode, number>> = {
  "unknown-language": 400,
  "option-unsupported": 400,
  "shape-mismatch": 400,
  "address-refused": 403,
  "image-too-large": 413,
  "unsupported-format": 415,
  "unreadable-image": 422,
  "fetch-failed": 422,
};

/** An answer that is an error. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;

  constructor(
    readonly code: ServerErrorCode,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = STATUS_OF_SERVER_CODES[code];
  }
}

/** What a client is told of an error. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: { readonly code: string; readonly message: string };
}

/** Faults of ours are not described: their messages may name files and more. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof HttpError) {
    const { status, headers, code, message } = error;
    return { status, headers, error: { code, message } };
  }
  const status = error instanceof LingolensError ? STATUS_OF_LIBRARY_CODES[error.code] : undefined;
  if (status !== undefined) {
    const { code, message } = error as LingolensError;
    return { status, headers: {}, error: { code, message } };
  }
  const message = "The server failed at this request; its log says more.";
  return { status: 500, headers: {}, error: { code: "internal", message } };
}
