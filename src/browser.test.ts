import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

/** Every module that a source file needs when it runs, its own files followed. */
async function importsOf(file: string, seen = new Map<string, string[]>()): Promise<Map<string, string[]>> {
  if (seen.has(file)) return seen;
  const source = await readFile(file, "utf8");
  const statements = source.matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+"([^"]+)"/gm);
  const modules = [...statements].map(([, module]) => module!);
  seen.set(
    file,
    modules.filter((module) => !module.startsWith(".")),
  );
  for (const module of modules)
    if (module.startsWith("."))
      await importsOf(fileURLToPath(new URL(module.replace(/\.js$/, ".ts"), `file://${file}`)), seen);
  return seen;
}

describe("lingolens/browser", () => {
  it("needs nothing of Node", async () => {
    const modules = await importsOf(fileURLToPath(new URL("./browser.ts", import.meta.url)));
    expect(modules.size).toBeGreaterThan(10);
    const packages = [...new Set([...modules.values()].flat())].sort();
    expect(packages).toEqual(["@bufbuild/protobuf/wire", "zod"]);
  });
});
