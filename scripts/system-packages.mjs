// Programs and libraries outside npm that some tests need. On Debian, as root, they are installed; elsewhere one line says
// how, and the tests that need them are skipped.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const RELEASE_FILE = "/etc/debian_version";
const onDebian = existsSync(RELEASE_FILE);
/** oneDNN, for matrices in bf16, which arm64 processors are not asked for. Debian 12 has its version 2, Debian 13 version 3. */
const oneDnn =
  onDebian && Number.parseInt(readFileSync(RELEASE_FILE, "utf8"), 10) <= 12
    ? { "/usr/lib/x86_64-linux-gnu/libdnnl.so.2": "libdnnl2" }
    : { "/usr/lib/x86_64-linux-gnu/libdnnl.so.3.6": "libdnnl3.6" };

/** Debian's packages by the file that shows them to be there. */
const PACKAGES = {
  "/usr/bin/chromium": "chromium",
  "/usr/bin/mpirun": "openmpi-bin",
  ...(process.arch === "x64" && oneDnn),
};

export function installSystemPackages() {
  const missing = Object.entries(PACKAGES).flatMap(([file, name]) => (existsSync(file) ? [] : [name]));
  if (missing.length === 0 || process.platform !== "linux") return;
  const install = "apt-get install -y --no-install-recommends";
  if (!onDebian || process.getuid() !== 0) {
    console.error(
      `Tests that need ${missing.join(", ")} will be skipped. On Debian: sudo ${install} ${missing.join(" ")}`,
    );
    return;
  }
  console.error(`Installing ${missing.join(", ")}…`);
  const run = (command) =>
    spawnSync("sh", ["-c", command], {
      stdio: ["ignore", "ignore", 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    }).status === 0;
  run("apt-get update -qq");
  // One by one: not every release of Debian has them all.
  const failed = missing.filter((name) => !run(`${install} ${name}`));
  if (failed.length > 0)
    console.error(`${failed.join(", ")} could not be installed; tests that need them will be skipped.`);
}
