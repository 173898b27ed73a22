// What the bundled model can do on scenes that training never showed.
//
//     npm run build && node bench/scenes.mjs [--model DIR] [--count 500] [--json]
//
// Prints, per language: the share of captions that are right word for word, by number of objects, and BLEU-4; the
// same for colours on shapes never seen together (unseen-pairs); how much the loss rises when pictures are shuffled
// among captions; and how much of a colour or shape word's attention lies inside its object's box.
import { parseArgs } from "node:util";
import { loadCaptioner } from "../dist/captioner/load-captioner.js";
import { sceneCaption } from "../dist/data/scenes/caption.js";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";
import { scoreCaptions } from "../dist/evaluation/caption-scores.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    count: { type: "string", default: "500" },
    json: { type: "boolean" },
  },
});
const count = Number(values.count);
const languages = ["en", "de", "fr", "es"];
const captioner = await loadCaptioner(values.model ? { model: values.model } : {});
const { imageSize, patchSize } = captioner.config.vision;
const grid = imageSize / patchSize;

const scenesOf = (split, objects) =>
  Array.from({ length: count }, (_, index) => sceneAt({ split, seed: 1, index, objects, size: imageSize }));

async function describe(scenes, attention = false) {
  const results = await captioner.caption(scenes.map(renderScene), {
    lang: languages,
    batchSize: 16,
    attention,
  });
  return scenes.map((scene, i) =>
    languages.map((language, j) => ({
      language,
      scene,
      reference: sceneCaption(scene, language),
      caption: results[i * languages.length + j].captions[0],
    })),
  );
}

async function scores(described) {
  const found = {};
  for (const [j, lang] of languages.entries()) {
    const own = described.map((row) => row[j]);
    const { exactMatch, bleu } = await scoreCaptions(
      own.map(({ caption }) => caption.text),
      own.map(({ reference }) => [reference.text]),
      { lang },
    );
    found[lang] = { exactMatch, bleu4: bleu[3] };
  }
  return found;
}

/** Mean loss of the captions of other scenes over that of their own. */
async function shuffledLoss(scenes) {
  const captions = scenes.map((scene) =>
    languages.map((lang) => ({ lang, caption: sceneCaption(scene, lang).text })),
  );
  const mean = async (shift) => {
    let sum = 0;
    let tokens = 0;
    for (const [i, scene] of scenes.entries())
      for (const scored of await captioner.score(renderScene(scene), captions[(i + shift) % scenes.length])) {
        sum += scored.nll * scored.tokens.length;
        tokens += scored.tokens.length;
      }
    return sum / tokens;
  };
  const own = await mean(0);
  const shuffled = await mean(1);
  return { own, shuffled, ratio: shuffled / own };
}

/** Share of each patch that a box covers, row by row. */
function coverage([x, y, width, height]) {
  const overlap = (start, size, cell) =>
    Math.max(0, Math.min(start + size, (cell + 1) * patchSize) - Math.max(start, cell * patchSize)) /
    patchSize;
  return Array.from({ length: grid * grid }, (_, patch) => {
    return overlap(x, width, patch % grid) * overlap(y, height, Math.floor(patch / grid));
  });
}

/** Attention inside the box against the box's share of the picture, for every colour and kind word of right captions. */
async function attentionShares(scenes) {
  const pairs = [];
  for (const { scene, reference, caption } of (await describe(scenes, true)).flat()) {
    if (caption.text !== reference.text) continue;
    const ends = characterEnds(caption.tokens);
    for (const { start, end, object, role } of reference.mentions) {
      if (role === "size") continue;
      const inside = coverage(scene.objects[object].box);
      const chance = inside.reduce((a, b) => a + b) / (grid * grid);
      caption.attention.forEach((weights, t) => {
        const [from, to] = [ends[t], ends[t + 1]];
        if (to <= start || from >= end || to === from) return;
        // Position 0 is the class position: attention to it lies in no box.
        const share = inside.reduce((sum, part, patch) => sum + part * weights[patch + 1], 0);
        pairs.push({ share, chance });
      });
    }
  }
  const differences = pairs.map(({ share, chance }) => share - chance);
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const average = mean(differences);
  const deviation = Math.sqrt(mean(differences.map((d) => (d - average) ** 2)));
  return {
    words: pairs.length,
    inside: mean(pairs.map(({ share }) => share)),
    chance: mean(pairs.map(({ chance }) => chance)),
    pairedT: average / (deviation / Math.sqrt(pairs.length)),
  };
}

/** Length of the text after each token. */
function characterEnds(tokens) {
  return tokens.map((_, i) => captioner.decode(tokens.slice(0, i + 1)).length);
}

const report = { model: values.model ?? "bundled", scenesPerRow: count, test: {}, unseenPairs: {} };
const all = [];
for (const objects of [1, 2, 3]) {
  const described = await describe(scenesOf("test", objects));
  report.test[objects] = await scores(described);
  all.push(...described);
  report.unseenPairs[objects] = await scores(await describe(scenesOf("unseen-pairs", objects)));
}
report.test.all = await scores(all);
const mixed = [1, 2, 3].flatMap((objects) => scenesOf("test", objects).slice(0, Math.ceil(count / 3)));
report.shuffled = await shuffledLoss(mixed);
report.attention = await attentionShares(mixed);
await captioner.close();

if (values.json) console.log(JSON.stringify(report));
else {
  const percent = (value) => `${(100 * value).toFixed(1)} %`.padStart(9);
  const row = (name, byLanguage) =>
    console.log(
      name.padEnd(26) +
        languages
          .map(
            (language) =>
              `${percent(byLanguage[language].exactMatch)}  ${byLanguage[language].bleu4.toFixed(3)}`,
          )
          .join("  "),
    );
  console.log(`${count} scenes a row; captions right word for word, BLEU-4\n`);
  console.log("".padEnd(26) + languages.map((language) => language.padStart(9).padEnd(16)).join("  "));
  for (const objects of [1, 2, 3]) row(`test, ${objects} object(s)`, report.test[objects]);
  row("test, all", report.test.all);
  for (const objects of [1, 2, 3]) row(`unseen pairs, ${objects} object(s)`, report.unseenPairs[objects]);
  const { own, shuffled, ratio } = report.shuffled;
  console.log(
    `\nloss ${own.toFixed(4)}; with pictures shuffled ${shuffled.toFixed(4)}: ${ratio.toFixed(1)} times`,
  );
  const { words, inside, chance, pairedT } = report.attention;
  console.log(
    `attention of ${words} colour and shape words inside the object's box: ${percent(inside).trim()}, ` +
      `by chance ${percent(chance).trim()} (paired t = ${pairedT.toFixed(1)})`,
  );
}
