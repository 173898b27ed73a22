import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { Spool } from "./spool.js";

const MIB = 2 ** 20;

it("keeps 32 MiB in memory, more in a file, and gives all of it back", async () => {
  const folder = await temporaryFolder();
  const path = join(folder.path, "spool");
  try {
    for (let again = 0; again < 2; again++) {
      const spool = await Spool.open(folder.path);
      const pictures = Array.from({ length: 40 }, (_, i) => [`${i}`, randomBytes(MIB)] as const);
      await Promise.all(pictures.map(([key, bytes]) => spool.write(key, bytes)));
      // Equal the second time: what is closed holds no memory.
      expect((await stat(path)).size).toBe(8 * MIB);
      for (const [key, bytes] of pictures.toReversed())
        expect(bytes.equals(await spool.read(key)), key).toBe(true);
      await spool.close();
      expect(existsSync(path)).toBe(false);
    }
  } finally {
    await folder.remove();
  }
});
