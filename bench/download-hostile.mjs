// A web of 5,000 rows on which everything goes wrong that can: what became of each, how long it took, and how much
// memory it cost. The web is test/support/hostile-web.ts, on loopback.
//
//     npm run build && node bench/download-hostile.mjs [--rows 5000] [--deadline 9] [--json FILE]
//
// Bars: every row is accounted for exactly once, as its kind has to end; the process stays below 300 MB above its
// memory at the start, the web's own memory included; without --allow-private, the web sees no request at all.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { parseColumns } from "../dist/data/download/columns.js";
import { downloadPictures } from "../dist/data/download/download.js";
import { readShardRows } from "../dist/data/download/shard-files.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "5000" },
    deadline: { type: "string", default: "9" },
    json: { type: "string" },
  },
});
const support = fileURLToPath(new URL("../test/support/hostile-web.ts", import.meta.url));
const { startHostileWeb } = (await runnerImport(support)).module;
const folder = await mkdtemp(join(tmpdir(), "lingolens-hostile-"));
const web = await startHostileWeb({ rows: Number(values.rows), dnsDelay: 10_000 });
try {
  const input = join(folder, "list.tsv");
  await writeFile(input, web.tsv);
  const run = (name, fetch) =>
    downloadPictures({
      input,
      columns: parseColumns("url,caption"),
      out: join(folder, name),
      pictures: { resize: "border", size: 256 },
      // In this process, because of the lookup, which takes its ten seconds for some names.
      lookup: web.lookup,
      fetch: { deadline: Number(values.deadline), ...fetch },
    });

  const closed = await run("closed", {});
  const requestsWhenClosed = web.requests.size;

  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 20);
  const start = performance.now();
  const counts = await run("open", { allowPrivate: true });
  const seconds = (performance.now() - start) / 1000;
  clearInterval(timer);

  const shards = (await readdir(join(folder, "open"))).filter((name) => name.endsWith(".parquet")).sort();
  const rows = [];
  for (const name of shards) rows.push(...(await readShardRows(join(folder, "open"), name.slice(0, -8))));
  const wrong = web.rows.flatMap(({ kind, expected, url }, i) => {
    const became = rows[i]?.failure ?? (rows[i]?.status === "success" ? "success" : "missing");
    return became === expected && rows[i].url === url
      ? []
      : [`${kind} ${url}: ${became}, expected ${expected}`];
  });
  const result = {
    rows: rows.length,
    counts,
    wrong: wrong.length,
    seconds: Math.round(seconds),
    memoryMB: Math.round((most - before) / 1e6),
    closed: closed.failed,
    requestsWhenClosed,
  };
  console.log(JSON.stringify(result, null, 2));
  for (const line of wrong.slice(0, 20)) console.log(line);
  if (values.json) await writeFile(values.json, JSON.stringify(result));
  const well =
    rows.length === web.rows.length &&
    wrong.length === 0 &&
    result.memoryMB <= 300 &&
    requestsWhenClosed === 0;
  process.exitCode = well ? 0 : 1;
} finally {
  await web.close();
  await rm(folder, { recursive: true });
}
