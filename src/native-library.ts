import koffi from "koffi";

/** The address of something native. */
export type Pointer = bigint;

/** To be kept while its functions are called: koffi unloads a library whose handle has been collected. */
export type NativeLibrary = ReturnType<typeof koffi.load>;

/**
 * Opens a shared library; null stands for what this process has loaded anyway, such as the C library.
 * @param global whether libraries that are opened later find its symbols. Default false.
 * @throws {Error} where the file is no such library
 */
export function openNativeLibrary(path: string | null, { global = false } = {}): NativeLibrary {
  allowDeepCalls();
  return koffi.load(path, { global });
}

/**
 * koffi runs C functions on stacks of its own: 128 KiB for asynchronous calls, of which one matrix product takes half.
 * It lets this be changed only before the first library is opened, whichever that is.
 */
function allowDeepCalls(): void {
  const size = 4 * 1024 * 1024;
  if (koffi.config().async_stack_size === size) return;
  koffi.config({ sync_stack_size: size, async_stack_size: size });
}
