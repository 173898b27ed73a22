import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchesByLength } from "./batches.js";
import { protectPersons } from "./placeholders.js";
import { splitText } from "./sentences.js";
import { TranslationMemory } from "./translation-memory.js";
import { type LoadPair, Translator } from "./translator.js";

/** A pair whose tokens are words, and that translates by a function; it writes down what it was given. */
function wordPair(translate: (text: string) => string, score = -0.4) {
  const words: string[] = [];
  const calls: string[][] = [];
  const loaded: string[] = [];
  let open = 0;
  const load: LoadPair = async (to) => {
    loaded.push(to);
    expect(++open).toBe(1);
    return {
      to,
      model: `words-${to}`,
      revision: "1",
      longestSource: 512,
      encode: (text) =>
        text.split(" ").map((word) => {
          if (!words.includes(word)) words.push(word);
          return words.indexOf(word);
        }),
      async translate(sources) {
        const texts = sources.map((ids) => ids.map((id) => words[id]).join(" "));
        calls.push(texts);
        return texts.map((text) => {
          const translation = translate(text);
          return { text: translation, score, length: translation.split(" ").length };
        });
      },
      close: async () => {
        open--;
      },
    };
  };
  return { load, calls, loaded };
}

const GERMAN = new Map([
  ["a brown dog runs over a wet meadow", "ein brauner Hund läuft über eine nasse Wiese"],
  ["two cats sleep on the old sofa", "zwei Katzen schlafen auf dem alten Sofa"],
  ["Tom waves to Ben from the bridge", "Tom winkt Ben von der Brücke zu"],
]);
const german = (text: string): string => GERMAN.get(text) ?? `Übersetzt: ${text}`;
const [dog, cats] = [...GERMAN.keys()] as [string, string];

describe("Translator", () => {
  it("keeps the order, translates each distinct text once, and remembers", async () => {
    const { load, calls } = wordPair(german);
    const translator = await Translator.create({}, load);
    const first = await translator.translate([dog, cats, dog], { to: ["de"] });
    expect(first.de!.map(({ text }) => text)).toEqual([german(dog), german(cats), german(dog)]);
    expect(first.de![0]).toMatchObject({ model: "words-de", revision: "1", score: -0.4, faults: [] });
    const again = await translator.translate([cats], { to: ["de"] });
    expect(again.de).toEqual([first.de![1]]);
    expect(calls.flat().sort()).toEqual([dog, cats].sort());
    await translator.close();
  });

  it("has one model in memory, and asks for none where all is remembered", async () => {
    const { load, loaded } = wordPair(german);
    const translator = await Translator.create({}, load);
    await translator.translate([dog], { to: ["de", "fr"] });
    await translator.translate([dog], { to: ["de", "fr"] });
    expect(loaded).toEqual(["de", "fr"]);
    await translator.close();
  });

  it("brings masked names through under other names, and tries others where they are lost", async () => {
    const seen: string[] = [];
    const { load } = wordPair((text) => {
      seen.push(text);
      // A model that drops the first names.
      return text.includes("Tom")
        ? "Jemand winkt von der alten Brücke"
        : "Martin winkt Oliver von der Brücke zu";
    });
    const translator = await Translator.create({}, load);
    const { de } = await translator.translate(["<PERSON> waves to <PERSON> from the bridge"], { to: ["de"] });
    expect(seen).toEqual(["Tom waves to Ben from the bridge", "Martin waves to Oliver from the bridge"]);
    expect(de![0]).toMatchObject({ text: "<PERSON> winkt <PERSON> von der Brücke zu", faults: [] });
    await translator.close();
  });

  it("says that a name was lost where none of them came through", async () => {
    const { load } = wordPair(() => "jemand winkt uns von der Brücke zu");
    const translator = await Translator.create({}, load);
    const { de } = await translator.translate(["<PERSON> waves to us from the bridge"], { to: ["de"] });
    expect(de![0]!.faults).toContain("lost-placeholder");
    await translator.close();
  });

  it("says a person instead, or leaves the name out, before translating", async () => {
    const { load, calls } = wordPair(german);
    const translator = await Translator.create({}, load);
    for (const person of ["word", "drop"] as const)
      await translator.translate(["photo of <PERSON> at the beach"], { to: ["de"], person });
    expect(calls.flat()).toEqual(["photo of a person at the beach", "photo at the beach"]);
    await translator.close();
  });

  it("translates a long text sentence by sentence, and weighs scores by tokens", async () => {
    const sentence = (length: number, word: string) => `${Array(length).fill(word).join(" ")}.`;
    const text = [sentence(50, "A"), sentence(40, "B"), sentence(10, "C")].join(" ");
    const { load, calls } = wordPair((part) => part);
    const translator = await Translator.create({}, load);
    const { de } = await translator.translate([text], { to: ["de"] });
    expect(calls.flat()).toEqual([sentence(50, "A"), `${sentence(40, "B")} ${sentence(10, "C")}`]);
    expect(de![0]!.text).toBe(text);
    expect(de![0]!.score).toBeCloseTo(-0.4);
    await translator.close();
  });

  it("tells how far it is, up to the end, and stops when cancelled", async () => {
    const { load } = wordPair(german);
    const translator = await Translator.create({}, load);
    const texts = Array.from({ length: 100 }, (_, i) => `a dog with the number ${i} runs`);
    const progress: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => {
      expect(total).toBe(200);
      progress.push(done);
    };
    await translator.translate(texts, { to: ["de", "fr"], onProgress });
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.at(-1)).toBe(200);
    expect(progress.length).toBeGreaterThan(4);

    const controller = new AbortController();
    const cancelled = translator.translate(
      texts.map((text) => `${text} again`),
      { to: ["de"], signal: controller.signal, onProgress: () => controller.abort() },
    );
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
    await translator.close();
  });

  it("refuses beams that are none", async () => {
    const translator = await Translator.create({}, wordPair(german).load);
    await expect(translator.translate([dog], { to: ["de"], beams: 0 })).rejects.toThrow(/beams/);
    await translator.close();
  });
});

