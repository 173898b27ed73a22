/**
 * The loops of training over large arrays in WebAssembly, two numbers at a time in double precision: the same operations
 * in the same order as their JavaScript, with the same bits, in half the time. Plain JavaScript has no such vectors.
 *
 * The module is written here, instruction by instruction (WebAssembly core specification 2.0, chapter 5), since that is
 * less than a compiler's package would be.
 */

/** Exports of the module; both take byte addresses in its memory and work on whole vectors. */
export interface WasmLoops {
  /** AdamW over the parameters from `parameters` to `end`; see `adamWLoop`. `stay`, `decay`: lr and decoupled decay. */
  adamW(
    parameters: number,
    gradients: number,
    mean: number,
    square: number,
    end: number,
    ...numbers: number[]
  ): void;
  /** Σ x² from `x` to `end`, four sums at a time. */
  squares(x: number, end: number): number;
  /** The numbers from `x` to `end`, eight at a time, to `to` in bf16; see `roundNumbers`. */
  round(x: number, to: number, end: number): void;
}

/** Elements that both loops can end after. */
export const VECTOR = 4;

let compiled: WebAssembly.Module | undefined;

/** The module, compiled once; it imports the memory that it works on as `env.memory`. */
export function wasmLoops(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(moduleBytes());
  return compiled;
}

type Code = readonly number[];
const code = (...parts: readonly (number | Code)[]): Code => parts.flat();

const [I32, F64, V128] = [0x7f, 0x7c, 0x7b];

const get = (local: number): Code => [0x20, local];
const set = (local: number, value: Code): Code => code(value, 0x21, local);
const advance = (local: number, bytes: number): Code => set(local, code(get(local), 0x41, bytes, 0x6a));
/** Runs `body` until the address in `local` has come to the one in `end`; not at all where it is there already. */
const until = (local: number, end: number, body: Code): Code =>
  code([0x02, 0x40, 0x03, 0x40], get(local), get(end), [0x4f, 0x0d, 1], body, [0x0c, 0, 0x0b, 0x0b]);

const splat = (value: Code): Code => code(value, 0xfd, 0x14);
/** Two float32 at an address as two float64. */
const load = (address: number, offset = 0): Code => code(get(address), [0xfd, 0x5d, 2, offset, 0xfd, 0x5f]);
/** The reverse. */
const store = (address: number, value: Code): Code =>
  code(get(address), value, [0xfd, 0x5e, 0xfd, 0x5b, 2, 0, 0]);
const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code =>
    code(a, b, 0xfd, opcode, 1);
const [add, subtract, multiply, divide] = [0xf0, 0xf1, 0xf2, 0xf3].map(binary) as [
  ReturnType<typeof binary>,
  ReturnType<typeof binary>,
  ReturnType<typeof binary>,
  ReturnType<typeof binary>,
];
const sqrt = (a: Code): Code => code(a, 0xfd, 0xef, 1);
const lane = (a: Code, index: number): Code => code(a, 0xfd, 0x21, index);

/** The numbers of `adamWLoop`, in its order; each is a parameter of type f64 and has a vector of itself. */
const NUMBERS = 10;

function adamWBody(): Code {
  const [parameters, gradients, mean, square, end] = [0, 1, 2, 3, 4] as const;
  const firstNumber = 5;
  const firstVector = firstNumber + NUMBERS;
  const [scale, beta1, rest1, beta2, rest2, epsilon, decay, rate, correctMean, correctSquare] = Array.from(
    { length: NUMBERS },
    (_, i) => get(firstVector + i),
  ) as [Code, Code, Code, Code, Code, Code, Code, Code, Code, Code];
  const [g, m, v, p] = [0, 1, 2, 3].map((i) => firstVector + NUMBERS + i) as [number, number, number, number];
  const update = divide(multiply(get(m), correctMean), add(sqrt(multiply(get(v), correctSquare)), epsilon));
  return code(
    ...Array.from({ length: NUMBERS }, (_, i) => set(firstVector + i, splat(get(firstNumber + i)))),
    until(
      parameters,
      end,
      code(
        set(g, multiply(load(gradients), scale)),
        set(m, add(multiply(beta1, load(mean)), multiply(rest1, get(g)))),
        set(v, add(multiply(beta2, load(square)), multiply(multiply(rest2, get(g)), get(g)))),
        store(mean, get(m)),
        store(square, get(v)),
        set(p, load(parameters)),
        store(parameters, subtract(get(p), multiply(rate, add(update, multiply(decay, get(p)))))),
        ...[parameters, gradients, mean, square].map((address) => advance(address, 8)),
      ),
    ),
  );
}

function squaresBody(): Code {
  const [x, end, low, high, value] = [0, 1, 2, 3, 4] as const;
  const addSquare = (sum: number, offset: number): Code =>
    code(set(value, load(x, offset)), set(sum, add(get(sum), multiply(get(value), get(value)))));
  const total = (sum: number): Code => code(lane(get(sum), 0), lane(get(sum), 1), 0xa0);
  return code(
    until(x, end, code(addSquare(low, 0), addSquare(high, 8), advance(x, 16))),
    total(low),
    total(high),
    0xa0,
  );
}

function roundBody(): Code {
  const [x, to, end] = [0, 1, 2] as const;
  const integer = (...signed: number[]): Code => [0x41, ...signed]; // i32.const, LEB128
  const all = (value: Code): Code => code(value, 0xfd, 0x11);
  const bits = (offset: number): Code => code(get(x), [0xfd, 0x00, 2, offset]);
  const shifted = (value: Code): Code => code(value, integer(16), 0xfd, 0xad, 1);
  const sum = (a: Code, b: Code): Code => code(a, b, 0xfd, 0xae, 1);
  const rounded = (offset: number): Code => {
    const odd = code(shifted(bits(offset)), all(integer(1)), 0xfd, 0x4e);
    return shifted(sum(sum(bits(offset), all(integer(0xff, 0xff, 0x01))), odd));
  };
  const narrow = code(rounded(0), rounded(16), 0xfd, 0x86, 1);
  return until(x, end, code(get(to), narrow, [0xfd, 0x0b, 1, 0], advance(x, 32), advance(to, 16)));
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const vector = (items: readonly Code[]): Code => code(leb(items.length), ...items);
  const section = (id: number, content: Code): Code => code(id, leb(content.length), content);
  const text = (value: string): Code => code(leb(value.length), [...Buffer.from(value)]);
  const type = (parameters: Code, results: Code): Code =>
    code(0x60, vector(parameters.map((t) => [t])), vector(results.map((t) => [t])));
  const body = (vectors: number, instructions: Code): Code => {
    const content = code([1, ...leb(vectors), V128], instructions, 0x0b);
    return code(leb(content.length), content);
  };
  const adamWType = type([...Array(5).fill(I32), ...Array(NUMBERS).fill(F64)], []);
  const sharedMemory = code(text("env"), text("memory"), [0x02, 0x03, 1], leb(65_536));
  return Uint8Array.from(
    code(
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, vector([adamWType, type([I32, I32], [F64]), type([I32, I32, I32], [])])),
      section(2, vector([sharedMemory])),
      section(3, vector([[0], [1], [2]])),
      section(
        7,
        vector([code(text("adamW"), [0, 0]), code(text("squares"), [0, 1]), code(text("round"), [0, 2])]),
      ),
      section(10, vector([body(NUMBERS + 4, adamWBody()), body(3, squaresBody()), body(0, roundBody())])),
    ),
  );
}

/** An unsigned number as LEB128. */
function leb(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
