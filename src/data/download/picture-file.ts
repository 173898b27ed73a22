import { readFile, stat } from "node:fs/promises";
import { LingolensError } from "../../errors.js";
import { pathWithin } from "../formats/picture-path.js";
import { FetchError } from "../guarded-fetch.js";
import type { FetchedPicture } from "./fetch-picture.js";

/** A picture that the list names and the folder does not have. */
export class MissingFileError extends LingolensError {
  readonly failure = "missing-file";

  constructor(message: string, options?: ErrorOptions) {
    super("file-not-found", message, options);
  }
}

/**
 * A picture of a list whose pictures lie in a folder, as if it had been fetched.
 * @throws {MissingFileError}; {FetchError} `too-large`; {LingolensError} `dataset-invalid` for a path that leaves the
 * folder
 */
export async function readPictureFile(
  folder: string,
  image: string,
  maxBytes: number,
): Promise<FetchedPicture> {
  const path = pathWithin(folder, image, folder);
  try {
    const { size } = await stat(path);
    if (size > maxBytes)
      throw new FetchError("too-large", `The file has ${size} bytes; at most ${maxBytes} are read.`);
    return { bytes: await readFile(path), release() {} };
  } catch (error) {
    if (error instanceof FetchError) throw error;
    throw new MissingFileError(`The file cannot be read: ${(error as Error).message}.`, { cause: error });
  }
}
