/**
 * Reads the data in a Python pickle and runs nothing. A pickle is a program for a small stack machine, and Python's own
 * may import and call whatever it names. This one knows the instructions that plain data take; what a pickle names
 * ("globals") is looked up in a table of the caller, and a name that is not there ends the reading.
 *
 * Python's dictionaries become Maps, lists arrays, tuples frozen arrays, None null, bytes Uint8Arrays, and whole numbers
 * numbers, or bigints where they are too large for that. Instructions: Python's Lib/pickletools.py.
 */
import { LingolensError } from "../errors.js";
import { damaged } from "./safetensors-header.js";

/** What a name in a pickle stands for where it can be called. */
export class PickleFunction {
  constructor(readonly call: (args: readonly unknown[]) => unknown) {}
}

export interface PickleWorld {
  /** Names the pickle in errors. */
  readonly where: string;
  /** By "module name", such as "collections OrderedDict": what they stand for, a PickleFunction or a value. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** What stands outside the pickle under this id. */
  persistent(id: unknown): unknown;
}

/** Far above any checkpoint's: one of 100,000 tensors has 20 MB, and holds 15 values on the stack. */
export const MAX_PICKLE_BYTES = 1 << 26;
const MAX_STACK = 1_000_000;
const MAX_MEMO = 4_000_000;
const HIGHEST_PROTOCOL = 5;

/**
 * The value of the pickle at the beginning of `bytes`, and where the pickle ends.
 * @throws {LingolensError} `checkpoint-damaged` for names that are not in the table, instructions that are not known,
 * and whatever is not a whole pickle
 */
export function readPickle(
  bytes: Buffer,
  world: PickleWorld,
): { readonly value: unknown; readonly end: number } {
  return new PickleMachine(bytes, world).run();
}

