import { LingolensError } from "../errors.js";

/** As many pictures may be bad whatever the limit says: of the first batch, one is a large share. */
const ALWAYS_ALLOWED = 10;

/** Counts pictures that could not be read, names each of them once, and stops the run when they are too many. */
export class SkippedPictures {
  #asked = 0;
  #skipped = 0;
  readonly #named = new Set<string>();

  /**
   * @param limit largest share of pictures that may be skipped, once more than ten were
   * @param onWarning called with a sentence for each picture
   */
  constructor(
    private readonly limit: number,
    private readonly onWarning: (message: string) => void,
  ) {}

  /** A picture was asked for. */
  count(): void {
    this.#asked += 1;
  }

  /** @throws what is not the picture's fault; {LingolensError} with the picture's own code above the limit */
  skip(image: string, error: unknown): void {
    if (!(error instanceof LingolensError) || error.code === "handle-closed") throw error;
    this.#skipped += 1;
    if (this.#skipped > ALWAYS_ALLOWED && this.#skipped > this.limit * this.#asked)
      throw new LingolensError(
        error.code,
        `${this.#skipped} of ${this.#asked} pictures could not be read, more than the share of ${this.limit} that ` +
          `may be skipped (data.skipLimit). The last: ${error.message}`,
        { cause: error },
      );
    if (this.#named.has(image)) return;
    this.#named.add(image);
    this.onWarning(`skipped ${image}, ${this.#skipped} of ${this.#asked} so far: ${error.message}`);
  }
}
