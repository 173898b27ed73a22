// Runs the tests: npm test, npm test -- src/graph, npm test -- --coverage; arguments are Vitest's.
//
// From a fresh clone it installs and builds first. Tests that need the folder of goldens and fixtures find it through
// LINGOLENS_SHARED, and are skipped without it.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildIfChanged, installPackages, requireNode, root } from "./prepare.mjs";
import { installSystemPackages } from "./system-packages.mjs";

requireNode();
installPackages();
installSystemPackages();
// Tests of the command line run the built one. The others say more than a failed build does, so they run anyway.
const built = buildIfChanged();

const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const args = ["run", ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, [vitest, ...args], { cwd: root, stdio: "inherit" });
if (!built) console.error("The build failed; see above.");
process.exit(status || (built ? 0 : 1));
