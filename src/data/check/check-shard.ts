/** A shard of WebDataset's kind: its samples, and what the files beside it say of them. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { LingolensError } from "../../errors.js";
import { readDoneMarker, readShardRows } from "../download/shard-files.js";
import { isRecord } from "../formats/invalid.js";
import { openFile, readBytes } from "../formats/lines.js";
import { readSample } from "../formats/shards.js";
import { type TarMember, tarMembers } from "../formats/tar-members.js";
import { inOrder } from "../in-order.js";
import { readStats } from "../inspect/download-stats.js";
import { checkPicture } from "./check-picture.js";
import type { Problem } from "./problem.js";
import { digestOf, type Seen } from "./seen.js";

const PICTURES = ["jpg", "jpeg", "png", "webp"];
/** A description that is longer is no caption's. */
const LONGEST_TEXT_BYTES = 4 * 2 ** 20;

/** Files of the same name up to the first dot, whatever they are. */
interface Sample {
  readonly key: string;
  readonly members: TarMember[];
}

export async function* checkShard(path: string, seen: Seen): AsyncGenerator<Problem, void, undefined> {
  seen.begin(path);
  const file = await openFile(path);
  const captions = new Map<string, string | undefined>();
  let whole = true;
  try {
    const atATime = 2 * availableParallelism();
    const checked = inOrder(samplesIn(path), atATime, (sample) => checkSample(path, file, sample));
    for await (const { key, place, digest, caption, problems } of checked) {
      const before = seen.add(key, digest);
      if (before.name) yield { kind: "duplicate", place, message: `has the key of ${before.name}` };
      if (before.picture)
        yield { kind: "duplicate", place, message: `has the same picture as ${before.picture}` };
      yield* problems;
      captions.set(key, caption);
    }
  } catch (error) {
    yield tarProblem(path, error);
    whole = false;
  } finally {
    await file.close();
  }
  yield* checkFilesBeside(path, whole ? captions : undefined);
}

/** A tar file that cannot be read on is told of; other errors are not the dataset's. */
function tarProblem(path: string, error: unknown): Problem {
  if (!(error instanceof LingolensError && error.code === "dataset-invalid")) throw error;
  const isShort = /cut short|end of the tar file/.test(error.message);
  return { kind: isShort ? "truncated" : "damaged", place: path, message: error.message };
}

async function* samplesIn(path: string): AsyncGenerator<Sample> {
  let sample: Sample | undefined;
  for await (const member of tarMembers(path)) {
    const key = /^((?:.*\/)?[^/.]+)\.[^/]+$/s.exec(member.name)?.[1];
    if (key === undefined) continue;
    if (sample?.key !== key) {
      if (sample) yield sample;
      sample = { key, members: [] };
    }
    sample.members.push(member);
  }
  if (sample) yield sample;
}

interface CheckedSample {
  readonly key: string;
  readonly place: string;
  /** Of the picture, where there is one. */
  readonly digest: string | undefined;
  readonly caption: string | undefined;
  readonly problems: readonly Problem[];
}

