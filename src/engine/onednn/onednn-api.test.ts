import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { type MatrixType, OneDnnApi } from "./onednn-api.js";
import { openOneDnn } from "./onednn-library.js";
import { Primitives } from "./primitives.js";

function load(): OneDnnApi | undefined {
  try {
    return OneDnnApi.load();
  } catch {
    return undefined;
  }
}
const api = load();

const bf16 = (rows: number, columns: number, transposed = false) =>
  ({ rows, columns, dtype: "bfloat16", transposed }) as const;
const float = (rows: number, columns: number) => ({ rows, columns, dtype: "float32" }) as const;

describe("the file of oneDNN", () => {
  it.each([
    ["of nothing", 0],
    ["of a header alone", 64],
    ["cut off", 1000],
  ])("is refused, not opened: one %s", async (_, size) => {
    const folder = await mkdtemp(join(tmpdir(), "lingolens-onednn-"));
    const path = join(folder, "libdnnl.so.2");
    const whole = await readFile(process.execPath); // a file of the same format that is there on every machine
    await writeFile(path, whole.subarray(0, size));
    vi.stubEnv("LINGOLENS_ONEDNN", path);
    try {
      expect(() => openOneDnn()).toThrow(expect.objectContaining({ code: "engine-unavailable" }));
    } finally {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  });
});

describe.skipIf(!api)("oneDNN", () => {
  it("computes products in bf16", () => {
    const { implementation, scratchpadBytes } = api!.product(bf16(64, 32), bf16(32, 48, true), float(64, 48));
    expect(implementation).toMatch(/bf16|amx/);
    expect(scratchpadBytes).toBeGreaterThanOrEqual(0);
  });

  it("multiplies heads where they lie, and adds to what is there, as fast as plain matrices", () => {
    const [pictures, heads, length, size] = [3, 4, 50, 64];
    const width = heads * size;
    const stack = (rows: number, columns: number, strides: readonly number[], dtype: MatrixType["dtype"]) =>
      ({ rows, columns, dtype, stack: { sizes: [pictures, heads], strides } }) as const;
    const lying = [length * width, size, width, 1];
    const head = stack(length, size, lying, "bfloat16");
    const turned = stack(size, length, [length * width, size, 1, width], "bfloat16");
    const scores = (dtype: MatrixType["dtype"]) =>
      stack(length, length, [heads * length * length, length * length, length, 1], dtype);
    const plain = api!.product(bf16(64, 64), bf16(64, 64), float(64, 64)).implementation;
    expect(api!.product(head, turned, scores("float32"), { factor: 0.125 }).implementation).toBe(plain);
    expect(api!.product(scores("bfloat16"), head, head).implementation).toBe(plain);
    const sum = api!.product(bf16(64, 64), bf16(64, 64), float(64, 64), { bias: float(1, 64), added: true });
    expect(sum.implementation).toBe(plain);
  });

  it("refuses matrices that do not fit", () => {
    expect(() => api!.product(bf16(64, 32), bf16(31, 48), float(64, 48))).toThrow(/refused a call/);
  });

  it("makes a primitive once, and keeps few that nobody uses", () => {
    const primitives = new Primitives(api!, 1);
    const product = (rows: number) => primitives.product(bf16(rows, 8), bf16(8, 8), float(rows, 8));
    const [first, again] = [product(3), product(3)];
    expect(again).toBe(first);
    const made = vi.spyOn(api!, "product");
    const destroyed = vi.spyOn(api!, "destroyPrimitive");
    for (let rows = 4; rows < 604; rows++) primitives.giveBack(product(rows));
    expect(product(3)).toBe(first);
    expect(made).toHaveBeenCalledTimes(600);
    expect(destroyed.mock.calls.length).toBeGreaterThan(50);
    expect(destroyed.mock.calls.flat()).not.toContain(first);
    primitives.close();
    expect(destroyed).toHaveBeenCalledTimes(601);
  });

  it("is not taken for what lacks its functions", () => {
    const symbols = openOneDnn();
    const ofVersion3 = symbols("dnnl_matmul_primitive_desc_create") !== null;
    const without = (missing: string) => (name: string) => (name === missing ? null : symbols(name));
    for (const missing of [
      "dnnl_version",
      "dnnl_primitive_create",
      "dnnl_primitive_execute",
      ofVersion3 ? "dnnl_matmul_primitive_desc_create" : "dnnl_matmul_desc_init",
    ])
      expect(() => OneDnnApi.load(without(missing))).toThrow(`no function ${missing}`);
  });
});