const sentences = fc
  .array(fc.constantFrom("a", "dog", "runs.", "Fast!", "why,", "blue;", "1.5", "so?"), {
    minLength: 1,
    maxLength: 60,
  })
  .map((words) => words.join(" "));
const countWords = (text: string): number => text.split(" ").length;

it("a split text loses nothing, and no part of several words is too long", () => {
  fc.assert(
    fc.property(sentences, fc.integer({ min: 1, max: 20 }), (text, most) => {
      const parts = splitText(text, most, countWords);
      expect(parts.join(" ")).toBe(text);
      for (const part of parts) expect(countWords(part)).toBeLessThanOrEqual(most);
    }),
  );
  expect(splitText("One two three. Four five, six.", 3, countWords)).toEqual([
    "One two three.",
    "Four five, six.",
  ]);
  expect(splitText("one two, three four", 3, countWords)).toEqual(["one two,", "three four"]);
});

it("batches hold every sentence once, keep their limits, and are of like lengths", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 32 }),
      (lengths, tokens, sentences) => {
        const batches = batchesByLength(lengths, { tokens, sentences });
        expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        const longest = batches.map((batch) => Math.max(...batch.map((i) => lengths[i]!)));
        expect(longest).toEqual([...longest].sort((a, b) => b - a));
        batches.forEach((batch, i) => {
          expect(batch.length).toBeLessThanOrEqual(sentences);
          if (batch.length > 1) expect(batch.length * longest[i]!).toBeLessThanOrEqual(tokens);
        });
      },
    ),
  );
});

describe("protectPersons", () => {
  it("gives each person a name that the text does not have, and puts the masks back wherever they went", () => {
    const { text, restore } = protectPersons("Tom meets <PERSON> <PERSON> and <PERSON>'s dog", 0);
    expect(text).toBe("Tom meets Ben and Max's dog");
    expect(restore("Maxs Hund, Tom und Ben")).toBe("<PERSON>s Hund, Tom und <PERSON> <PERSON>");
    expect(restore("Max und Tom")).toBeUndefined();
    expect(restore("Ben, Ben und Max")).toBeUndefined();
    expect(restore("Benjamin und Max")).toBeUndefined();
  });

  it("leaves texts without masks alone", () => {
    const { text, restore } = protectPersons("Tom and Ben", 0);
    expect(text).toBe("Tom and Ben");
    expect(restore("Tom und Ben")).toBe("Tom und Ben");
  });
});

it("a memory forgets what was not asked for the longest", () => {
  const memory = new TranslationMemory<number>(2);
  memory.set("a", 1);
  memory.set("b", 2);
  expect(memory.get("a")).toBe(1);
  memory.set("c", 3);
  expect([memory.get("a"), memory.get("b"), memory.get("c")]).toEqual([1, undefined, 3]);
});
