import { LingolensError } from "../errors.js";

/**
 * A dimension is a number, or an expression over named sizes that are known only when the program runs:
 * "batch", "past+length", "4*batch*length". Expressions are kept as polynomials with integer coefficients in
 * one canonical spelling, so two dimensions are equal exactly when they are `===`.
 */
export type Dimension = number | string;
export type Shape = readonly Dimension[];

/** Coefficient of each monomial; the monomial "" is the constant term. */
type Polynomial = Map<string, number>;

function parse(dimension: Dimension): Polynomial {
  if (typeof dimension === "number") return new Map([["", dimension]]);
  const polynomial: Polynomial = new Map();
  for (const term of dimension.replaceAll("-", "+-").split("+").filter(Boolean)) {
    let coefficient = 1;
    const names: string[] = [];
    for (const factor of term.split("*")) {
      if (/^-?\d+$/.test(factor)) coefficient *= Number(factor);
      else if (factor.startsWith("-")) {
        coefficient = -coefficient;
        names.push(factor.slice(1));
      } else names.push(factor);
    }
    const monomial = names.sort().join("*");
    polynomial.set(monomial, (polynomial.get(monomial) ?? 0) + coefficient);
  }
  return polynomial;
}

function format(polynomial: Polynomial): Dimension {
  const terms = [...polynomial].filter(([, coefficient]) => coefficient !== 0);
  if (terms.length === 0) return 0;
  if (terms.length === 1 && terms[0]![0] === "") return terms[0]![1];
  return terms
    .sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1))
    .map(([monomial, coefficient]) => {
      if (monomial === "") return `${coefficient}`;
      return coefficient === 1 ? monomial : `${coefficient}*${monomial}`;
    })
    .join("+")
    .replaceAll("+-", "-");
}

export function addDimensions(...dimensions: Dimension[]): Dimension {
  const sum: Polynomial = new Map();
  for (const dimension of dimensions)
    for (const [monomial, coefficient] of parse(dimension))
      sum.set(monomial, (sum.get(monomial) ?? 0) + coefficient);
  return format(sum);
}

export function multiplyDimensions(...dimensions: Dimension[]): Dimension {
  return format(
    dimensions.map(parse).reduce(
      (left, right) => {
        const product: Polynomial = new Map();
        for (const [a, x] of left)
          for (const [b, y] of right) {
            const monomial = [...a.split("*"), ...b.split("*")].filter(Boolean).sort().join("*");
            product.set(monomial, (product.get(monomial) ?? 0) + x * y);
          }
        return product;
      },
      new Map([["", 1]]),
    ),
  );
}

export function subtractDimensions(a: Dimension, b: Dimension): Dimension {
  return addDimensions(a, multiplyDimensions(-1, b));
}

/** Number of elements of a shape. */
export function elementCount(shape: Shape): Dimension {
  return multiplyDimensions(1, ...shape);
}

/** A product: a coefficient and the names whose sizes it multiplies. */
export interface Term {
  readonly coefficient: number;
  readonly names: readonly string[];
}

/** Terms of the dimensions that were asked for, which are those of some programs, at every run of theirs. */
const terms = new Map<Dimension, readonly Term[]>();

/** The terms of a dimension. */
export function termsOf(dimension: Dimension): readonly Term[] {
  let found = terms.get(dimension);
  if (!found) {
    found = [...parse(dimension)].map(([monomial, coefficient]) => ({
      coefficient,
      names: monomial.split("*").filter(Boolean),
    }));
    terms.set(dimension, found);
  }
  return found;
}

/** Sizes of the named dimensions of one run. */
export type Sizes = ReadonlyMap<string, number>;

/** The size of a dimension once its names are known. */
export function evaluateDimension(dimension: Dimension, sizes: Sizes): number {
  if (typeof dimension === "number") return dimension;
  return termsOf(dimension).reduce((sum, { coefficient, names }) => {
    return (
      sum +
      names.reduce((product, name) => {
        const size = sizes.get(name);
        if (size === undefined)
          throw new LingolensError(
            "shape-mismatch",
            `The size of dimension "${name}" is not known: no input has it.`,
          );
        return product * size;
      }, coefficient)
    );
  }, 0);
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, axis) => dimension === b[axis]);
}

/** NumPy's rule: aligned at the last axis, sizes are equal or one of them is the number 1. Null if they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | null {
  const rank = Math.max(a.length, b.length);
  const result: Dimension[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return null;
    result.push(x === 1 ? y : x);
  }
  return result;
}

/** Turns a negative axis into one counted from the front, or throws. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw new LingolensError(
      "shape-mismatch",
      `${op}: axis ${axis} does not exist in a tensor of rank ${rank}.`,
    );
  }
  return normal;
}
