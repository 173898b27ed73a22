/**
 * Captions by transformers.js from an exported folder: one JSON object on stdin, one on stdout.
 *
 * In: { folder, images: paths, languages: mBART codes, maxLength, dtype? }.
 * Out: [{ tokens, text }], per image and language; `piped` is what its pipeline makes of the first.
 */
import { basename, dirname } from "node:path";
import { text as readAll } from "node:stream/consumers";
import {
  AutoModelForVision2Seq,
  AutoProcessor,
  AutoTokenizer,
  env,
  pipeline,
  RawImage,
} from "@huggingface/transformers";

const { folder, images, languages, maxLength, dtype } = JSON.parse(await readAll(process.stdin));
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const id = basename(folder);
const options = dtype ? { dtype } : {};
const model = await AutoModelForVision2Seq.from_pretrained(id, options);
const tokenizer = await AutoTokenizer.from_pretrained(id);
const processor = await AutoProcessor.from_pretrained(id);

const idOf = (code) => tokenizer.convert_tokens_to_ids([code])[0];
const captions = [];
for (const path of images) {
  const { pixel_values } = await processor(await RawImage.read(path));
  for (const language of languages) {
    const generated = await model.generate({
      inputs: pixel_values,
      forced_bos_token_id: idOf(language),
      max_length: maxLength,
    });
    const [tokens] = generated.tolist().map((row) => row.map(Number));
    captions.push({ tokens, text: tokenizer.decode(tokens, { skip_special_tokens: true }) });
  }
}
const describe = await pipeline("image-to-text", id, options);
const [{ generated_text: piped }] = await describe(images[0], { forced_bos_token_id: idOf(languages[0]) });
process.stdout.write(JSON.stringify({ captions, piped }));
