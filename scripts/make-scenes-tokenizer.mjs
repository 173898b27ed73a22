// Makes the tokenizer of the bundled model: mBART-50's, cut down to the words of the scenes' captions.
//
//     npm run build && node scripts/make-scenes-tokenizer.mjs <sentencepiece.bpe.model> models/scenes
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SCENE_LANGUAGES, sceneCaption } from "../dist/data/scenes/caption.js";
import { sceneAt } from "../dist/data/scenes/scene.js";
import { loadTokenizer } from "../dist/text/load-tokenizer.js";
import { trimTokenizer } from "../dist/text/trim-tokenizer.js";

const [source, out] = process.argv.slice(2);
const full = loadTokenizer({ sentencePieceModel: await readFile(source) });
// Enough scenes for every word of the grammars, in every form, to occur.
const scenes = ["train", "unseen-pairs"].flatMap((split) =>
  Array.from({ length: 5000 }, (_, index) => sceneAt({ split, seed: 0, index })),
);
const texts = SCENE_LANGUAGES.flatMap((language) =>
  scenes.map((scene) => sceneCaption(scene, language).text),
);
const distinct = [...new Set(texts)];
const trimmed = await trimTokenizer(full, { texts: () => distinct, languages: SCENE_LANGUAGES });
await mkdir(out, { recursive: true });
await writeFile(join(out, "sentencepiece.bpe.model"), trimmed.sentencePieceModel);
await writeFile(join(out, "tokenizer_config.json"), trimmed.tokenizerConfig);
console.log(`${trimmed.tokenizer.vocabularySize} pieces of ${full.vocabularySize}`);
