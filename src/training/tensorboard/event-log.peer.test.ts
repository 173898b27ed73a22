/** What TensorBoard makes of our files. LINGOLENS_PEER_PYTHON names an interpreter that has it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/tiny-captioner.js";
import { encodePng } from "../../image/encode-png.js";
import { openEventLog } from "./event-log.js";

const python = process.env.LINGOLENS_PEER_PYTHON;
const script = fileURLToPath(new URL("../../../test/peers/read_events.py", import.meta.url));

it.skipIf(!python)(
  "TensorBoard reads scalars, texts and pictures, and forgets what a resumed run repeats",
  async () => {
    const { path, remove } = await temporaryFolder();
    const png = await encodePng({ width: 2, height: 1, data: new Uint8Array(6) });
    const first = await openEventLog(path, 0);
    await first.write(1, [
      { tag: "loss", scalar: 2.5 },
      { tag: "sample", text: "| é |" },
      { tag: "sample", png, width: 2, height: 1 },
    ]);
    for (const step of [2, 3]) await first.write(step, [{ tag: "loss", scalar: step }]);
    await first.close();
    // Names have seconds, by which TensorBoard orders them.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const resumed = await openEventLog(path, 1);
    await resumed.write(2, [{ tag: "loss", scalar: 0.5 }]);
    await resumed.close();

    const { stdout, stderr, status } = spawnSync(python!, [script, path], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      scalars: {
        loss: [
          [1, 2.5],
          [2, 0.5],
        ],
      },
      texts: { sample: [[1, "| é |"]] },
      pictures: { sample: [[1, 2, 1]] },
    });
    await remove();
  },
);
