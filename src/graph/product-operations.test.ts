import { describe, expect, it } from "vitest";
import { gemm, grad, input, matMul, parameter, sum } from "./index.js";
import { productOperations } from "./product-operations.js";

describe("productOperations", () => {
  const x = input("x", "float32", ["rows", 8]);
  const w = parameter("w", [8, 3]);

  it("counts a multiplication and an addition for each number of a row and a column", () => {
    expect(productOperations({ outputs: { y: matMul(x, w) } })).toBe("48*rows");
    const batches = input("batches", "float32", ["batch", "rows", 8]);
    expect(productOperations({ outputs: { y: matMul(batches, w) } })).toBe("48*batch*rows");
  });

  it("counts what a transposed matrix has", () => {
    const turned = parameter("turned", [3, 8]);
    expect(productOperations({ outputs: { y: gemm(x, turned, undefined, { transposeB: true }) } })).toBe(
      "48*rows",
    );
    const dy = input("dy", "float32", ["rows", 3]);
    expect(productOperations({ outputs: { dw: gemm(x, dy, undefined, { transposeA: true }) } })).toBe(
      "48*rows",
    );
  });

  it("counts a product that several results need once, and the gradients' own", () => {
    const y = gemm(x, w);
    const [dw] = grad(sum(y, { axes: [0, 1] }), [w]);
    expect(productOperations({ outputs: { y, dw: dw! } })).toBe("96*rows");
  });

  it("is 0 without products", () => {
    expect(productOperations({ outputs: { x } })).toBe(0);
  });
});
