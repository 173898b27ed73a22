// Debian's Slurm on one machine: examples/cluster/data.sbatch as an array of 16 tasks, one of which is killed and one
// made to fail; then the same command again, after which all 16 have to be complete. The next stage waits by --dependency.
//
//     apt-get install slurm-wlm munge && npm run build && sudo node bench/slurm-array.mjs [--rows 320]
//
// munged, slurmctld and slurmd run in a folder of their own, on ports of their own, without systemd, and are ended
// afterwards.
//
// Bar: the first command leaves 14 of 16 tasks completed, the second completes 16 of 16.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import sharp from "sharp";

const TASKS = 16;
const KILLED = 3;
const FAILING = 5;

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const script = fileURLToPath(new URL("../examples/cluster/data.sbatch", import.meta.url));
const { values } = parseArgs({ options: { rows: { type: "string", default: "320" } } });
const rows = Number(values.rows);

const folder = await mkdtemp(join(tmpdir(), "lingolens-slurm-"));
const place = (name) => join(folder, name);
const daemons = [];
const env = { ...process.env, SLURM_CONF: place("slurm.conf"), PATH: `${place("bin")}:${process.env.PATH}` };

async function run(command, ...args) {
  const { stdout } = await promisify(execFile)(command, args, { env, cwd: folder });
  return stdout.trim();
}

function daemon(command, ...args) {
  const child = spawn(command, args, { env, stdio: "ignore" });
  child.on("error", (error) => console.error(`${command}: ${error.message}`));
  daemons.push(child);
}

