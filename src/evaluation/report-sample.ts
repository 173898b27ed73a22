/** The pictures that a report shows, small. */
import sharp from "sharp";
import { pictureOf } from "../data/dataset.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { loadPicture } from "../image/picture-source.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import type { JudgedCaption } from "./judged-captions.js";

/** Each takes some kilobytes of the report. */
const SAMPLE = 96;
/** Of these, so many are the worst and as many the best of a language, as far as there is room. */
const EXTREMES = 8;
/** Pixels of a thumbnail's longer side. */
const THUMBNAIL = 224;

/**
 * Places of the pictures to show: the worst and the best by chrF in each language, then others at equal distances.
 * @param captions by picture
 */
export function chooseSample(captions: readonly (readonly JudgedCaption[])[], size = SAMPLE): number[] {
  const places = captions.flatMap((own, place) => (own.length > 0 ? [place] : []));
  const chosen = new Set<number>();
  const codes = [...new Set(captions.flatMap((own) => own.map(({ lang }) => lang)))];
  const each = Math.min(EXTREMES, Math.floor(size / (3 * codes.length)));
  for (const code of codes) {
    const ranked = places
      .flatMap((place) =>
        captions[place]!.filter(({ lang }) => lang === code).map(({ chrf }) => ({ place, chrf })),
      )
      .sort((a, b) => a.chrf - b.chrf);
    for (const { place } of [...ranked.slice(0, each), ...ranked.slice(Math.max(0, ranked.length - each))])
      chosen.add(place);
  }
  const others = places.filter((place) => !chosen.has(place));
  const wanted = Math.min(size - chosen.size, others.length);
  for (let i = 0; i < wanted; i++) chosen.add(others[Math.floor((i * others.length) / wanted)]!);
  return [...chosen].sort((a, b) => a - b);
}

/** The picture as a data URL; nothing where it can no longer be read. */
export async function thumbnail(
  { entry, image }: EvaluatedPicture,
  { ignoreExif, signal }: { readonly ignoreExif: boolean; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  throwIfCancelled(signal);
  try {
    const { width, height, data } = await loadPicture(await pictureOf(entry), { name: image, ignoreExif });
    const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
      .resize({ width: THUMBNAIL, height: THUMBNAIL, fit: "inside", withoutEnlargement: true })
      .webp({ quality: 70 })
      .toBuffer();
    return `data:image/webp;base64,${bytes.toString("base64")}`;
  } catch (error) {
    if (error instanceof LingolensError) return undefined;
    throw error;
  }
}
