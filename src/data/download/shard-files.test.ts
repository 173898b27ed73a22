import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  readShardRows,
  replaceShard,
  type ShardContent,
  type ShardRow,
  writeNewShard,
} from "./shard-files.js";

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "lingolens-shards-"));
});
afterEach(() => rm(out, { recursive: true }));

/** One row, which holds a picture of one byte. */
function content(caption: string): ShardContent {
  const row: ShardRow = {
    key: "000000",
    url: "https://example.org/a.jpg",
    caption,
    status: "success",
    failure: null,
    error_message: null,
    width: 1,
    height: 1,
    original_width: 1,
    original_height: 1,
    sha256: null,
    phash: null,
  };
  const picture = async () => new Uint8Array([1]);
  return { rows: [row], picture, started: new Date(), close: async () => {} };
}

const captions = async () => (await readShardRows(out, "00000")).map(({ caption }) => caption);
const NAMES = ["00000.done.json", "00000.parquet", "00000.tar", "00000_stats.json"];

describe("writeNewShard", () => {
  it("leaves a shard that another process wrote meanwhile, settled or not", async () => {
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const late = writeNewShard(out, "00000", async () => {
      await held;
      return content("late");
    });
    const first = await writeNewShard(out, "00000", async () => content("first"));
    goOn();
    expect(await late).toEqual(first);
    expect(await captions()).toEqual(["first"]);
    expect((await readdir(out)).filter((name) => !name.endsWith(".lock"))).toEqual(NAMES);
  });

  it("lets one of many at once be the first, wholly", async () => {
    const write = (_: unknown, i: number) => writeNewShard(out, "00000", async () => content(`${i}`));
    const markers = await Promise.all(Array.from({ length: 8 }, write));
    const last = markers[0]!;
    expect(markers).toEqual(markers.map(() => last));
    expect(await captions()).toHaveLength(1);
    expect((await readdir(out)).filter((name) => !name.endsWith(".lock"))).toEqual(NAMES);
  });
});

describe("replaceShard", () => {
  it("puts the new shard in the place of the old", async () => {
    const before = await writeNewShard(out, "00000", async () => content("before"));
    const after = await replaceShard(out, "00000", async () => content("after"));
    expect(after.sha256).not.toEqual(before.sha256);
    expect(await captions()).toEqual(["after"]);
  });
});
