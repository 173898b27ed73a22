/** A caption as the API gives it; its text is made of its pieces. */
export interface Caption {
  readonly text: string;
  /** Mean log-probability of its tokens: 0 is certain. */
  readonly score: number;
  readonly tokens: readonly number[];
  /** For every token after the start token, the text it adds. */
  readonly pieces?: readonly string[];
  /** For every token after the start token, how much it looked at the whole, then at each patch, row by row. */
  readonly attention?: readonly (readonly number[])[];
  /** For every token after the start token, its log-probability. */
  readonly logProbs?: readonly number[];
}

/** By mBART code: a language's captions, best first. */
export type CaptionsByLanguage = Readonly<Record<string, readonly Caption[]>>;

/** How captions are made. */
export interface CaptionSettings {
  readonly beams: number;
  /** In tokens. */
  readonly maxLength: number;
  /** Temperature of sampling; 0 searches for the likeliest caption instead. */
  readonly diversity: number;
  readonly numCaptions: number;
  /** Of sampling; another draws other captions. */
  readonly seed: number;
}

export const DEFAULT_SETTINGS: CaptionSettings = {
  beams: 4,
  maxLength: 64,
  diversity: 0,
  numCaptions: 3,
  seed: 0,
};

/** The library's and API's options for these settings. */
export function captionOptions({ beams, maxLength, diversity, numCaptions, seed }: CaptionSettings) {
  const common = { maxLength, numCaptions, attention: true, logProbs: true };
  return diversity > 0
    ? { ...common, sample: true, temperature: diversity, seed }
    : { ...common, beams, numCaptions: Math.min(numCaptions, beams) };
}

/** One picture to be described. */
export interface Request {
  readonly picture: Blob;
  /** mBART codes. */
  readonly languages: readonly string[];
  readonly settings: CaptionSettings;
  readonly signal: AbortSignal;
  /** A caption while it grows; it may yet change. */
  readonly onPartial: (language: string, text: string) => void;
  readonly onCaptions: (language: string, captions: readonly Caption[]) => void;
}

/** What a model can do, wherever it runs. */
export interface Model {
  readonly id: string;
  /** Whether it is the one that comes with lingolens and knows drawn scenes only. */
  readonly bundled: boolean;
  /** mBART codes of the languages it knows. */
  readonly languages: readonly string[];
  readonly view: View;
  /** Path of its files, where the server lets browsers have them. */
  readonly files?: string;
}

/** How a picture is resized before its centre is cut out, which is what the model sees. */
export interface View {
  readonly size: { readonly shortestEdge: number } | { readonly width: number; readonly height: number };
  readonly cropSize: { readonly width: number; readonly height: number };
}

/** Where captions come from: the server, or this device. */
export interface Captioning {
  readonly model: Model;
  /** Resolves when all languages have come. @throws {Failure}; the signal's reason */
  describe(request: Request): Promise<void>;
  /**
   * A text of a language, by its mBART code, in English; absent where nothing translates.
   * @throws {Failure}; the signal's reason
   */
  readonly translate?: (text: string, language: string, signal: AbortSignal) => Promise<string>;
}

/** What went wrong, by the code of the API or the library. */
export class Failure extends Error {
  override readonly name = "Failure";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** What is said of any error. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("unexpected", error instanceof Error ? error.message : String(error));
}
