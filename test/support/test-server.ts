import type { Captioner } from "../../src/captioner/captioner.js";
import type { ModelFiles } from "../../src/server/model-files.js";
import { type RunningServer, startServer } from "../../src/server/server.js";
import { DEFAULT_SETTINGS, type ServerSettings } from "../../src/server/settings.js";
import type { StaticFiles } from "../../src/server/static-files.js";
import type { Translations } from "../../src/server/translations.js";

export interface TestServer extends RunningServer {
  /** The log so far. */
  readonly events: readonly ({ readonly event: string } & Record<string, unknown>)[];
}

/** A server of this process on a port that is free. */
export async function testServer(
  captioner: Captioner,
  settings: Partial<ServerSettings> = {},
  files?: StaticFiles,
  modelFiles?: ModelFiles,
  translations?: Translations,
): Promise<TestServer> {
  const events: ({ event: string } & Record<string, unknown>)[] = [];
  const server = await startServer(
    {
      captioner,
      model: undefined,
      settings: { ...DEFAULT_SETTINGS, shutdownDeadline: 30, ...settings },
      version: "1.2.3",
      log: (event, fields) => events.push({ event, ...fields }),
      files,
      modelFiles,
      translations,
    },
    { host: "127.0.0.1", port: 0 },
  );
  return { ...server, events };
}

/** The same captioner with another way to tell captions as they grow. */
export function withStream(captioner: Captioner, stream: Captioner["stream"]): Captioner {
  const { config, languages, preprocessor } = captioner;
  return {
    config,
    languages,
    preprocessor,
    caption: captioner.caption.bind(captioner) as Captioner["caption"],
    captionEach: captioner.captionEach.bind(captioner),
    logits: captioner.logits.bind(captioner),
    score: captioner.score.bind(captioner),
    decode: captioner.decode.bind(captioner),
    close: captioner.close.bind(captioner),
    stream,
  };
}

/** A value of Prometheus' text; 0 where it was not counted yet. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line ? Number(line.slice(name.length + 1)) : 0;
}

/** The events of an answer of server-sent events. */
export function serverSentEvents(text: string): { event: string; data: Record<string, unknown> }[] {
  return text
    .split("\n\n")
    .filter(Boolean)
    .map((block) => {
      const field = (name: string) =>
        block
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))!
          .slice(name.length + 2);
      return { event: field("event"), data: JSON.parse(field("data")) };
    });
}
