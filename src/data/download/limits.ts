/** How much a download does at a time: requests in all, requests to a host, bytes in memory. */
import { throwIfCancelled } from "../../errors.js";

/** How a piece of work went, as far as its number at a time may be the cause. */
export type Strain =
  /** It ended; well or not, the far side answered. */
  | "none"
  /** Nothing came back in time, which is the far side's fault or that of too many requests. */
  | "unanswered"
  /** Something of ours ran out: sockets, files, the resolver's patience. */
  | "exhausted";

const WINDOW = 64;

/**
 * Lets some work be done at a time, first come first served. The number falls by a third when the system runs out of
 * something and by a tenth when most requests go unanswered, and grows by one for every full round that goes well.
 */
export class AdaptiveLimit {
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #limit: number;
  #reported = 0;
  #unanswered = 0;
  #well = 0;

  /** @param least the number never falls below this, nor below a quarter of the most for want of answers */
  constructor(
    readonly most: number,
    readonly least = Math.min(4, most),
  ) {
    this.#limit = most;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      while (this.#running < this.limit && this.#waiting.length > 0) {
        this.#running += 1;
        this.#waiting.shift()!();
      }
    }
  }

  report(strain: Strain): void {
    if (strain === "exhausted") {
      this.#limit = Math.max(this.least, this.#limit * (2 / 3));
      this.#well = 0;
    } else if (strain === "none") {
      this.#well += 1;
      if (this.#well >= this.limit) {
        this.#limit = Math.min(this.most, this.#limit + 1);
        this.#well = 0;
      }
    } else this.#unanswered += 1;
    this.#reported += 1;
    if (this.#reported < WINDOW) return;
    if (this.#unanswered > WINDOW / 2)
      this.#limit = Math.max(Math.min(this.#limit, Math.max(this.least, this.most / 4)), this.#limit * 0.9);
    this.#reported = 0;
    this.#unanswered = 0;
  }
}

interface Host {
  running: number;
  readonly waiting: (() => void)[];
  /** When the host may be asked again, in milliseconds since 1970. */
  pausedUntil: number;
}

/** Lets so many requests be made to a host at a time. Hosts that nobody asks are forgotten. */
export class HostLimit {
  readonly #hosts = new Map<string, Host>();

  constructor(readonly perHost: number) {}

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    let host = this.#hosts.get(name);
    if (!host) {
      host = { running: 0, waiting: [], pausedUntil: 0 };
      this.#hosts.set(name, host);
    }
    if (host.running >= this.perHost) await new Promise<void>((go) => host.waiting.push(go));
    else host.running += 1;
    try {
      const pause = host.pausedUntil - Date.now();
      if (pause > 0) await new Promise((go) => setTimeout(go, pause));
      return await work();
    } finally {
      const next = host.waiting.shift();
      if (next) next();
      else {
        host.running -= 1;
        if (host.running === 0 && host.pausedUntil <= Date.now()) this.#hosts.delete(name);
      }
    }
  }

  /** Begins no request to a host before so many milliseconds have passed: it asked for that. */
  pause(name: string, milliseconds: number): void {
    const host = this.#hosts.get(name);
    if (host) host.pausedUntil = Math.max(host.pausedUntil, Date.now() + milliseconds);
  }
}

/**
 * Room for bytes. Whoever finds none waits, but for one, who may go on to the end: so all get done, and no more is
 * taken than the room and one whole answer.
 */
export class Room {
  #used = 0;
  #overdraft: object | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(readonly bytes: number) {}

  get used(): number {
    return this.#used;
  }

  lease(): Lease {
    let held = 0;
    const key = {};
    const take = (bytes: number): boolean => {
      if (this.#used + bytes > this.bytes && this.#overdraft !== key) {
        if (this.#overdraft) return false;
        this.#overdraft = key;
      }
      this.#used += bytes;
      held += bytes;
      return true;
    };
    const waitFor = async (bytes: number, signal: AbortSignal | undefined): Promise<void> => {
      while (!take(bytes)) {
        throwIfCancelled(signal);
        await new Promise<void>((go) => {
          const wake = () => {
            this.#waiting.delete(wake);
            signal?.removeEventListener("abort", wake);
            go();
          };
          this.#waiting.add(wake);
          signal?.addEventListener("abort", wake);
        });
      }
    };
    return {
      take: (bytes, signal) => (take(bytes) ? undefined : waitFor(bytes, signal)),
      release: () => {
        this.#used -= held;
        held = 0;
        if (this.#overdraft === key) this.#overdraft = undefined;
        for (const wake of [...this.#waiting]) wake();
      },
    };
  }
}

export interface Lease {
  /** @throws {LingolensError} `cancelled` when the signal aborts while it waits */
  take(bytes: number, signal?: AbortSignal): Promise<void> | undefined;
  /** Gives back all that was taken. */
  release(): void;
}
