/**
 * The loops of training over large arrays in WebAssembly, four numbers at a time: the same operations in the same order as
 * their JavaScript, with the same bits, in a fraction of the time. Plain JavaScript has no such vectors.
 *
 * The module is written here, instruction by instruction (WebAssembly core specification 2.0, chapter 5), since that is
 * less than a compiler's package would be.
 */

/** Exports of the module; they take byte addresses in its memory and work on whole vectors. */
export interface WasmLoops {
  /** AdamW over the parameters from `parameters` to `end`; see `adamWLoop`. */
  adamW(
    parameters: number,
    gradients: number,
    mean: number,
    square: number,
    end: number,
    ...numbers: number[]
  ): void;
  /** The same, which writes the new parameters to `rounded`, too, in bf16. */
  adamWRounded(
    parameters: number,
    gradients: number,
    mean: number,
    square: number,
    rounded: number,
    end: number,
    ...numbers: number[]
  ): void;
  /** Σ x² from `x` to `end`, two sums of each quarter at a time. */
  squares(x: number, end: number): number;
  /** The numbers from `x` to `end`, to `rounded` in bf16; see `roundNumbers`. */
  round(x: number, rounded: number, end: number): void;
}

/** Elements that all loops can end after. */
export const VECTOR = 32;

let compiled: WebAssembly.Module | undefined;

/** The module, compiled once; it imports the memory that it works on as `env.memory`. */
export function wasmLoops(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(moduleBytes());
  return compiled;
}

type Code = readonly number[];
const code = (...parts: readonly (number | Code)[]): Code => parts.flat();

const [I32, F32, F64, V128] = [0x7f, 0x7d, 0x7c, 0x7b];

const get = (local: number): Code => [0x20, local];
const set = (local: number, value: Code): Code => code(value, 0x21, local);
const advance = (local: number, bytes: number): Code => set(local, code(get(local), 0x41, bytes, 0x6a));
/** Runs `body` until the address in `local` has come to the one in `end`; not at all where it is there already. */
const until = (local: number, end: number, body: Code): Code =>
  code([0x02, 0x40, 0x03, 0x40], get(local), get(end), [0x4f, 0x0d, 1], body, [0x0c, 0, 0x0b, 0x0b]);

/** An instruction on vectors: all of its inputs, then its number as LEB128. */
const vectors =
  (opcode: number) =>
  (...inputs: Code[]): Code =>
    code(...inputs, 0xfd, leb(opcode));
/** Four float32 at an address, and the reverse. */
const load = (address: number, offset = 0): Code => code(get(address), 0xfd, 0x00, 2, offset);
const store = (address: number, value: Code, offset = 0): Code =>
  code(get(address), value, 0xfd, 0x0b, 1, offset);
const splat = vectors(0x13);
const [sqrt, add, subtract, multiply, divide] = [
  vectors(0xe3),
  vectors(0xe4),
  vectors(0xe5),
  vectors(0xe6),
  vectors(0xe7),
];

/** The numbers of `adamWLoop`, in its order; each is a parameter of type f32 and has a vector of itself. */
const NUMBERS = 10;

/** Eight parameters at a time. @param rounds whether there are copies in bf16 */
function adamWBody(rounds: boolean): Code {
  const [parameters, gradients, mean, square] = [0, 1, 2, 3] as const;
  const rounded = 4;
  const end = rounds ? 5 : 4;
  const firstNumber = end + 1;
  const firstVector = firstNumber + NUMBERS;
  const [scale, beta1, rest1, beta2, rest2, epsilon, decay, rate, correctMean, correctSquare] = Array.from(
    { length: NUMBERS },
    (_, i) => get(firstVector + i),
  ) as [Code, Code, Code, Code, Code, Code, Code, Code, Code, Code];
  const [g, m, v, low, high] = [0, 1, 2, 3, 4].map((i) => firstVector + NUMBERS + i) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const update = divide(multiply(get(m), correctMean), add(sqrt(multiply(get(v), correctSquare)), epsilon));
  const four = (p: number, offset: number): Code =>
    code(
      set(g, multiply(load(gradients, offset), scale)),
      set(m, add(multiply(beta1, load(mean, offset)), multiply(rest1, get(g)))),
      set(v, add(multiply(beta2, load(square, offset)), multiply(multiply(rest2, get(g)), get(g)))),
      store(mean, get(m), offset),
      store(square, get(v), offset),
      set(p, load(parameters, offset)),
      set(p, subtract(get(p), multiply(rate, add(update, multiply(decay, get(p)))))),
      store(parameters, get(p), offset),
    );
  return code(
    ...Array.from({ length: NUMBERS }, (_, i) => set(firstVector + i, splat(get(firstNumber + i)))),
    until(
      parameters,
      end,
      code(
        four(low, 0),
        four(high, 16),
        ...[parameters, gradients, mean, square].map((address) => advance(address, 32)),
        rounds ? code(store(rounded, narrowed(get(low), get(high))), advance(rounded, 16)) : [],
      ),
    ),
  );
}

