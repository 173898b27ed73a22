/**
 * The loops of training over large arrays in WebAssembly, four numbers at a time: the same operations in the same order as
 * their JavaScript, with the same bits, in a fraction of the time. Plain JavaScript has no such vectors.
 */
import {
  advance,
  type Code,
  code,
  F32,
  F64,
  get,
  I32,
  i32,
  leb,
  load,
  plus,
  set,
  store,
  until,
  vectors,
  type WasmFunction,
  wasmModule,
} from "../wasm-code.js";

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
  compiled ??= new WebAssembly.Module(wasmModule(functions, "shared"));
  return compiled;
}

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
        ...[parameters, gradients, mean, square].map((address) => advance(address, i32(32))),
        rounds ? code(store(rounded, narrowed(get(low), get(high))), advance(rounded, i32(16))) : [],
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
    set(quarter, code(get(end), get(x), 0x6b, i32(2), 0x76)), // (end − x) >> 2
    ...[1, 2, 3].map((i) => set(quarters[i]!, plus(get(quarters[i - 1]!), get(quarter)))),
    set(end, get(quarters[1]!)),
    until(
      x,
      end,
      code(...[0, 8, 16, 24].map(addSquares), ...quarters.map((address) => advance(address, i32(32)))),
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
  const integer = (value: number): Code => code(i32(value), 0xfd, 0x11); // In all lanes.
  const [sum, and, narrow] = [vectors(0xae), vectors(0x4e), vectors(0x86)];
  const shifted = (value: Code): Code => code(value, i32(16), 0xfd, leb(0xad));
  const rounded = (bits: Code): Code =>
    shifted(sum(sum(bits, integer(0x7fff)), and(shifted(bits), integer(1))));
  return narrow(rounded(low), rounded(high));
}

function roundBody(): Code {
  const [x, rounded, end] = [0, 1, 2] as const;
  return until(
    x,
    end,
    code(store(rounded, narrowed(load(x), load(x, 16))), advance(x, i32(32)), advance(rounded, i32(16))),
  );
}

const adamW = (rounds: boolean): WasmFunction => ({
  parameters: [...Array(rounds ? 6 : 5).fill(I32), ...Array(NUMBERS).fill(F32)],
  vectors: NUMBERS + 5,
  body: adamWBody(rounds),
});

const functions: Readonly<Record<keyof WasmLoops, WasmFunction>> = {
  adamW: adamW(false),
  adamWRounded: adamW(true),
  squares: { parameters: [I32, I32], results: [F64], vectors: 5, integers: 4, body: squaresBody() },
  round: { parameters: [I32, I32, I32], vectors: 0, body: roundBody() },
};
