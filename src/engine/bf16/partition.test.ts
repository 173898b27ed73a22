import { describe, expect, it } from "vitest";
import {
  add,
  gelu,
  gemm,
  grad,
  input,
  multiply,
  parameter,
  quickGelu,
  reshape,
  sigmoid,
  sum,
  type Tensor,
} from "../../graph/index.js";
import { partition } from "./partition.js";

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
});
