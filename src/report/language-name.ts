const names = new Intl.DisplayNames(["en"], { type: "language" });

/** English name of a language by its ISO code, such as "German"; the code where it has none. */
export function languageName(iso: string): string {
  return names.of(iso) ?? iso;
}
