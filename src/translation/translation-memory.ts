/** What was translated lately: captions repeat, and each is translated once. */
export class TranslationMemory<Translation> {
  readonly #entries = new Map<string, Translation>();

  /** @param most texts that are remembered */
  constructor(private readonly most: number) {}

  get(text: string): Translation | undefined {
    const found = this.#entries.get(text);
    if (found !== undefined) this.set(text, found);
    return found;
  }

  /** Forgets what has not been asked for the longest, where there is no room. */
  set(text: string, translation: Translation): void {
    this.#entries.delete(text);
    this.#entries.set(text, translation);
    if (this.#entries.size > this.most) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
