export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** Server-sent events out of a response's body (https://html.spec.whatwg.org/#parsing-an-event-stream), as they come. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop()!;
      for (const block of blocks) yield parseEvent(block);
    }
  } finally {
    await reader.cancel().catch(() => {}); // Tells the server that nobody listens any more.
  }
}

function parseEvent(block: string): ServerEvent {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line)!;
    if (field === "event") event = value!;
    else if (field === "data") data.push(value!);
  }
  return { event, data: data.join("\n") };
}
