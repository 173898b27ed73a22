import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

/** A process of its own, so that nothing else grows in it: prints its resident bytes after 100 and after 1,000 calls. */
const script = `
  import { readFile } from "node:fs/promises";
  import { loadCaptioner } from "./dist/index.js";
  const captioner = await loadCaptioner();
  const pictures = await Promise.all([1, 2, 3, 4].map((i) => readFile("examples/scene-" + i + ".png")));
  const resident = [];
  for (let call = 1; call <= 1000; call++) {
    await captioner.caption(pictures[call % 4], { lang: "all", beams: 1 });
    if (call !== 100 && call !== 1000) continue;
    // Twice: memory outside V8's heap is freed by finalizers of the first.
    for (let i = 0; i < 2; i++) {
      gc();
      await new Promise(setImmediate);
    }
    resident.push(process.memoryUsage.rss());
  }
  await captioner.close();
  console.log(JSON.stringify(resident));
`;

// 0 to 2 % were measured.
it("a thousand calls grow the process by 5 % at most after the first hundred", async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const args = ["--expose-gc", "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const [early, late] = JSON.parse(stdout) as [number, number];
  expect(late / early).toBeLessThanOrEqual(1.05);
}, 300_000);
