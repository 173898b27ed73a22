/** What went wrong, for programs: stable names that callers may switch on. */
export type ErrorCode =
  | "file-not-found"
  | "already-exists"
  | "upload-failed"
  | "unreadable-image"
  | "image-too-large"
  | "unsupported-format"
  | "fetch-failed"
  | "address-refused"
  | "checkpoint-damaged"
  | "checkpoint-mismatch"
  | "tokenizer-damaged"
  | "config-invalid"
  | "dataset-invalid"
  | "unknown-language"
  | "option-unsupported"
  | "shape-mismatch"
  | "cache-unwritable"
  | "output-unwritable"
  | "engine-unavailable"
  | "engine-failed"
  | "training-diverged"
  | "mpi-unavailable"
  | "ranks-differ"
  | "handle-closed"
  | "out-of-memory"
  | "cancelled";

/**
 * Every error that lingolens raises on purpose. The message says what happened, what was expected, what was
 * found, and what to do about it.
 */
export class LingolensError extends Error {
  override readonly name = "LingolensError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Throws the typed `cancelled` error once the signal has been aborted; to be called between steps of long work. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new LingolensError("cancelled", "The operation was cancelled.", { cause: signal.reason });
}
