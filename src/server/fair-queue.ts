/** What waits: whose it is, what it can share a batch with, and how much of a batch it takes. */
export interface Queued {
  readonly client: string;
  /** Items of one kind may be worked on together. */
  readonly kind: string;
  /** Above 0. */
  readonly rows: number;
}

/**
 * Waiting items, handed out in batches fairly between clients: each in turn gives one, so that who sends a thousand
 * pictures does not keep off who sends one.
 */
export class FairQueue<T extends Queued> {
  /** Items by client; the client whose turn it is stands first. */
  readonly #clients = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const items = this.#clients.get(item.client);
    if (items) items.push(item);
    else this.#clients.set(item.client, [item]);
    this.#size++;
  }

  /** Takes an item out; false where it is not waiting. */
  remove(item: T): boolean {
    const items = this.#clients.get(item.client);
    const place = items?.indexOf(item) ?? -1;
    if (place < 0) return false;
    this.#takeAt(items!, place);
    return true;
  }

  /**
   * The next batch: the first item of the client whose turn it is, and others of its kind, one a client and round.
   * Its client's next turn is behind all others'. The first item is taken whatever its rows.
   */
  take(most: { readonly items: number; readonly rows: number }): T[] {
    const [first] = this.#clients;
    if (!first) return [];
    const [client, items] = first;
    const { kind } = items[0]!;
    this.#clients.delete(client);
    this.#clients.set(client, items);
    const batch = [this.#takeAt(items, 0)];
    let rows = batch[0]!.rows;
    for (let found = true; found; ) {
      found = false;
      // Of equal kind are equal rows, so what does not fit now never does.
      for (const others of [...this.#clients.values()]) {
        if (batch.length >= most.items) return batch;
        const place = others.findIndex((item) => item.kind === kind && rows + item.rows <= most.rows);
        if (place < 0) continue;
        const item = this.#takeAt(others, place);
        batch.push(item);
        rows += item.rows;
        found = true;
      }
    }
    return batch;
  }

  #takeAt(items: T[], place: number): T {
    const [item] = items.splice(place, 1);
    this.#size--;
    if (items.length === 0) this.#clients.delete(item!.client);
    return item!;
  }
}
