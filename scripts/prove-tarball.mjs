// Proves that the package works for who installs it: npm run prove:tarball
//
// Packs it, installs the tarball with a plain `npm install` in an empty folder, with an empty home folder, no npm
// settings of this machine and no LINGOLENS_ variable, and runs the command line and the library from there. The
// machine's npm registry must be reachable.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages, requireNode, root } from "./prepare.mjs";

requireNode();
installPackages();
const place = mkdtempSync(join(tmpdir(), "lingolens-tarball-"));
try {
  prove(place);
} finally {
  rmSync(place, { recursive: true, force: true });
}

function prove(place) {
  const [packed] = JSON.parse(
    run("npm", ["pack", "--json", "--pack-destination", place], { cwd: root, quiet: true }),
  );
  const tarball = join(place, packed.filename);
  console.log(`  ${packed.files.length} files, ${megabytes(statSync(tarball).size)} packed`);
  refuseStrays(packed.files.map(({ path }) => path));

  console.log("\nA plain installation");
  install(join(place, "plain"), [tarball]);
  console.log(
    "\nAn installation where install scripts may not run: the first caption fetches the engine's library",
  );
  install(join(place, "without-scripts"), ["--ignore-scripts", tarball]);
  console.log("\nThe tarball works.");
}

/** Installs in an empty folder, with an empty home folder, and uses what is there. */
function install(place, args) {
  const home = join(place, "home");
  const consumer = join(place, "consumer");
  mkdirSync(home, { recursive: true });
  mkdirSync(consumer);
  const asConsumer = { cwd: consumer, env: consumerEnvironment(home) };
  run("npm", ["init", "--yes"], { ...asConsumer, quiet: true });
  timed(() => run("npm", ["install", ...args], asConsumer));

  expectMatch(run("npx", ["lingolens", "--help"], { ...asConsumer, quiet: true }), /caption/);
  cpSync(join(root, "examples", "scene-1.png"), join(consumer, "picture.png"));
  const caption = ["lingolens", "caption", "picture.png", "--lang", "en,de"];
  for (let times = 0; times < 2; times++)
    timed(() => expectMatch(run("npx", caption, asConsumer), /en {2}\S+.*\n.*de {2}\S+/));

  const program = `import { loadCaptioner } from "lingolens";
const captioner = await loadCaptioner();
const [result] = await captioner.caption(["picture.png"], { lang: "es" });
console.log(result.captions[0].text);
await captioner.close();
`;
  writeFileSync(join(consumer, "library.mjs"), program);
  expectMatch(run("node", ["library.mjs"], asConsumer), /\S/);
}

/** What must not be in the package. */
function refuseStrays(paths) {
  const wanted =
    /^(dist|docs|models|examples)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md|scripts\/postinstall\.mjs)$/;
  const strays = paths.filter((path) => !wanted.test(path) || /\.test\.|\.map$|\.sources$/.test(path));
  if (strays.length > 0) throw new Error(`The package holds what nobody needs: ${strays.join(", ")}`);
}

/** This machine's registry and proxy are the network's, not settings of ours; all else of npm's and ours goes. */
function consumerEnvironment(home) {
  const kept = Object.entries(process.env).filter(([name]) => {
    return !/^(npm_|LINGOLENS_|XDG_|NODE_OPTIONS$|INIT_CWD$)/i.test(name);
  });
  const registry = process.env.npm_config_registry;
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    USERPROFILE: home,
    ...(registry && { npm_config_registry: registry }),
  };
}

function run(command, args, { cwd, env = process.env, quiet = false }) {
  console.log(`$ ${[command, ...args].join(" ")}`);
  const shell = process.platform === "win32";
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, shell, encoding: "utf8" });
  if (error) throw error;
  if (!quiet || status !== 0) process.stdout.write(indent(stdout + stderr));
  if (status !== 0) throw new Error(`${command} ${args[0]} ended with ${status}`);
  return stdout;
}

function timed(work) {
  const start = performance.now();
  work();
  console.log(`  ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

function expectMatch(text, pattern) {
  if (!pattern.test(text)) throw new Error(`Expected ${pattern}; got ${JSON.stringify(text)}`);
}

function indent(text) {
  return text.replace(/^(?=.)/gm, "  ");
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
