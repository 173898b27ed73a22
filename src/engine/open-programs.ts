import { LingolensError } from "../errors.js";

interface Closable {
  onClose?: () => void;
  close(): Promise<void>;
}

/** The programs of an engine that are open or being compiled, so that it can close them all. */
export class OpenPrograms {
  readonly #open = new Set<Promise<Closable>>();
  #closed = false;

  /** @throws {LingolensError} `handle-closed` after `close`, and what `compile` throws */
  async add<T extends Closable>(compile: () => Promise<T>): Promise<T> {
    if (this.#closed)
      throw new LingolensError("handle-closed", "This engine has been closed; create another.");
    const compiling = compile();
    this.#open.add(compiling);
    try {
      const program = await compiling;
      program.onClose = () => this.#open.delete(compiling);
      return program;
    } catch (error) {
      this.#open.delete(compiling);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closing = [...this.#open].map(async (compiling) =>
      (await compiling.catch(() => undefined))?.close(),
    );
    await Promise.all(closing);
  }
}
