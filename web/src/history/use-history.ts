import { useCallback, useState } from "react";
import { readStored, writeStored } from "../settings/use-stored.js";

/** A picture that was described here before; the picture itself is not kept. */
export interface Past {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly when: number;
  readonly name: string;
  /** A small JPEG as a data URL. */
  readonly thumbnail: string;
  /** By mBART code: the best caption. */
  readonly captions: Readonly<Record<string, string>>;
}

const NAME = "history";
const MOST = 40;

export interface History {
  readonly past: readonly Past[];
  /** Adds a picture, or renews it. */
  keep(entry: Past): void;
  remove(id: string): void;
  clear(): void;
}

/** What was described on this device, the newest first. */
export function useHistory(): History {
  const [past, setPast] = useState<readonly Past[]>(read);
  const change = useCallback((change: (before: readonly Past[]) => readonly Past[]) => {
    setPast((before) => {
      let after = change(before).slice(0, MOST);
      // Where storage is full, the oldest go.
      while (!writeStored(NAME, after) && after.length > 0) after = after.slice(0, -1);
      return after;
    });
  }, []);
  const keep = useCallback(
    (entry: Past) => change((before) => [entry, ...before.filter(({ id }) => id !== entry.id)]),
    [change],
  );
  const remove = useCallback(
    (id: string) => change((before) => before.filter((one) => one.id !== id)),
    [change],
  );
  const clear = useCallback(() => change(() => []), [change]);
  return { past, keep, remove, clear };
}

function read(): readonly Past[] {
  const kept = readStored(NAME);
  return Array.isArray(kept) ? kept.filter(isPast) : [];
}

function isPast(value: Partial<Past> | null): value is Past {
  return (
    typeof value?.id === "string" &&
    typeof value.when === "number" &&
    typeof value.name === "string" &&
    typeof value.thumbnail === "string" &&
    typeof value.captions === "object"
  );
}
