/** Locks between processes, those that Python's filelock takes: flock(2), which the system ends with its process. */
import { mkdir, open } from "node:fs/promises";
import { constants } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfCancelled } from "../../errors.js";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Milliseconds between two looks at a lock that somebody holds. */
const PAUSE = 200;

/**
 * Does `work` while no other process holds the lock. Where the system has no flock (Windows, some network drives),
 * it is done without: `work` must not rely on being alone.
 * @param onWait Called once if another process holds it.
 * @throws {LingolensError} `cancelled`, and what `work` throws
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  { signal, onWait }: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void } = {},
): Promise<T> {
  const tryLock = await loadFlock();
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a", 0o664);
  try {
    let told = false;
    while (tryLock(file.fd) === "held") {
      throwIfCancelled(signal);
      if (!told) onWait?.();
      told = true;
      await sleep(PAUSE);
    }
    return await work();
  } finally {
    // Ends the lock with it.
    await file.close();
  }
}

async function loadFlock(): Promise<(descriptor: number) => "taken" | "held"> {
  if (process.platform === "win32") return () => "taken";
  const { default: koffi } = await import("koffi");
  const { openNativeLibrary } = await import("../../native-library.js");
  const flock = openNativeLibrary(null).func("int flock(int, int)");
  return (descriptor) =>
    flock(descriptor, LOCK_EX | LOCK_NB) !== 0 && koffi.errno() === constants.errno.EWOULDBLOCK
      ? "held"
      : "taken";
}
