// Whether a model trained by the recipe flickr8k looks at its pictures.
//
//     npm run build && node bench/flickr8k.mjs --model runs/flickr8k/final --data flickr8k-1000/multilingual.jsonl
//         [--images DIR] [--split test_2016_flickr] [--shuffles 50] [--samples 6] [--json]
//
// Prints the loss per language of captions of unseen photos; how much it rises when photos are shuffled among the
// captions, the mean over 50 shuffles with the interval that holds 95 % of them, and the mean over photos with its 95 %
// interval (bootstrap); and captions of some photos.
import { parseArgs } from "node:util";
import { loadCaptioner } from "../dist/captioner/load-captioner.js";
import { captionsIn, pictureOf, readDataset } from "../dist/data/dataset.js";
import { randomNumbers } from "../dist/model/random.js";
import { mixSeeds, shuffle } from "../dist/training/shuffle.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    data: { type: "string" },
    images: { type: "string" },
    split: { type: "string", default: "test_2016_flickr" },
    shuffles: { type: "string", default: "50" },
    samples: { type: "string", default: "6" },
    json: { type: "boolean" },
  },
});
const languages = ["en", "de", "fr", "es"];
const captioner = await loadCaptioner({ model: values.model });
const entries = [];
for await (const entry of readDataset(values.data, { images: values.images, split: values.split }))
  entries.push(entry);
const pictures = await Promise.all(entries.map(pictureOf));

/** Sum of the loss and number of tokens of each photo's captions, in each language. */
const given = entries.flatMap((entry) =>
  languages.map((lang) => ({ lang, caption: captionsIn(entry, lang)[0] })),
);
const losses = [];
let tokens = [];
for (const picture of pictures) {
  const scored = await captioner.score(picture, given);
  losses.push(scored.map((one) => one.nll * one.tokens.length));
  tokens = scored.map((one) => one.tokens.length);
}

/** Loss a token of photo `of`'s captions when the model sees photo `seen`, over all languages or one. */
const sum = (list) => list.reduce((a, b) => a + b, 0);
const places = entries.map((_, i) => languages.map((_, l) => i * languages.length + l));
const perToken = (pairs, chosen = languages.map((_, l) => l)) =>
  sum(pairs.map(([of, seen]) => sum(chosen.map((l) => losses[seen][places[of][l]])))) /
  sum(pairs.map(([of]) => sum(chosen.map((l) => tokens[places[of][l]]))));
const own = entries.map((_, i) => [i, i]);

const rises = Array.from({ length: Number(values.shuffles) }, (_, s) => {
  const order = shuffle([...entries.keys()], mixSeeds(s, 1));
  return perToken(order.map((seen, of) => [of, seen])) - perToken(own);
});
/** By photo, the mean rise over all other photos shown in its place. */
const byPhoto = entries.map((_, of) => {
  const others = entries.flatMap((_, seen) => (seen === of ? [] : [[of, seen]]));
  return perToken(others) - perToken([[of, of]]);
});
const random = randomNumbers(1);
const resampled = Array.from({ length: 2000 }, () =>
  mean(byPhoto.map(() => byPhoto[Math.floor(random() * byPhoto.length)])),
);
function mean(list) {
  return sum(list) / list.length;
}
const interval = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  return [0.025, 0.975].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
};

const samples = [];
const shown = pictures.slice(0, Number(values.samples));
const results = await captioner.caption(shown, { lang: languages, maxLength: 40 });
results.forEach(({ lang, captions }, i) => {
  samples.push({ image: entries[Math.floor(i / languages.length)].image, lang, text: captions[0].text });
});
await captioner.close();

const result = {
  photos: entries.length,
  loss: perToken(own),
  languages: Object.fromEntries(languages.map((language, l) => [language, perToken(own, [l])])),
  rise: { overShuffles: mean(rises), interval: interval(rises) },
  riseByPhoto: { mean: mean(byPhoto), interval: interval(resampled) },
  samples,
};
if (values.json) console.log(JSON.stringify(result));
else {
  const range = ([low, high]) => `[${low.toFixed(4)}, ${high.toFixed(4)}]`;
  console.log(`${result.photos} photos of ${values.split}, loss ${result.loss.toFixed(4)}`);
  for (const [language, loss] of Object.entries(result.languages))
    console.log(`  ${language}  ${loss.toFixed(4)}`);
  console.log(
    `rise when photos are shuffled, over shuffles  ${mean(rises).toFixed(4)} ${range(interval(rises))}`,
  );
  console.log(
    `the same, over photos                         ${mean(byPhoto).toFixed(4)} ${range(interval(resampled))}`,
  );
  for (const { image, lang, text } of samples) console.log(`${image}  ${lang}  ${text}`);
}
