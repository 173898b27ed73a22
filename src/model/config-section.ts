/** A JSON object of a config file whose fields are checked one by one, with errors that name the field's path. */
import { LingolensError } from "../errors.js";

interface Optional<T> {
  /** The value of an absent or null field. Without it, such a field is an error. */
  readonly fallback?: T;
}

export class ConfigSection {
  private constructor(
    private readonly fileName: string,
    private readonly path: string,
    private readonly fields: object,
  ) {}

  /** @throws {LingolensError} `config-invalid` for anything but a JSON object, as do all methods below. */
  static root(json: unknown, fileName: string): ConfigSection {
    if (isObject(json)) return new ConfigSection(fileName, "", json);
    throw new LingolensError("config-invalid", `${fileName}: expected a JSON object, got ${describe(json)}.`);
  }

  /** Whether the field is there with a value; Hugging Face writes null for "not set". */
  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  section(key: string): ConfigSection {
    const value = this.value(key);
    if (!isObject(value)) this.fail(key, "a JSON object");
    return new ConfigSection(this.fileName, this.pathOf(key), value);
  }

  integer(key: string, least: number, most: number, { fallback }: Optional<number> = {}): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    this.fail(key, least === most ? `${least}` : `a whole number from ${least} to ${most}`);
  }

  number(key: string, least: number, most: number, { fallback }: Optional<number> = {}): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === "number" && value >= least && value <= most) return value;
    this.fail(
      key,
      `a ${least > 0 ? "positive " : ""}number ${least > 0 ? "" : `from ${least} `}up to ${most}`,
    );
  }

  boolean(key: string): boolean {
    const value = this.value(key);
    if (typeof value === "boolean") return value;
    this.fail(key, "true or false");
  }

  /** A list of lists of ids, such as `bad_words_ids`. */
  idLists(key: string, last: number): number[][] {
    const value = this.value(key);
    const isId = (id: unknown) => typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= last;
    const fits =
      Array.isArray(value) &&
      value.every((list) => Array.isArray(list) && list.length > 0 && list.every(isId));
    if (fits) return value;
    this.fail(key, `lists of ids from 0 to ${last}`);
  }

  choice<T extends string>(key: string, choices: readonly T[], { fallback }: Optional<T> = {}): T {
    const value = this.value(key) ?? fallback;
    const choice = choices.find((candidate) => candidate === value);
    if (choice !== undefined) return choice;
    this.fail(key, choices.map((candidate) => JSON.stringify(candidate)).join(" or "));
  }

  /** Refuses a field for what it holds. */
  fail(key: string, expected: string): never {
    throw new LingolensError(
      "config-invalid",
      `${this.fileName}: ${this.pathOf(key)}: expected ${expected}, got ${describe(this.value(key))}. ` +
        "Correct the file, or take it again from where the checkpoint came from.",
    );
  }

  private value(key: string): unknown {
    const value = Object.hasOwn(this.fields, key) ? (this.fields as Record<string, unknown>)[key] : undefined;
    return value === null ? undefined : value;
  }

  private pathOf(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A short name of a value that may be anything, of any size. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  return isObject(value) ? "an object" : String(value);
}
