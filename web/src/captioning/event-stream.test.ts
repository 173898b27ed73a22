import fc from "fast-check";
import { expect, it } from "vitest";
import { readEvents } from "./event-stream.js";

const text =
  'event: partial\ndata: {"text":"ein Kreis ●"}\n\n: comment\r\n\r\nevent: done\r\ndata:a\r\ndata:  b\r\n\r\nevent: cut';

function bodyOf(chunks: readonly Uint8Array[], onCancel = () => {}): ReadableStream<Uint8Array> {
  const waiting = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const next = waiting.shift();
      if (next) controller.enqueue(next);
      else controller.close();
    },
    cancel: onCancel,
  });
}

it("reads events wherever the network cuts them", async () => {
  const bytes = new TextEncoder().encode(text);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length)), async (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i]!, end));
      const events: unknown[] = [];
      for await (const event of readEvents(bodyOf(chunks))) events.push(event);
      expect(events).toEqual([
        { event: "partial", data: '{"text":"ein Kreis ●"}' },
        { event: "message", data: "" },
        { event: "done", data: "a\n b" },
      ]);
    }),
  );
});

it("tells the server when nobody reads any more", async () => {
  let cancelled = false;
  const event = new TextEncoder().encode("data: 1\n\n");
  const body = bodyOf([event, event, event], () => {
    cancelled = true;
  });
  for await (const { data } of readEvents(body)) {
    expect(data).toBe("1");
    break;
  }
  expect(cancelled).toBe(true);
});
