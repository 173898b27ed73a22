import { createHash } from "node:crypto";
import { FirstRows } from "../first-rows.js";

/** Names and pictures of all samples so far, in some hundred bytes each. */
export class Seen {
  readonly #names = new FirstRows();
  readonly #pictures = new FirstRows();
  readonly #files: { readonly path: string; readonly first: number }[] = [];
  #samples = 0;

  /** Samples that follow are this file's. */
  begin(path: string): void {
    this.#files.push({ path, first: this.#samples });
  }

  /**
   * Counts a sample.
   * @param picture digest of its bytes, where there are any
   * @returns where its name and its picture have been before
   */
  add(
    name: string,
    picture: string | undefined,
  ): { readonly name: string | undefined; readonly picture: string | undefined } {
    const number = this.#samples++;
    return {
      name: this.#placeOf(this.#names.firstWith(digestOf(name), number)),
      picture: picture && this.#placeOf(this.#pictures.firstWith(picture, number)),
    };
  }

  get samples(): number {
    return this.#samples;
  }

  #placeOf(number: number | undefined): string | undefined {
    if (number === undefined) return undefined;
    const { path, first } = this.#files.findLast(({ first }) => first <= number)!;
    return `sample ${number - first + 1} of ${path}`;
  }
}

export function digestOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
