export interface Distribution {
  readonly least: number;
  readonly mean: number;
  readonly median: number;
  /** 95 % are not above it. */
  readonly p95: number;
  readonly most: number;
}

/** How often each whole number occurred: exact, in a memory that depends on how different they are, not on how many. */
export class Histogram {
  readonly #counts = new Map<number, number>();
  #total = 0;
  #sum = 0;

  add(value: number): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1);
    this.#total += 1;
    this.#sum += value;
  }

  /** Values with their counts, smallest first. */
  get bins(): [value: number, count: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b);
  }

  /** Every whole number between two with its count, 0 among them; no further than there are values. */
  from(least: number, most: number): [value: number, count: number][] {
    const last = Math.min(most, Math.max(...this.#counts.keys()));
    const all: [number, number][] = [];
    for (let value = least; value <= last; value++) all.push([value, this.#counts.get(value) ?? 0]);
    return all;
  }

  /** Undefined where nothing was added. */
  get distribution(): Distribution | undefined {
    if (this.#total === 0) return undefined;
    const bins = this.bins;
    const quantile = (share: number) => {
      let left = Math.ceil(share * this.#total);
      return bins.find(([, count]) => {
        left -= count;
        return left <= 0;
      })![0];
    };
    return {
      least: bins[0]![0],
      mean: Number((this.#sum / this.#total).toFixed(2)),
      median: quantile(0.5),
      p95: quantile(0.95),
      most: bins.at(-1)![0],
    };
  }
}