/** Four stretches at a time: memory is read at full speed from several places only. */
function squaresBody(): Code {
  const [x, end, value] = [0, 1, 6] as const;
  const sums = [2, 3, 4, 5];
  const quarter = 7;
  const [addDouble, multiplyDouble] = [vectors(0xf0), vectors(0xf2)];
  const quarters = [x, 8, 9, 10];
  const plus = (a: Code, b: Code): Code => code(a, b, 0x6a);
  const addSquares = (offset: number): Code =>
    code(
      ...sums.map((sum, i) => {
        /** Two float32 as two float64. */
        const two = code(get(quarters[i]!), [0xfd, 0x5d, 2, offset, 0xfd, 0x5f]);
        return code(set(value, two), set(sum, addDouble(get(sum), multiplyDouble(get(value), get(value)))));
      }),
    );
  const [total, ...more] = sums.map(get) as [Code, ...Code[]];
  const lane = (index: number): Code => code(get(value), 0xfd, 0x21, index);
  return code(
    set(quarter, code(get(end), get(x), 0x6b, [0x41, 2, 0x76])), // (end − x) >> 2
    ...[1, 2, 3].map((i) => set(quarters[i]!, plus(get(quarters[i - 1]!), get(quarter)))),
    set(end, get(quarters[1]!)),
    until(
      x,
      end,
      code(...[0, 8, 16, 24].map(addSquares), ...quarters.map((address) => advance(address, 32))),
    ),
    set(
      value,
      more.reduce((a, b) => addDouble(a, b), total),
    ),
    lane(0),
    lane(1),
    0xa0,
  );
}

/** Eight float32 in bf16, rounded to the nearest, to the even one of two. */
function narrowed(low: Code, high: Code): Code {
  const integer = (...signed: number[]): Code => code(0x41, signed, 0xfd, 0x11); // i32.const, LEB128, in all lanes
  const [sum, and, narrow] = [vectors(0xae), vectors(0x4e), vectors(0x86)];
  const shifted = (value: Code): Code => code(value, [0x41, 16], 0xfd, leb(0xad));
  const rounded = (bits: Code): Code =>
    shifted(sum(sum(bits, integer(0xff, 0xff, 0x01)), and(shifted(bits), integer(1))));
  return narrow(rounded(low), rounded(high));
}

function roundBody(): Code {
  const [x, rounded, end] = [0, 1, 2] as const;
  return until(
    x,
    end,
    code(store(rounded, narrowed(load(x), load(x, 16))), advance(x, 32), advance(rounded, 16)),
  );
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const vector = (items: readonly Code[]): Code => code(leb(items.length), ...items);
  const section = (id: number, content: Code): Code => code(id, leb(content.length), content);
  const text = (value: string): Code => code(leb(value.length), [...Buffer.from(value)]);
  const type = (parameters: Code, results: Code): Code =>
    code(0x60, vector(parameters.map((t) => [t])), vector(results.map((t) => [t])));
  /** @param integers locals after the vectors */
  const body = (vectors: number, instructions: Code, integers = 0): Code => {
    const content = code([2, ...leb(vectors), V128, ...leb(integers), I32], instructions, 0x0b);
    return code(leb(content.length), content);
  };
  const adamWType = (addresses: number) =>
    type([...Array(addresses).fill(I32), ...Array(NUMBERS).fill(F32)], []);
  const squaresType = type([I32, I32], [F64]);
  const roundType = type([I32, I32, I32], []);
  const sharedMemory = code(text("env"), text("memory"), [0x02, 0x03, 1], leb(65_536));
  const functions: Readonly<Record<keyof WasmLoops, Code>> = {
    adamW: body(NUMBERS + 5, adamWBody(false)),
    adamWRounded: body(NUMBERS + 5, adamWBody(true)),
    squares: body(5, squaresBody(), 4),
    round: body(0, roundBody()),
  };
  const names = Object.keys(functions);
  return Uint8Array.from(
    code(
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, vector([adamWType(5), adamWType(6), squaresType, roundType])),
      section(2, vector([sharedMemory])),
      section(3, vector(names.map((_, i) => [i]))),
      section(7, vector(names.map((name, i) => code(text(name), [0, i])))),
      section(10, vector(Object.values(functions))),
    ),
  );
}

/** An unsigned number as LEB128. */
function leb(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
