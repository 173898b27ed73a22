import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { withFileLock } from "./file-lock.js";

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  temporary = await temporaryFolder();
});
afterEach(() => temporary.remove());

describe.skipIf(process.platform === "win32")("withFileLock", () => {
  it("lets one work at a time, and tells those who wait", async () => {
    const path = join(temporary.path, "locks/a.lock");
    let working = 0;
    let most = 0;
    let waited = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++working);
      await new Promise((resolve) => setTimeout(resolve, 50));
      working--;
    };
    const onWait = (): void => void waited++;
    await Promise.all([1, 2, 3].map(() => withFileLock(path, work, { onWait })));
    expect(most).toBe(1);
    expect(waited).toBe(2);
  });

  it("gives the lock back when the work fails", async () => {
    const path = join(temporary.path, "a.lock");
    const failing = withFileLock(path, () => Promise.reject(new Error("failed")));
    await expect(failing).rejects.toThrow("failed");
    expect(await withFileLock(path, async () => "done")).toBe("done");
  });

  it("is ended by the death of its process", async () => {
    const path = join(temporary.path, "a.lock");
    const holder = `
      import koffi from "koffi";
      import { openSync } from "node:fs";
      koffi.load(null).func("int flock(int, int)")(openSync(${JSON.stringify(path)}, "a"), 2);
      console.log("held");
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", holder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    let told = false;
    const taken = withFileLock(path, async () => "taken", {
      onWait() {
        told = true;
        child.kill("SIGKILL");
      },
    });
    expect(await taken).toBe("taken");
    expect(told).toBe(true);
  });

  it("stops waiting when cancelled", async () => {
    const path = join(temporary.path, "a.lock");
    const controller = new AbortController();
    let finish = (): void => {};
    const first = withFileLock(path, () => new Promise<void>((resolve) => (finish = resolve)));
    const second = withFileLock(path, async () => {}, {
      signal: controller.signal,
      onWait: () => controller.abort(),
    });
    await expect(second).rejects.toMatchObject({ code: "cancelled" });
    finish();
    await first;
  });
});
