/** Works on some values at a time, and gives the results in the order of the values. */
export async function* inOrder<Value, Result>(
  values: AsyncIterable<Value>,
  atATime: number,
  work: (value: Value) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const running: Promise<Result>[] = [];
  try {
    for await (const value of values) {
      const result = work(value);
      // One that fails is told of when its turn comes, or not at all after an earlier one.
      result.catch(() => {});
      running.push(result);
      if (running.length >= atATime) yield await running.shift()!;
    }
    while (running.length > 0) yield await running.shift()!;
  } finally {
    await Promise.allSettled(running);
  }
}
