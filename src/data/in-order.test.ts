import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { inOrder } from "./in-order.js";

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield i;
}

it("gives results in the order of the values, so many worked on at a time", async () => {
  let [running, most] = [0, 0];
  const results: number[] = [];
  for await (const result of inOrder(numbers(20), 4, async (value) => {
    running += 1;
    most = Math.max(most, running);
    await sleep((value * 7) % 5);
    running -= 1;
    return value * value;
  }))
    results.push(result);
  expect(results).toEqual(Array.from({ length: 20 }, (_, i) => i * i));
  expect(most).toBe(4);
});

it("throws the first failure in order, when all that was begun has ended", async () => {
  const ended: number[] = [];
  const failing = async () => {
    for await (const _ of inOrder(numbers(6), 3, async (value) => {
      await sleep(value === 1 ? 20 : 1);
      ended.push(value);
      if (value >= 1) throw new Error(`number ${value}`);
    }));
  };
  await expect(failing()).rejects.toThrow("number 1");
  expect(ended).toContain(1);
  // What fails later, and is never asked for, is nobody's unhandled rejection.
  await sleep(10);
});
