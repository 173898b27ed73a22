import { join } from "node:path";
import { encodePng } from "../image/encode-png.js";
import type { RgbImage } from "../image/pixels.js";
import { inRunFolder } from "./checkpoint-writer.js";
import type { CaptionSample } from "./evaluate-captions.js";
import type { Evaluation } from "./evaluator.js";
import { logMetrics, type MetricsLine, truncateMetrics } from "./metrics-log.js";
import { type EventLog, openEventLog } from "./tensorboard/event-log.js";
import type { Scalar } from "./tensorboard/events.js";

/** A logged step: means since the last one, and the step's own gradient and rate. */
export interface StepLog {
  readonly loss: number;
  readonly lr: number;
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
  readonly picturesPerSecond: number;
  /** Of the speed of a matrix product by itself; more in docs/training.md. */
  readonly productShare: number;
  /** Steps skipped since the last one, if any. */
  readonly skipped?: number;
}

/** What a run says of itself, in its folder: `metrics.jsonl`, and events for TensorBoard in `logs/`. */
export class RunLog {
  private constructor(
    private readonly out: string,
    private readonly events: EventLog,
  ) {}

  /** @param step the step that the run goes on from; what was said of later ones is forgotten */
  static async open(out: string, step: number): Promise<RunLog> {
    return inRunFolder(out, async () => {
      await truncateMetrics(join(out, "metrics.jsonl"), step);
      return new RunLog(out, await openEventLog(join(out, "logs"), step));
    });
  }

  async step(step: number, line: StepLog): Promise<void> {
    const scalars = Object.entries(line).map(([name, scalar]) => ({ tag: `train/${name}`, scalar }));
    await this.#write({ step, ...line }, () => this.events.write(step, scalars));
  }

  async evaluation(step: number, evaluation: Evaluation): Promise<void> {
    const captions = (evaluation.samples ?? []).map((sample, i) => {
      return { tag: pictureTag(i), text: sampleTable(sample) };
    });
    await this.#write({ step, evaluation }, () =>
      this.events.write(step, [...evaluationScalars(evaluation), ...captions]),
    );
  }

  /** Shows the pictures of the samples in TensorBoard. */
  async pictures(step: number, images: readonly RgbImage[]): Promise<void> {
    const pictures = images.map(async (image, i) => {
      const { width, height } = image;
      return { tag: pictureTag(i), png: await encodePng(image), width, height };
    });
    const encoded = await Promise.all(pictures);
    await inRunFolder(this.out, () => this.events.write(step, encoded));
  }

  #write(line: MetricsLine, writeEvents: () => Promise<void>): Promise<void> {
    return inRunFolder(this.out, async () => {
      await logMetrics(join(this.out, "metrics.jsonl"), line);
      await writeEvents();
    });
  }

  async close(): Promise<void> {
    await this.events.close();
  }
}

const pictureTag = (i: number): string => `samples/picture ${i + 1}`;

function evaluationScalars({ loss, languages, captions = {} }: Evaluation): Scalar[] {
  const scalars: Scalar[] = [{ tag: "evaluation/loss", scalar: loss }];
  for (const [lang, scalar] of Object.entries(languages)) scalars.push({ tag: `loss/${lang}`, scalar });
  for (const [lang, { bleu, chrf, cider, exactMatch, languageFidelity }] of Object.entries(captions))
    scalars.push(
      { tag: `bleu-4/${lang}`, scalar: bleu[3] },
      { tag: `chrf/${lang}`, scalar: chrf },
      { tag: `cider/${lang}`, scalar: cider },
      { tag: `exactMatch/${lang}`, scalar: exactMatch },
      ...(languageFidelity === null ? [] : [{ tag: `languageFidelity/${lang}`, scalar: languageFidelity }]),
    );
  return scalars;
}

/** A table in Markdown. */
function sampleTable(sample: CaptionSample): string {
  const rows = Object.entries(sample).map(([lang, { caption, reference = "" }]) =>
    [lang, caption, reference].map((text) => text.replace(/[\\|`*_<>[\]]/g, "\\$&").replace(/\s+/g, " ")),
  );
  return [["language", "caption", "reference"], ["---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}
