/**
 * Modules of WebAssembly, written instruction by instruction (WebAssembly core specification 2.0, chapter 5), since for a
 * few loops that is less than a compiler's package would be.
 */

/** Instructions, or a part of a module, as bytes. */
export type Code = readonly number[];
export const code = (...parts: readonly (number | Code)[]): Code => parts.flat();

export const [I32, F32, F64, V128] = [0x7f, 0x7d, 0x7c, 0x7b];

export const get = (local: number): Code => [0x20, local];
export const set = (local: number, value: Code): Code => code(value, 0x21, local);
export const plus = (a: Code, b: Code): Code => code(a, b, 0x6a);
export const advance = (local: number, by: Code): Code => set(local, plus(get(local), by));
/** Runs `body` until the address in `local` has come to the one in `end`; not at all where it is there already. */
export const until = (local: number, end: number, body: Code): Code =>
  code([0x02, 0x40, 0x03, 0x40], get(local), get(end), [0x4f, 0x0d, 1], body, [0x0c, 0, 0x0b, 0x0b]);

/** An integer as a constant: `i32.const`, in signed LEB128. */
export function i32(value: number): Code {
  const bytes = [];
  for (let rest = value; ; rest >>= 7) {
    const low = rest & 127;
    if (rest >= -64 && rest < 64) return [0x41, ...bytes, low];
    bytes.push(low | 128);
  }
}

/** An instruction on vectors: all of its inputs, then its number. */
export const vectors =
  (opcode: number) =>
  (...inputs: Code[]): Code =>
    code(...inputs, 0xfd, leb(opcode));
/** A vector at an address, and the reverse. */
export const load = (address: number, offset = 0): Code => code(get(address), 0xfd, 0x00, 2, offset);
export const store = (address: number, value: Code, offset = 0): Code =>
  code(get(address), value, 0xfd, 0x0b, 1, offset);

/** A function that a module exports; its locals are its parameters, then vectors, then integers of 32 bits. */
export interface WasmFunction {
  readonly parameters: Code;
  /** Types of what it returns. Default: nothing. */
  readonly results?: Code;
  /** How many locals. */
  readonly vectors: number;
  readonly integers?: number;
  readonly body: Code;
}

/**
 * A module's bytes.
 * @param memory what its functions work on: shared memory that is imported as `env.memory`, or the module's own, at first of
 * one page, that it exports as `memory`
 */
export function wasmModule(
  functions: Readonly<Record<string, WasmFunction>>,
  memory: "shared" | "own",
): Uint8Array<ArrayBuffer> {
  const all = Object.values(functions);
  const names = Object.keys(functions).map((name, i) => code(text(name), [0, i]));
  const types = all.map(({ parameters, results = [] }) =>
    code(0x60, list(parameters.map((type) => [type])), list(results.map((type) => [type]))),
  );
  const bodies = all.map(({ vectors, integers = 0, body }) => {
    const content = code([2, ...leb(vectors), V128, ...leb(integers), I32], body, 0x0b);
    return code(leb(content.length), content);
  });
  const isShared = memory === "shared";
  const imported = code(text("env"), text("memory"), [0x02, 0x03, 1], leb(65_536));
  return Uint8Array.from(
    code(
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, list(types)),
      isShared ? section(2, list([imported])) : [],
      section(3, list(all.map((_, i) => [i]))),
      isShared ? [] : section(5, list([[0, 1]])),
      section(7, list(isShared ? names : [...names, code(text("memory"), [2, 0])])),
      section(10, list(bodies)),
    ),
  );
}

const list = (items: readonly Code[]): Code => code(leb(items.length), ...items);
const section = (id: number, content: Code): Code => code(id, leb(content.length), content);
const text = (value: string): Code => code(leb(value.length), [...new TextEncoder().encode(value)]);

/** An unsigned number as LEB128. */
export function leb(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
