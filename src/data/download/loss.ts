/** Why a row has no picture: every row that is asked for ends as a sample or in one of these classes. */
import { type ErrorCode, LingolensError } from "../../errors.js";
import type { FetchFailure } from "../guarded-fetch.js";

/** What is wrong with the bytes that were fetched. */
export type PictureLoss = "not-an-image" | "damaged-image" | "image-bomb" | "too-small";

/** `missing-file`: of a list whose pictures are in a folder. */
export type LossClass = FetchFailure | PictureLoss | "missing-file" | "duplicate";

const CODES: Readonly<Record<PictureLoss, ErrorCode>> = {
  "not-an-image": "unsupported-format",
  "damaged-image": "unreadable-image",
  "image-bomb": "image-too-large",
  "too-small": "unreadable-image",
};

/** Fetched bytes that make no sample. */
export class PictureError extends LingolensError {
  constructor(
    readonly failure: PictureLoss,
    message: string,
    options?: ErrorOptions,
  ) {
    super(CODES[failure], message, options);
  }
}

/** Losses that another attempt may undo: whatever is not the picture's own fault, nor its owner's wish. */
export function isPassing(loss: LossClass): boolean {
  if (loss === "timeout" || loss === "connection" || loss === "dns") return true;
  const status = Number(/^http-(\d+)$/.exec(loss)?.[1]);
  return status >= 500 || status === 408 || status === 425 || status === 429;
}
