// Describes the example pictures in four languages: npm run demo
//
// From a fresh clone it installs and builds first. Run again, it does neither, unless something has changed.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildIfChanged, installPackages, requireNode, root } from "./prepare.mjs";

requireNode();
installPackages();
if (!buildIfChanged()) process.exit(1);

const cli = join("dist", "cli", "main.js");
const args = ["caption", "examples", "--lang", "en,de,fr,es"];
console.error(`lingolens ${args.join(" ")}\n`);
const { status } = spawnSync(process.execPath, [cli, ...args], { cwd: root, stdio: "inherit" });
process.exit(status ?? 1);
