import type { Caption, CaptionSettings, View } from "./caption.js";

/** What the page asks of the worker that runs the model. */
export type ToWorker =
  | { readonly type: "load"; readonly model: string; readonly engine: string }
  | {
      readonly type: "describe";
      readonly id: number;
      readonly picture: Blob;
      readonly languages: readonly string[];
      readonly settings: CaptionSettings;
    }
  | { readonly type: "cancel"; readonly id: number };

/** What the worker answers. */
export type FromWorker =
  | { readonly type: "progress"; readonly done: number; readonly total: number }
  | { readonly type: "ready"; readonly languages: readonly string[]; readonly view: View }
  | { readonly type: "load-failed"; readonly code: string; readonly message: string }
  | { readonly type: "partial"; readonly id: number; readonly language: string; readonly text: string }
  | {
      readonly type: "captions";
      readonly id: number;
      readonly language: string;
      readonly captions: readonly Caption[];
    }
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "failed"; readonly id: number; readonly code: string; readonly message: string };
