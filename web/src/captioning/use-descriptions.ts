import { useEffect, useRef, useState } from "react";
import { Turns } from "../../../src/engine/turns.js";
import type { Picture } from "../pictures/picture.js";
import type { Caption, Captioning, CaptionSettings, Failure } from "./caption.js";
import { failureOf } from "./caption.js";

/** What is known of a picture so far. */
export interface Description {
  /** What it was asked with: answers to earlier questions do not count. */
  readonly asked: object;
  readonly languages: readonly string[];
  /** By language: captions that are still growing. */
  readonly partial: Readonly<Record<string, string>>;
  readonly captions: Readonly<Record<string, readonly Caption[]>>;
  /** By language: the best caption in English, "" while it is translated; none where it was not translated. */
  readonly translations: Readonly<Record<string, string>>;
  readonly busy: boolean;
  readonly failure?: Failure;
}

const ENGLISH = "en_XX";

/** Pictures that are described at once; the server is fair, but the page should be too. */
const AT_ONCE = 2;

/**
 * Describes what is on the page: new pictures, languages that are added, and all of it anew where the settings or the
 * place that captions come from change. What is no longer wanted is cancelled.
 */
export function useDescriptions(
  pictures: readonly Picture[],
  languages: readonly string[],
  settings: CaptionSettings,
  captioning: Captioning | undefined,
): { descriptions: ReadonlyMap<string, Description>; retry(id: string): void } {
  const [descriptions, setDescriptions] = useState<ReadonlyMap<string, Description>>(new Map());
  const known = useRef(new Map<string, Description>());
  const running = useRef(new Map<string, Set<AbortController>>());
  const turns = useRef(new Turns(AT_ONCE));
  const question = useRef<{ settings: CaptionSettings; captioning: Captioning }>(undefined);

  const publish = useRef((id: string, description: Description | undefined) => {
    if (description) known.current.set(id, description);
    else known.current.delete(id);
    setDescriptions(new Map(known.current));
  }).current;

  const forget = useRef((id: string) => {
    for (const abort of running.current.get(id) ?? []) abort.abort();
    running.current.delete(id);
    publish(id, undefined);
  }).current;

  const describe = useRef(
    async (picture: Picture, missing: readonly string[], how: CaptionSettings, by: Captioning) => {
      const { id } = picture;
      const abort = new AbortController();
      const own = running.current.get(id) ?? new Set();
      running.current.set(id, own.add(abort));
      /** The description changes as long as the question is the same. */
      const change = (change: (before: Description) => Partial<Description>): void => {
        const before = known.current.get(id);
        if (before && !abort.signal.aborted) publish(id, { ...before, ...change(before) });
      };
      const translate = async (lang: string, text: string): Promise<void> => {
        const put = (translation: string): void =>
          change(({ translations }) => ({ translations: { ...translations, [lang]: translation } }));
        put("");
        const english = await by.translate!(text, lang, abort.signal).catch(() => "");
        if (english) put(english);
        else change(({ translations: { [lang]: _, ...others } }) => ({ translations: others }));
      };
      try {
        await turns.current.take(async () => {
          abort.signal.throwIfAborted();
          await by.describe({
            picture: picture.blob,
            languages: missing,
            settings: how,
            signal: abort.signal,
            onPartial: (lang, text) => change(({ partial }) => ({ partial: { ...partial, [lang]: text } })),
            onCaptions: (lang, captions) => {
              change((before) => ({ captions: { ...before.captions, [lang]: captions } }));
              if (by.translate && lang !== ENGLISH && captions[0]) void translate(lang, captions[0].text);
            },
          });
        });
      } catch (error) {
        change(() => ({ failure: failureOf(error) }));
      } finally {
        own.delete(abort);
        change(() => ({ busy: own.size > 0 }));
      }
    },
  ).current;

  useEffect(() => {
    const present = new Set(pictures.map(({ id }) => id));
    for (const id of known.current.keys()) if (!present.has(id)) forget(id);
    // What was said before stays until there is something to ask anew.
    if (!captioning) return;
    const { current } = question;
    const same = current?.settings === settings && current.captioning === captioning;
    const asked = same ? current : { settings, captioning };
    question.current = asked;
    for (const [id, before] of known.current) if (before.asked !== asked) forget(id);
    for (const picture of pictures) {
      const before = known.current.get(picture.id);
      const missing = languages.filter((lang) => !before?.languages.includes(lang));
      if (missing.length === 0) continue;
      publish(picture.id, {
        asked,
        partial: {},
        captions: {},
        translations: {},
        ...before,
        languages: [...(before?.languages ?? []), ...missing],
        busy: true,
      });
      void describe(picture, missing, settings, captioning);
    }
  }, [pictures, languages, settings, captioning, publish, forget, describe]);

  const retry = (id: string): void => {
    const picture = pictures.find((one) => one.id === id);
    if (!picture || !captioning) return;
    forget(id);
    publish(id, {
      asked: question.current!,
      partial: {},
      captions: {},
      translations: {},
      languages,
      busy: true,
    });
    void describe(picture, languages, settings, captioning);
  };
  return { descriptions, retry };
}
