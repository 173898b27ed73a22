import { createContext, type ReactNode, useContext, useEffect } from "react";
import type { Failure } from "../captioning/caption.js";
import { useStored } from "../settings/use-stored.js";
import { de } from "./de.js";
import { en, type Messages } from "./en.js";
import { es } from "./es.js";
import { fr } from "./fr.js";

const DICTIONARIES = { en, de, fr, es };
export type InterfaceLanguage = keyof typeof DICTIONARIES;
export const INTERFACE_LANGUAGES = Object.keys(DICTIONARIES) as readonly InterfaceLanguage[];

interface Interface {
  readonly language: InterfaceLanguage;
  readonly say: Messages;
  setLanguage(language: InterfaceLanguage): void;
}

const Context = createContext<Interface | undefined>(undefined);

/** The language that the page speaks: the one chosen, or the first of the browser's that it knows. */
export function InterfaceProvider({ children }: { readonly children: ReactNode }) {
  const [language, setLanguage] = useStored("interface", browserLanguage(), isKnown);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  return (
    <Context.Provider value={{ language, say: DICTIONARIES[language], setLanguage }}>
      {children}
    </Context.Provider>
  );
}

export function useInterface(): Interface {
  return useContext(Context)!;
}

function browserLanguage(): InterfaceLanguage {
  return navigator.languages.map((tag) => tag.slice(0, 2)).find(isKnown) ?? "en";
}

function isKnown(value: unknown): value is InterfaceLanguage {
  return typeof value === "string" && Object.hasOwn(DICTIONARIES, value);
}

/** What went wrong, in the page's language where it has words for it. */
export function failureText(say: Messages, { code, message }: Failure): string {
  return (say.failures as Readonly<Record<string, string>>)[code] ?? message;
}
