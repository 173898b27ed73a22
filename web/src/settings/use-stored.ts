import { useCallback, useState } from "react";

/** Values that this device remembers, below one name each. */
const PREFIX = "lingolens.";

/**
 * State that outlives the page, where the browser allows it.
 * @param isValid whether what was kept, perhaps by another version of the page, still fits
 */
export function useStored<T>(
  name: string,
  initial: T,
  isValid: (value: unknown) => value is T,
): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => {
    const kept = readStored(name);
    return isValid(kept) ? kept : initial;
  });
  const store = useCallback(
    (next: T) => {
      setValue(next);
      writeStored(name, next);
    },
    [name],
  );
  return [value, store];
}

export function readStored(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? "null");
  } catch {
    return undefined; // Storage is forbidden, or holds something else.
  }
}

/** @returns whether there was room */
export function writeStored(name: string, value: unknown): boolean {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
