/** TensorBoard's event files, read as far as tests look at them. */
import { readFile } from "node:fs/promises";
import { BinaryReader, type WireType } from "@bufbuild/protobuf/wire";

export interface ReadEvent {
  readonly step: number;
  readonly version?: string;
  /** Status of a session: 1 where one starts, which voids what was written for this step and later ones before. */
  readonly session?: number;
  readonly tags: readonly string[];
}

export async function readEvents(path: string): Promise<ReadEvent[]> {
  const file = await readFile(path);
  const events: ReadEvent[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    events.push(readEvent(file.subarray(at + 12, at + 12 + length)));
    at += length + 16;
  }
  return events;
}

function readEvent(bytes: Uint8Array): ReadEvent {
  let event: ReadEvent = { step: 0, tags: [] };
  each(bytes, (field, reader) => {
    if (field === 2) event = { ...event, step: Number(reader.int64()) };
    else if (field === 3) event = { ...event, version: reader.string() };
    else if (field === 5) event = { ...event, tags: tagsOf(reader.bytes()) };
    else if (field === 7)
      each(reader.bytes(), (_, status) => {
        event = { ...event, session: status.int32() };
        return true;
      });
    else return false;
    return true;
  });
  return event;
}

function tagsOf(summary: Uint8Array): string[] {
  const tags: string[] = [];
  each(summary, (_, values) => {
    each(values.bytes(), (field, reader) => {
      if (field === 1) tags.push(reader.string());
      return field === 1;
    });
    return true;
  });
  return tags;
}

/** Calls for every field of a message; skips those for which it returns false. */
function each(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type]: [number, WireType] = reader.tag();
    if (!read(field, reader)) reader.skip(type, field);
  }
}
