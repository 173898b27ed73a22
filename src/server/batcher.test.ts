import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Batcher } from "./batcher.js";
import { FairQueue } from "./fair-queue.js";

const item = (client: string, kind = "k", rows = 1) => ({ client, kind, rows });

describe("FairQueue", () => {
  it("takes one of each client a round", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    for (let i = 0; i < 100; i++) queue.push(item("many"));
    queue.push(item("one"));
    queue.push(item("two"));
    queue.push(item("two"));
    const clients = queue.take({ items: 6, rows: 99 }).map(({ client }) => client);
    expect(clients).toEqual(["many", "one", "two", "many", "two", "many"]);
    expect(queue.size).toBe(97);
  });

  it("gives the next turn to another client where kinds differ", () => {
    const queue = new FairQueue<ReturnType<typeof item>>();
    for (let i = 0; i < 4; i++) queue.push(item("a", "x"));
    queue.push(item("b", "y"));
    const kinds = [1, 2, 3].map(() =>
      queue
        .take({ items: 2, rows: 9 })
        .map(({ kind }) => kind)
        .join(""),
    );
    expect(kinds).toEqual(["xx", "y", "xx"]);
  });

  it("gives every item once, in batches of one kind within bounds, a client's of a kind in order", () => {
    const pushed = fc.array(
      fc.record({
        client: fc.constantFrom("a", "b", "c"),
        kind: fc.constantFrom("x", "y"),
        removed: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(
        pushed,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 9 }),
        (list, most, rows) => {
          const items = list.map((one, i) => ({ ...one, rows: one.kind === "x" ? 2 : 3, i }));
          const queue = new FairQueue<(typeof items)[number]>();
          for (const one of items) queue.push(one);
          for (const one of items) if (one.removed) expect(queue.remove(one)).toBe(true);
          const taken: typeof items = [];
          while (queue.size > 0) {
            const batch = queue.take({ items: most, rows });
            expect(batch.length).toBeLessThanOrEqual(most);
            if (batch.length > 1)
              expect(batch.reduce((sum, one) => sum + one.rows, 0)).toBeLessThanOrEqual(rows);
            expect(new Set(batch.map(({ kind }) => kind)).size).toBe(1);
            taken.push(...batch);
          }
          expect(taken.toSorted((a, b) => a.i - b.i)).toEqual(items.filter(({ removed }) => !removed));
          for (const client of "abc")
            for (const kind of "xy") {
              const order = taken
                .filter((one) => one.client === client && one.kind === kind)
                .map(({ i }) => i);
              expect(order).toEqual(order.toSorted((a, b) => a - b));
            }
          expect(queue.take({ items: most, rows })).toEqual([]);
        },
      ),
    );
  });
});

describe("Batcher", () => {
  /** Batches wait until they are told to go on. */
  function held(maxBatch = 4, coming = () => 0) {
    const batches: {
      inputs: readonly number[];
      signal: AbortSignal;
      finish: () => void;
      fail: (e: Error) => void;
    }[] = [];
    const batcher = new Batcher<number, number>({
      maxBatch,
      maxRows: 100,
      batchWait: 5,
      concurrency: 1,
      coming,
      run: (inputs, signal) =>
        new Promise((resolve, reject) => {
          batches.push({ inputs, signal, finish: () => resolve(inputs.map((n) => n * 10)), fail: reject });
        }),
    });
    const submit = (input: number, signal = new AbortController().signal) =>
      batcher.submit({ client: "c", kind: "k", rows: 1, input, signal });
    return { batcher, batches, submit };
  }
  const pause = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

  it("gathers what comes within the wait, and what comes while it works", async () => {
    const { batches, submit } = held();
    const first = [submit(1), submit(2)];
    await pause();
    const later = [3, 4, 5, 6, 7].map((n) => submit(n));
    await pause();
    expect(batches.map(({ inputs }) => inputs)).toEqual([[1, 2]]);
    batches[0]!.finish();
    expect(await Promise.all(first)).toEqual([10, 20]);
    await pause();
    expect(batches[1]!.inputs).toEqual([3, 4, 5, 6]);
    batches[1]!.finish();
    await pause();
    batches[2]!.finish();
    expect(await Promise.all(later)).toEqual([30, 40, 50, 60, 70]);
  });

  it("waits for more while more come, and begins nevertheless", async () => {
    const { batches, submit } = held(100);
    const work: Promise<number>[] = [];
    const since = performance.now();
    while (batches.length === 0) {
      work.push(submit(work.length));
      await pause(1);
      expect(performance.now() - since).toBeLessThan(1000);
    }
    expect(batches[0]!.inputs.length).toBeGreaterThan(3);
    for (const one of work) one.catch(() => {});
  });

  describe("of which a batch took a second", () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    async function experienced() {
      vi.useFakeTimers();
      const state = { coming: 0 };
      const { batches, submit } = held(4, () => state.coming);
      const first = submit(0);
      await vi.advanceTimersByTimeAsync(10);
      await vi.advanceTimersByTimeAsync(1000);
      batches[0]!.finish();
      await first;
      return { state, batches, submit };
    }

    it("waits for those who are sure to come", async () => {
      const { state, batches, submit } = await experienced();
      state.coming = 1;
      submit(1);
      await vi.advanceTimersByTimeAsync(80);
      expect(batches).toHaveLength(1);
      state.coming = 0;
      submit(2);
      await vi.advanceTimersByTimeAsync(20);
      expect(batches[1]!.inputs).toEqual([1, 2]);
    });

    it("does not wait for them for ever, nor where it is full", async () => {
      const { state, batches, submit } = await experienced();
      state.coming = 9;
      submit(1);
      await vi.advanceTimersByTimeAsync(120);
      expect(batches[1]!.inputs).toEqual([1]);
      batches[1]!.finish();
      for (const n of [2, 3, 4, 5]) submit(n);
      await vi.advanceTimersByTimeAsync(0);
      expect(batches[2]!.inputs).toEqual([2, 3, 4, 5]);
    });
  });

  it("drops work that is not wanted any more, and stops a batch once nobody wants it", async () => {
    const { batcher, batches, submit } = held(2);
    const clients = Array.from({ length: 3 }, () => new AbortController());
    const all = clients.map(({ signal }, i) => submit(i, signal));
    await pause();
    clients[2]!.abort(new Error("left"));
    await expect(all[2]).rejects.toThrow("left");
    expect(batcher.waiting).toBe(0);
    clients[0]!.abort(new Error("left"));
    await expect(all[0]).rejects.toThrow("left");
    expect(batches[0]!.signal.aborted).toBe(false);
    clients[1]!.abort(new Error("left"));
    await expect(all[1]).rejects.toThrow("left");
    expect(batches[0]!.signal.aborted).toBe(true);
    batches[0]!.fail(new Error("cancelled"));
    await pause();
    expect([batcher.running, batches.length]).toEqual([0, 1]);
    await expect(submit(9, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  });

  it("tells all of a batch that it failed, and goes on", async () => {
    const { batches, submit } = held();
    const failed = [submit(1), submit(2)];
    for (const one of failed) one.catch(() => {});
    await pause();
    batches[0]!.fail(new Error("broken"));
    for (const one of failed) await expect(one).rejects.toThrow("broken");
    const next = submit(3);
    await pause();
    batches[1]!.finish();
    expect(await next).toBe(30);
  });
});
