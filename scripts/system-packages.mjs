// Programs outside npm that some tests need. On Debian, as root, they are installed; elsewhere one line says how, and the
// tests that need them are skipped.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Debian's packages by the program that shows them to be there. */
const PACKAGES = { "/usr/bin/chromium": "chromium", "/usr/bin/mpirun": "openmpi-bin" };

export function installSystemPackages() {
  const missing = Object.entries(PACKAGES).flatMap(([program, name]) => (existsSync(program) ? [] : [name]));
  if (missing.length === 0 || process.platform !== "linux") return;
  const install = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!existsSync("/etc/debian_version") || process.getuid() !== 0) {
    console.error(`Tests that need ${missing.join(", ")} will be skipped. On Debian: sudo ${install}`);
    return;
  }
  console.error(`Installing ${missing.join(", ")}…`);
  const run = (command) =>
    spawnSync("sh", ["-c", command], {
      stdio: ["ignore", "ignore", 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    }).status === 0;
  if (!(run("apt-get update -qq") && run(install)))
    console.error(`It failed; the tests that need ${missing.join(", ")} will be skipped.`);
}