class PickleMachine {
  #at = 0;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at the marks that are still open. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(
    private readonly bytes: Buffer,
    private readonly world: PickleWorld,
  ) {}

  run(): { value: unknown; end: number } {
    for (;;) {
      const opcode = this.#unsigned(1);
      if (opcode === STOP) return { value: this.#pop(), end: this.#at };
      this.#step(opcode);
      if (this.#stack.length > MAX_STACK || this.#memo.size > MAX_MEMO)
        throw this.#damaged(`expected at most ${MAX_STACK} values on the stack and ${MAX_MEMO} in the memo`);
    }
  }

  #step(opcode: number): void {
    const instruction = String.fromCharCode(opcode);
    const value = PickleMachine.#values[instruction];
    if (value) {
      this.#stack.push(value(this));
      return;
    }
    const action = PickleMachine.#actions[instruction];
    if (!action) {
      const got = `0x${opcode.toString(16)}, which is not carried out`;
      throw this.#damaged(`expected an instruction for plain data, got ${got}`);
    }
    action(this);
  }

  /** Instructions that push a value. */
  static readonly #values: Readonly<Record<string, (machine: PickleMachine) => unknown>> = {
    N: () => null,
    "\x88": () => true,
    "\x89": () => false,
    J: (m) => m.#take(4).readInt32LE(), // BININT
    K: (m) => m.#unsigned(1), // BININT1
    M: (m) => m.#unsigned(2), // BININT2
    "\x8a": (m) => longValue(m.#take(m.#unsigned(1))), // LONG1
    G: (m) => m.#take(8).readDoubleBE(), // BINFLOAT
    "\x8c": (m) => m.#text(m.#unsigned(1)), // SHORT_BINUNICODE
    X: (m) => m.#text(m.#unsigned(4)), // BINUNICODE
    "\x8d": (m) => m.#text(Number(m.#take(8).readBigUInt64LE())), // BINUNICODE8
    U: (m) => m.#text(m.#unsigned(1)), // SHORT_BINSTRING, of Python 2
    T: (m) => m.#text(m.#unsigned(4)), // BINSTRING, of Python 2
    C: (m) => m.#take(m.#unsigned(1)), // SHORT_BINBYTES
    B: (m) => m.#take(m.#unsigned(4)), // BINBYTES
    "]": () => [],
    l: (m) => m.#popMark(), // LIST
    ")": () => Object.freeze([]),
    "\x85": (m) => Object.freeze(m.#popSeveral(1)), // TUPLE1
    "\x86": (m) => Object.freeze(m.#popSeveral(2)), // TUPLE2
    "\x87": (m) => Object.freeze(m.#popSeveral(3)), // TUPLE3
    t: (m) => Object.freeze(m.#popMark()), // TUPLE
    "}": () => new Map(),
    d: (m) => m.#addItems(new Map(), m.#popMark()), // DICT
    h: (m) => m.#recall(m.#unsigned(1)), // BINGET
    j: (m) => m.#recall(m.#unsigned(4)), // LONG_BINGET
    c: (m) => m.#global(m.#line(), m.#line()), // GLOBAL
    i: (m) => m.#global(m.#line(), m.#line()), // INST: a global, called at once
    "\x93": (m) => m.#global(...(m.#popSeveral(2) as [unknown, unknown])), // STACK_GLOBAL
    R: (m) => m.#call(...(m.#popSeveral(2) as [unknown, unknown])), // REDUCE
    Q: (m) => m.world.persistent(m.#pop()), // BINPERSID
  };

  static readonly #actions: Readonly<Record<string, (machine: PickleMachine) => void>> = {
    "\x80": (m) => m.#checkProtocol(m.#unsigned(1)), // PROTO
    "\x95": (m) => m.#take(8), // FRAME: a hint for readers of streams
    "(": (m) => m.#marks.push(m.#stack.length),
    "0": (m) => m.#pop(), // POP
    "1": (m) => m.#popMark(), // POP_MARK
    a: (m) => m.#append([m.#pop()]), // APPEND
    e: (m) => m.#append(m.#popMark()), // APPENDS
    s: (m) => m.#setItems(m.#popSeveral(2)), // SETITEM
    u: (m) => m.#setItems(m.#popMark()), // SETITEMS
    b: (m) => m.#build(m.#popSeveral(1)), // BUILD
    q: (m) => m.#remember(m.#unsigned(1)), // BINPUT
    r: (m) => m.#remember(m.#unsigned(4)), // LONG_BINPUT
    "\x94": (m) => m.#remember(m.#memo.size), // MEMOIZE
  };

  #checkProtocol(protocol: number): void {
    if (protocol > HIGHEST_PROTOCOL)
      throw this.#damaged(`expected a pickle protocol up to ${HIGHEST_PROTOCOL}, got ${protocol}`);
  }

  /** The only door to anything that is not data. */
  #global(module: unknown, name: unknown): unknown {
    const value = this.world.globals.get(`${module} ${name}`);
    if (value !== undefined) return value;
    throw new LingolensError(
      "checkpoint-damaged",
      `${this.world.where}: expected tensors and plain data, got a reference to ${shorten(`${module}.${name}`)}. It was ` +
        "not followed, since no code of a checkpoint is ever run. Save the model's state_dict alone, or as safetensors.",
    );
  }

  #call(callee: unknown, args: unknown): unknown {
    if (callee instanceof PickleFunction && Array.isArray(args)) return callee.call(args);
    throw this.#damaged("expected a function and its arguments, got other values");
  }

  /** Attributes of an object: a dictionary's, such as a state_dict's versions, say nothing of its items. */
  #build(_attributes: readonly unknown[]): void {
    if (!(this.#top() instanceof Map))
      throw this.#damaged("expected attributes of a dictionary, got another object's");
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list)) throw this.#damaged("expected a list to add to");
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    const map = this.#top();
    if (!(map instanceof Map)) throw this.#damaged("expected a dictionary to add to");
    this.#addItems(map, items);
  }

  #addItems(map: Map<unknown, unknown>, items: readonly unknown[]): Map<unknown, unknown> {
    if (items.length % 2 !== 0) throw this.#damaged("expected pairs for a dictionary");
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
    return map;
  }

  #remember(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #recall(index: number): unknown {
    if (this.#memo.has(index)) return this.#memo.get(index);
    throw this.#damaged(`expected a value in the memo at ${index}, got none`);
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #top(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.#damaged("expected a value on the stack");
    return this.#stack.at(-1);
  }

  #popSeveral(count: number): unknown[] {
    if (this.#stack.length - count < (this.#marks.at(-1) ?? 0))
      throw this.#damaged(`expected ${count} values on the stack`);
    return this.#stack.splice(-count);
  }

  #popMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) throw this.#damaged("expected a mark on the stack");
    return this.#stack.splice(height);
  }

  /** The next bytes, a view of the pickle's. */
  #take(length: number): Buffer {
    if (this.#at + length > this.bytes.length)
      throw this.#damaged("expected the pickle to go on, but it ends");
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }

  #unsigned(bytes: number): number {
    return this.#take(bytes).readUIntLE(0, bytes);
  }

  #text(bytes: number): string {
    return this.#take(bytes).toString("utf8");
  }

  #damaged(what: string): LingolensError {
    return damaged(`${this.world.where}, byte ${this.#at} of the pickle`, what);
  }

  #line(): string {
    const end = this.bytes.indexOf("\n", this.#at);
    if (end < 0) throw this.#damaged("expected a line, but the pickle ends");
    return this.#text(end + 1 - this.#at).trimEnd();
  }
}

const STOP = ".".charCodeAt(0);

/** Two's complement, lowest byte first. */
function longValue(bytes: Buffer): number | bigint {
  if (bytes.length === 0) return 0;
  const magnitude = BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  const value = BigInt.asIntN(bytes.length * 8, magnitude);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
