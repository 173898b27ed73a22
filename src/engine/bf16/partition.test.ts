import { describe, expect, it } from "vitest";
import {
  add,
  gelu,
  gemm,
  grad,
  input,
  layerNorm,
  matMul,
  multiply,
  parameter,
  quickGelu,
  reshape,
  sigmoid,
  softmax,
  sum,
  swapLast,
  type Tensor,
  transpose,
} from "../../graph/index.js";
import { partition } from "./partition.js";
import type { ProductStep } from "./products.js";
import { inParts } from "./wide-products.js";

const transposeB = { transposeB: true };
const x = input("x", "float32", ["rows", 8]);

/** Some layers of one form. */
function layers(count: number): Tensor {
  let y = x;
  for (let i = 0; i < count; i++) {
    const [up, down] = [parameter(`up${i}`, [32, 8]), parameter(`down${i}`, [8, 32])];
    y = add(y, gemm(sigmoid(gemm(y, up, undefined, transposeB)), down, undefined, transposeB));
  }
  return y;
}

const kinds = (...outputs: Tensor[]): string[] =>
  partition({ outputs: Object.fromEntries(outputs.map((y, i) => [`y${i}`, y])) }).steps.map(
    ({ kind }) => kind,
  );

describe("a program split at its products", () => {
  it("has what lies between two products in one segment", () => {
    expect(kinds(layers(1))).toEqual(["product", "segment", "product", "segment"]);
  });

  it("has an activation in the product, if nothing else reads what is activated", () => {
    const hidden = gemm(x, parameter("up", [32, 8]), undefined, transposeB);
    const down = (y: Tensor) => gemm(y, parameter("down", [8, 32]), undefined, transposeB);
    for (const activation of [gelu, quickGelu]) {
      const { steps } = partition({ outputs: { y: down(activation(hidden)) } });
      expect(steps).toMatchObject([
        { kind: "product", activation: activation.name, rounded: true },
        { kind: "product", activation: undefined, rounded: false },
      ]);
      expect(kinds(down(activation(hidden)), hidden)).toEqual(["product", "segment", "product"]);
    }
    const other = multiply(hidden, sigmoid(multiply(hidden, 1.7)));
    expect(kinds(down(other))).toEqual(["product", "segment", "product"]);
  });

  it("has products of one input one after the other", () => {
    const three = ["q", "k", "v"].map((name) =>
      sigmoid(gemm(x, parameter(name, [8, 8]), undefined, transposeB)),
    );
    expect(kinds(three.reduce((a, b) => add(a, b)))).toEqual(["product", "product", "product", "segment"]);
  });

  it("computes equal layers with one segment", () => {
    const { steps } = partition({ outputs: { y: layers(6) } });
    const programs = steps.flatMap((step) => (step.kind === "segment" ? [step.program] : []));
    // A sigmoid a layer, and the first and last addition: to the caller's input, and for the caller.
    expect(programs).toHaveLength(8);
    expect(new Set(programs).size).toBeLessThanOrEqual(4);
  });

  it("computes nothing twice, and nothing that is not asked for", () => {
    const y = layers(2);
    const loss = sum(multiply(y, y));
    const { steps } = partition({ outputs: { loss, dx: grad(loss, [x])[0]! } });
    const made = steps.flatMap((step) => (step.kind === "segment" ? step.outputs : [step.out]));
    expect(new Set(made).size).toBe(made.length);
    expect(steps.filter(({ kind }) => kind === "product")).toHaveLength(8);
  });

  it("computes a weight's gradient as soon as it can", () => {
    const weights = [0, 1, 2].map((i) => parameter(`w${i}`, [8, 8]));
    const y = weights.reduce((h, w) => sigmoid(gemm(h, w, undefined, transposeB)), x);
    const loss = sum(multiply(y, y));
    const gradients = grad(loss, weights);
    const { steps, results } = partition({
      outputs: Object.fromEntries(gradients.map((gradient, i) => [`w${i}`, gradient])),
    });
    const place = (name: string) =>
      steps.findIndex((step) => step.kind === "product" && step.out === results.get(name));
    expect(place("w2")).toBeLessThan(place("w1"));
    expect(place("w1")).toBeLessThan(place("w0"));
  });

  it("reads what is reshaped or turned over from where it lies", () => {
    const w = parameter("w", [8, 2, 4]);
    const { steps } = partition({ outputs: { y: gemm(x, reshape(w, [8, 8]), undefined, transposeB) } });
    expect(steps).toMatchObject([{ kind: "product", b: { source: w, transposed: true } }]);
  });

  describe("beside them", () => {
    const square = (name: string, y: Tensor) => gemm(y, parameter(name, [8, 8]), undefined, transposeB);
    const norm = (name: string, y: Tensor) =>
      layerNorm(y, parameter(`${name}.weight`, [8]), parameter(`${name}.bias`, [8]), 1e-5);
    const heads = (y: Tensor) => transpose(reshape(y, ["pictures", 5, 2, 4]), [0, 2, 1, 3]);
    const rows = input("x", "float32", ["5*pictures", 8]);

    function attention(y: Tensor) {
      const [q, k, v] = ["q", "k", "v"].map((name) => heads(square(name, y))) as [Tensor, Tensor, Tensor];
      const weights = softmax(matMul(multiply(q, 0.5), swapLast(k)));
      const merged = reshape(transpose(matMul(weights, v), [0, 2, 1, 3]), ["5*pictures", 8]);
      return { weights, output: square("out", merged) };
    }

    it("oneDNN computes attention from product to product", () => {
      const { output, weights } = attention(rows);
      const { steps } = partition({ outputs: { output } });
      expect(steps.map(({ kind }) => kind)).toEqual([
        "product",
        "product",
        "product",
        "rows",
        "product",
        "product",
        "product",
      ]);
      expect(steps[2]).toMatchObject({ factor: 0.5, rounded: false });
      expect(steps[5]).toMatchObject({ rounded: true });
      expect(steps[5]).toHaveProperty("view.permutation", [0, 2, 1, 3]);
      // Weights that somebody else reads are not only there in bf16.
      const asked = partition({ outputs: { output, weights } }).steps;
      expect(asked.filter(({ kind }) => kind === "product")).toHaveLength(5);
    });

    it("a product is added to what nothing needs later, in its memory", () => {
      const first = square("first", rows);
      const y = add(first, square("second", norm("n", first)));
      const z = add(y, square("third", norm("m", y)));
      const outputs = { out: square("last", z) };
      const added = (steps: readonly { kind: string }[]) =>
        steps.filter((step) => step.kind === "product" && (step as ProductStep).addend !== undefined).length;
      const { steps } = partition({ outputs });
      expect(steps.map(({ kind }) => kind)).toEqual([
        "product",
        "rows",
        "product",
        "rows",
        "product",
        "product",
      ]);
      expect(added(steps)).toBe(2);
      expect(added(partition({ outputs: { ...outputs, y } }).steps)).toBe(0);
      expect(added(partition({ outputs: { ...outputs, later: multiply(first, z) } }).steps)).toBe(1);
      expect(added(partition({ outputs: { out: square("last", add(rows, first)) } }).steps)).toBe(0);
    });

    it("oneDNN turns over what products alone read, and a product's result for the caller", () => {
      const patches = transpose(input("pixels", "float32", ["pictures", 3, 5, 8]), [0, 2, 1, 3]);
      const y = square("w", reshape(patches, ["15*pictures", 8]));
      const split = transpose(reshape(y, ["pictures", 5, 3, 8]), [0, 2, 1, 3]);
      const { steps } = partition({ outputs: { split } });
      expect(steps).toMatchObject([
        { kind: "transposition", rounded: true },
        { kind: "product" },
        { kind: "transposition", rounded: false },
      ]);
      expect(partition({ outputs: { split, patches } }).steps[0]!.kind).toBe("segment");
    });

    it("gradients have what they need in float32", () => {
      const loss = sum(attention(norm("n", rows)).output);
      const { steps } = partition({ outputs: { dx: grad(loss, [rows])[0]! } });
      expect(new Set(steps.map(({ kind }) => kind))).toEqual(new Set(["product", "segment"]));
      const stacks = steps.filter((step) => step.kind === "product" && step.a.view);
      expect(stacks).toEqual([]);
    });

    it("products are computed in parts where a wide result goes on into the next", () => {
      const many = input("many", "float32", ["50*pictures", 8]);
      const hidden = gelu(gemm(many, parameter("up", [2048, 8]), parameter("bias", [2048]), transposeB));
      const y = sigmoid(gemm(hidden, parameter("down", [8, 2048]), parameter("b", [8]), transposeB));
      const { steps } = inParts(partition({ outputs: { y } }));
      expect(steps).toMatchObject([
        { kind: "product", activation: "gelu", biasFrom: 0, b: { columns: 1024, part: { start: 0 } } },
        { kind: "product", addend: undefined, b: { rows: 1024, part: { start: 0 } } },
        { kind: "product", activation: "gelu", biasFrom: 1024, b: { columns: 1024, part: { start: 1024 } } },
        { kind: "product", bias: undefined, b: { rows: 1024, part: { start: 1024 } } },
        { kind: "segment" },
      ]);
      const [, first, , second] = steps as ProductStep[];
      expect(second!.addend).toBe(first!.out);
      const asked = partition({ outputs: { y, hidden } });
      expect(inParts(asked).steps).toEqual(asked.steps);
      const few = gelu(gemm(rows, parameter("up", [2048, 8]), undefined, transposeB));
      const z = partition({ outputs: { z: gemm(few, parameter("down", [8, 2048]), undefined, transposeB) } });
      expect(inParts(z).steps).toEqual(z.steps);
    });
  });
});