async function startSlurm() {
  for (const name of ["state", "spool", "bin"]) await mkdir(place(name));
  await writeFile(place("munge.key"), crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
  const user = userInfo().username;
  const host = hostname().split(".")[0];
  const conf = {
    ...{ ClusterName: "lingolens", SlurmctldHost: host, SlurmUser: user, SlurmdUser: user },
    ...{ SlurmctldPort: 17817, SlurmdPort: 17818, MpiDefault: "none", ReturnToService: 2 },
    ...{ AuthType: "auth/munge", AuthInfo: `socket=${place("munge.socket")}`, CredType: "cred/munge" },
    ...{ StateSaveLocation: place("state"), SlurmdSpoolDir: place("spool") },
    ...{ SlurmctldPidFile: place("ctld.pid"), SlurmdPidFile: place("slurmd.pid") },
    ...{ SlurmctldLogFile: place("ctld.log"), SlurmdLogFile: place("slurmd.log") },
    ...{
      ProctrackType: "proctrack/linuxproc",
      TaskPlugin: "task/none",
      JobAcctGatherType: "jobacct_gather/none",
    },
    ...{
      SelectType: "select/cons_tres",
      SelectTypeParameters: "CR_CPU",
      SlurmdParameters: "config_overrides",
    },
  };
  const lines = Object.entries(conf).map(([key, value]) => `${key}=${value}`);
  lines.push(`NodeName=${host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN`);
  lines.push("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP");
  await writeFile(place("slurm.conf"), `${lines.join("\n")}\n`);
  const munge = ["key-file=munge.key", "socket=munge.socket", "pid-file=munge.pid"];
  const files = [...munge, "log-file=munge.log", "seed-file=munge.seed"].map((option) => {
    const [name, file] = option.split("=");
    return `--${name}=${place(file)}`;
  });
  daemon("munged", "--foreground", "--force", ...files);
  await sleep(1000);
  daemon("slurmctld", "-D");
  daemon("slurmd", "-D");
  for (let i = 0; i < 60; i++) {
    await sleep(500);
    const state = await run("sinfo", "--noheader", "--format=%T").catch(() => "");
    if (state === "idle") return;
  }
  throw new Error(`Slurm did not come up; see ${folder}`);
}

/** What tasks start as `lingolens`: at first one is killed after a second, and one may write no file. */
async function installCommand() {
  const wrapper = `#!/bin/bash
if [ -e ${place("trouble")} ]; then
  case "$SLURM_ARRAY_TASK_ID" in
    ${KILLED}) exec timeout -s KILL 1 ${process.execPath} ${main} "$@" ;;
    ${FAILING}) ulimit -f 0 ;;
  esac
fi
exec ${process.execPath} ${main} "$@"
`;
  await writeFile(place("bin/lingolens"), wrapper);
  await chmod(place("bin/lingolens"), 0o755);
}

async function serve() {
  const create = { width: 80, height: 60, channels: 3, background: "teal" };
  const file = await sharp({ create }).jpeg().toBuffer();
  const server = createServer(async (request, answer) => {
    const number = Number(request.url.slice(1));
    if (number % 9 === 4) return answer.writeHead(404).end();
    // Slow enough for a task to be killed at its work.
    await sleep(40);
    // The number behind its end makes a file another one.
    answer.write(file);
    answer.end(`${number}`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** States of an array's tasks, when all have ended. */
async function ended(job) {
  for (;;) {
    await sleep(1000);
    const lines = (await run("scontrol", "--oneliner", "show", "job", job)).split("\n");
    const states = lines.map((line) => / JobState=(\S+)/.exec(line)[1]);
    if (states.some((state) => ["PENDING", "RUNNING", "COMPLETING", "CONFIGURING"].includes(state))) continue;
    return states;
  }
}

const count = (list) => {
  const counts = {};
  for (const one of list) counts[one] = (counts[one] ?? 0) + 1;
  return JSON.stringify(counts);
};

const shardsDone = async () =>
  (await readdir(place("out")).catch(() => [])).filter(
    (name) => name.endsWith(".done.json") && /^\d/.test(name),
  ).length;

const server = await serve();
try {
  await startSlurm();
  await installCommand();
  const { port } = server.address();
  const list = Array.from({ length: rows }, (_, i) => `http://127.0.0.1:${port}/${i}\tpicture number ${i}\n`);
  await writeFile(place("list.tsv"), list.join(""));
  const options = [`--array=0-${TASKS - 1}`, "--parsable", "--cpus-per-task=1", "--mem=0"];
  const stage = (name, more, ...args) =>
    run("sbatch", ...options, `--job-name=${name}`, ...more, script, name, ...args);
  const download = () =>
    stage(
      ...[
        "download",
        [],
        "--input",
        place("list.tsv"),
        "--out",
        place("out"),
        "--shard-size",
        `${rows / TASKS}`,
      ],
      ...["--allow-private", "--workers", "1", "--json"],
    );

  await writeFile(place("trouble"), "");
  const first = await ended(await download());
  console.log(`first command: ${count(first)}, ${await shardsDone()} of ${TASKS} shards`);
  await rm(place("trouble"));
  const again = await download();
  const pack = await stage(
    ...[
      "pack",
      [`--dependency=afterok:${again}`],
      "--input",
      place("out"),
      "--out",
      place("packed"),
      "--validation",
      "20",
    ],
  );
  const second = await ended(again);
  console.log(`same command again: ${count(second)}, ${await shardsDone()} of ${TASKS} shards`);
  const packed = await ended(pack);
  const done = JSON.parse(await readFile(place("packed/pack.done.json"), "utf8"));
  console.log(
    `pack, after it: ${count(packed)}, ${done.train.pictures} + ${done.validation.pictures} pictures`,
  );
  const completed = (states) => states.filter((state) => state === "COMPLETED").length;
  const isRight =
    completed(first) === TASKS - 2 &&
    completed(second) === TASKS &&
    completed(packed) === TASKS &&
    done.validation.pictures === 20;
  console.log(isRight ? "as it should be" : "NOT as it should be");
  if (!isRight) process.exitCode = 1;
} finally {
  server.close();
  for (const child of daemons.reverse()) child.kill();
  await Promise.all(daemons.map((child) => child.exitCode ?? once(child, "exit")));
  await rm(folder, { recursive: true, force: true });
}