async function checkSample(path: string, file: FileHandle, { key, members }: Sample): Promise<CheckedSample> {
  const problems: Problem[] = [];
  const place = `${path}, ${JSON.stringify(key.slice(0, 200))}`;
  const note = (kind: Problem["kind"], message: string) => problems.push({ kind, place, message });
  const files = new Map<string, TarMember>();
  for (const member of members) {
    const ending = member.name.slice(key.length + 1).toLowerCase();
    if (files.has(ending)) note("duplicate", `has two files that end in .${ending}`);
    files.set(ending, member);
  }
  const texts = new Map<string, string>();
  for (const ending of ["json", "txt"]) {
    const member = files.get(ending);
    if (!member) continue;
    const text = await readText(file, member);
    if (text === undefined) note("damaged", `its .${ending} is no UTF-8 text of at most 4 MiB`);
    else texts.set(ending, text);
  }
  let fields: Readonly<Record<string, unknown>> = {};
  const picture = PICTURES.flatMap((ending) => files.get(ending) ?? [])[0];
  if (!picture) note("incomplete", `has no picture, only .${[...files.keys()].join(", .")}`);
  else if (!texts.has("json") && !texts.has("txt")) note("incomplete", "has neither .json nor .txt");
  else
    try {
      fields = readSample(path, { key, files, texts }, "en").fields;
    } catch (error) {
      note("incomplete", withoutPlace(error as Error));
    }
  const caption = texts.get("txt")?.trim();
  const described = parse(texts.get("json"));
  if (caption !== undefined && typeof described?.caption === "string" && described.caption.trim() !== caption)
    note("mislabelled", "has another caption in .txt than in .json");
  let digest: string | undefined;
  if (picture) {
    const bytes = await readBytes(file, picture.start, picture.length);
    digest = digestOf(bytes);
    const ending = picture.name.slice(picture.name.lastIndexOf(".") + 1);
    for (const { kind, message } of await checkPicture(bytes, ending, fields)) note(kind, message);
  }
  return { key, place, digest, caption, problems };
}

/** What is wrong, of an error that begins with file and sample. */
function withoutPlace({ message }: Error): string {
  return message.replace(/^.*?: (?=expected )/s, "");
}

async function readText(file: FileHandle, { start, length }: TarMember): Promise<string | undefined> {
  if (length > LONGEST_TEXT_BYTES) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readBytes(file, start, length));
  } catch {
    return undefined;
  }
}

function parse(text: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param captions by key, of a shard that was read to its end
 */
async function* checkFilesBeside(
  path: string,
  captions: ReadonlyMap<string, string | undefined> | undefined,
): AsyncGenerator<Problem> {
  const folder = dirname(path);
  const shard = basename(path, ".tar");
  const disagreeing = (name: string, message: string): Problem => ({
    kind: "disagreeing",
    place: join(folder, name),
    message,
  });
  const marker = await readDoneMarker(folder, shard);
  if (marker && marker.sha256?.tar !== (await digestOfFile(path)))
    yield {
      kind: "damaged",
      place: path,
      message: `is not the file that ${shard}.done.json was written for`,
    };
  const list = join(folder, `${shard}.parquet`);
  if (!existsSync(list)) {
    if (marker) yield { kind: "missing", place: list, message: "is not there, and its shard is" };
    return;
  }
  const rows = await readShardRows(folder, shard, ["key", "status", "caption"]);
  const good = rows.filter(({ status }) => status === "success");
  if (captions) {
    const listed = new Set(good.map(({ key }) => key));
    const absent = good.filter(({ key }) => !captions.has(key)).map(({ key }) => key);
    const unlisted = [...captions.keys()].filter((key) => !listed.has(key));
    const others = good.filter(({ key, caption }) => {
      const own = captions.get(key);
      return own !== undefined && own !== caption?.trim();
    });
    if (absent.length > 0)
      yield disagreeing(`${shard}.parquet`, `names samples that are not there: ${some(absent)}`);
    if (unlisted.length > 0)
      yield disagreeing(`${shard}.parquet`, `does not name samples that are there: ${some(unlisted)}`);
    if (others.length > 0)
      yield disagreeing(
        `${shard}.parquet`,
        `has other captions than the shard: ${some(others.map(({ key }) => key))}`,
      );
  }
  const stats = join(folder, `${shard}_stats.json`);
  const counts = [
    ...(existsSync(stats) ? [[`${shard}_stats.json`, await readStats(stats)] as const] : []),
    ...(marker ? [[`${shard}.done.json`, marker] as const] : []),
  ];
  for (const [name, { rows: count, succeeded }] of counts)
    if (count !== rows.length || succeeded !== good.length)
      yield disagreeing(
        name,
        `counts ${count} rows and ${succeeded} pictures, the list ${rows.length} and ${good.length}`,
      );
}

function some(keys: readonly string[]): string {
  const more = keys.length > 5 ? ` and ${keys.length - 5} more` : "";
  return keys.slice(0, 5).join(", ") + more;
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk);
  return hash.digest("hex");
}
