import { expect, it } from "vitest";
import { FloatPool } from "./float-pool.js";

it("hands out again what was given back, whole or in part, and nothing twice", () => {
  const pool = new FloatPool();
  const [first, second] = [pool.take(5), pool.take(8)];
  expect([first.length, second.length]).toEqual([8, 8]);
  pool.give(first.subarray(0, 5));
  pool.give(second);
  const again = [pool.take(7), pool.take(6)].map(({ buffer }) => buffer);
  expect(new Set(again)).toEqual(new Set([first.buffer, second.buffer]));
  expect(again).not.toContain(pool.take(8).buffer);
});

it("keeps no more than it may", () => {
  const pool = new FloatPool(40);
  const [first, second] = [pool.take(8), pool.take(8)];
  pool.give(first);
  pool.give(second);
  expect(pool.take(8).buffer).toBe(first.buffer);
  expect(pool.take(8).buffer).not.toBe(second.buffer);
});
