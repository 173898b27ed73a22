// From a list of links to a training run: rows like Conceptual Captions' from a web on loopback are downloaded, failures
// retried, captions translated, shards checked and packed, and `train` reads them for 20 steps. All of it is done twice:
// once undisturbed, and once with every stage killed (SIGKILL) at random moments and run again; both have to give the
// same bytes.
//
//     npm run build && node bench/data-pipeline.mjs [--rows 1000] [--kills 3] [--model-dir DIR] [--steps 20] [--json]
//
// Without --model-dir, translations are a phrase book's. With it, Marian models translate (DIR/opus-mt-en-de and the like)
// and the phrase book's words are put in place of theirs: models of random weights make noise, which the quality gate
// would rightly leave out.
import { fork, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const LANGUAGES = ["en", "es", "de", "fr"];

const SUBJECTS = [
  ["a brown dog", "un perro marrón", "ein brauner Hund", "un chien brun"],
  ["a young woman", "una mujer joven", "eine junge Frau", "une jeune femme"],
  ["an old man", "un hombre viejo", "ein alter Mann", "un vieil homme"],
  ["a white horse", "un caballo blanco", "ein weißes Pferd", "un cheval blanc"],
  ["a little girl", "una niña pequeña", "ein kleines Mädchen", "une petite fille"],
];
const PLACES = [
  ["walks along the beach", "camina por la playa", "läuft am Strand entlang", "marche le long de la plage"],
  ["is waiting in the garden", "está esperando en el jardín", "wartet im Garten", "attend dans le jardin"],
  [
    "rests under the big tree",
    "descansa bajo el gran árbol",
    "ruht unter dem großen Baum",
    "se repose sous le grand arbre",
  ],
  [
    "stands in front of the house",
    "está delante de la casa",
    "steht vor dem Haus",
    "se tient devant la maison",
  ],
];

const caption = (number, lang) =>
  `${SUBJECTS[number % SUBJECTS.length][lang]} ${PLACES[number % PLACES.length][lang]}, ${number + 100}`;

/** A picture for every number, but for those that are lost, come late, or are another's. */
async function serve() {
  const late = new Set();
  const server = createServer(async (request, answer) => {
    const number = Number(request.url.slice(1));
    if (number % 10 === 3) return answer.writeHead(404).end();
    if (number % 25 === 7 && !late.has(number)) return answer.writeHead(503).end();
    if (number % 20 === 11) return answer.end("<html>not a picture</html>");
    answer
      .writeHead(200, { "content-type": "image/jpeg" })
      .end(await picture(number % 50 === 42 ? 0 : number));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    /** What was not to be had is there now. */
    recover: () => {
      for (let i = 7; i < 1e6; i += 25) late.add(i);
    },
    failAgain: () => late.clear(),
    close: () => server.close(),
  };
}

function picture(number) {
  const [width, height] = [160 + (number % 7) * 8, 120];
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < data.length; i++)
    data[i] = 128 + 90 * Math.sin((i / 3 / (7 + (number % 13))) * (1 + (i % 3)) + number) + (number % 32);
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg()
    .toBuffer();
}

/** Runs a process to its end; before that, starts and kills it so many times. */
async function persist(start, kills) {
  for (let i = 0; i < kills; i++) {
    const child = start();
    const ended = once(child, "exit");
    await Promise.race([sleep(150 + Math.random() * 900), ended]);
    child.kill("SIGKILL");
    await ended;
  }
  const child = start();
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return { code, output };
}

async function lingolens(args, { kills = 0, code = 0 } = {}) {
  const stdio = ["ignore", "pipe", kills > 0 ? "ignore" : "inherit"];
  const done = await persist(() => spawn(process.execPath, [main, ...args], { stdio }), kills);
  if (done.code !== code)
    throw new Error(`lingolens ${args.join(" ")}: exit code ${done.code}\n${done.output}`);
  return args.includes("--json") ? JSON.parse(done.output) : done.output;
}

/** The child of `--translate`. */
async function translate(input, out, modelDir) {
  const { translateDataset } = await import("../dist/translation/translate-dataset.js");
  const { Translator } = await import("../dist/translation/translator.js");
  const { LanguagePair } = await import("../dist/translation/language-pair.js");
  const { createNativeEngine } = await import("../dist/engine/native.js");
  const engine = modelDir ? await createNativeEngine() : undefined;
  const load = async (to) => {
    const options = { from: "en", to, models: modelDir, dtype: "fp32", hub: { offline: true } };
    const pair = engine && (await LanguagePair.load(engine, options));
    const texts = [];
    const phrase = (source) => caption(Number(/\d+/.exec(source)[0]) - 100, LANGUAGES.indexOf(to));
    return {
      to,
      model: pair?.model ?? "phrase book",
      revision: pair?.revision ?? "1",
      longestSource: 512,
      encode: (source) => [texts.push(source) - 1],
      async translate(sources, settings) {
        const own = sources.map(([i]) => texts[i]);
        if (pair)
          await pair.translate(
            own.map((source) => pair.encode(source).slice(0, 60)),
            settings,
          );
        return own.map((source) => ({ text: phrase(source), score: -0.4, length: 12 }));
      },
      close: async () => pair?.close(),
    };
  };
  const translator = await Translator.create({}, load);
  const task = { taskIndex: 0, taskCount: 1 };
  const to = LANGUAGES.slice(1);
  const done = await translateDataset({
    input,
    out,
    from: "en",
    to,
    beams: 4,
    person: "keep",
    task,
    translator,
  });
  await translator.close();
  await engine?.close();
  process.stdout.write(JSON.stringify(done));
}

async function prepare(folder, list, web, kills, { rows, modelDir }) {
  const place = (name) => join(folder, name);
  const seconds = {};
  const timed = async (name, work) => {
    const start = performance.now();
    const result = await work();
    seconds[name] = Number(((performance.now() - start) / 1000).toFixed(2));
    return result;
  };
  web.failAgain();
  const shardSize = Math.max(10, Math.min(1000, Math.ceil(rows / 10)));
  const fetching = ["--out", place("raw"), "--allow-private", "--json"];
  const pictures = ["--size", "96", "--resize", "center-crop", "--shard-size", shardSize];
  const first = await timed("download", () =>
    lingolens(["data", "download", "--input", list, ...pictures.map(String), ...fetching], { kills }),
  );
  web.recover();
  const counts = await timed("retry", () => lingolens(["data", "retry", ...fetching], { kills }));
  const checked = await timed("check", () => lingolens(["data", "check", "--input", place("raw"), "--json"]));
  const { code, output } = await timed("translate", () =>
    persist(
      () =>
        fork(
          fileURLToPath(import.meta.url),
          ["--translate", place("raw"), place("translated"), modelDir ?? ""],
          {
            stdio: ["ignore", "pipe", kills > 0 ? "ignore" : "inherit", "ipc"],
          },
        ),
      kills,
    ),
  );
  if (code !== 0) throw new Error(`translating: exit code ${code}`);
  const pack = ["--input", place("translated"), "--lang", LANGUAGES.join(","), "--validation", "0.1"];
  const packed = await timed("pack", () =>
    lingolens(["data", "pack", ...pack, "--out", place("packed"), "--json"], { kills }),
  );
  return { first, counts, checked, translated: JSON.parse(output).counts, packed, seconds };
}

/** Digest of every file that training or another program reads. */
async function digests(folder) {
  const names = await readdir(folder, { recursive: true });
  // What lies in parts/ is joined in the end.
  const files = names.filter((name) => /\.(?:tar|tsv)$/.test(name) && !name.includes("parts/")).sort();
  const digest = async (name) =>
    createHash("sha256")
      .update(await readFile(join(folder, name)))
      .digest("hex");
  return Object.fromEntries(await Promise.all(files.map(async (name) => [name, await digest(name)])));
}

async function run({ rows, kills, steps, modelDir, json }) {
  const folder = await mkdtemp(join(tmpdir(), "lingolens-pipeline-"));
  const web = await serve();
  try {
    const list = join(folder, "list.tsv");
    const lines = Array.from({ length: rows }, (_, i) => `${web.base}/${i}\t${caption(i, 0)}\n`);
    await writeFile(list, lines.join(""));
    const calm = join(folder, "calm");
    const disturbed = join(folder, "disturbed");
    const options = { rows, modelDir };
    const result = await prepare(calm, list, web, 0, options);
    const expected = await digests(calm);
    let same;
    if (kills > 0) {
      await prepare(disturbed, list, web, kills, options);
      same = JSON.stringify(await digests(disturbed)) === JSON.stringify(expected);
    }
    const packed = join(calm, "packed");
    const inspected = await lingolens(["data", "inspect", "--input", packed, "--json"]);
    const start = performance.now();
    const values = {
      "data.path": join(packed, "train"),
      "data.validation": join(packed, "validation"),
      ...{ steps, batchSize: 8, warmupSteps: 2, evaluateCount: 8, captionCount: 0 },
      ...{ evaluateEvery: steps, checkpointEvery: steps, logEvery: 1 },
    };
    const sets = Object.entries(values).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    const trained = await lingolens(["train", "fine-tune", ...sets, "--out", join(folder, "run"), "--json"]);
    result.seconds.train = Number(((performance.now() - start) / 1000).toFixed(2));
    const shown = {
      ...{ rows, counts: result.counts, firstAttempt: result.first.succeeded },
      problems: result.checked.counts,
      translated: Object.fromEntries(
        Object.entries(result.translated).map(([lang, { accepted, rejected }]) => [
          lang,
          { accepted, rejected },
        ]),
      ),
      packed: result.packed,
      splits: inspected.splits,
      files: Object.keys(expected).length,
      ...(same !== undefined && { sameAfterKills: same, kills }),
      ...{ steps: trained.step, loss: trained.loss, seconds: result.seconds },
    };
    process.stdout.write(json ? `${JSON.stringify(shown)}\n` : `${JSON.stringify(shown, null, 2)}\n`);
    if (same === false) process.exitCode = 1;
  } finally {
    web.close();
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === "--translate") await translate(...process.argv.slice(3));
else {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: "1000" },
      kills: { type: "string", default: "3" },
      steps: { type: "string", default: "20" },
      "model-dir": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  await run({
    rows: Number(values.rows),
    kills: Number(values.kills),
    steps: Number(values.steps),
    modelDir: values["model-dir"],
    json: values.json,
  });
}
