import { Command } from "commander";
import { taskOf } from "../data/download/task.js";
import { ObjectStore, type ObjectStoreSettings } from "../data/upload/object-store.js";
import { uploadFolder } from "../data/upload/upload.js";
import { LingolensError } from "../errors.js";
import { integer, interruptSignal } from "./arguments.js";
import { progressBar } from "./progress-bar.js";

const HELP = `
Examples:
  lingolens data upload --input cc12m --to s3://bucket/cc12m
  lingolens data upload --input packed --to s3://bucket/packed --endpoint http://minio:9000

Keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the region from AWS_REGION, the endpoint
also from AWS_ENDPOINT_URL. Files that the store has already are not sent again; markers are sent last.`;

interface Flags {
  readonly input: string;
  readonly to: string;
  readonly endpoint?: string;
  readonly taskIndex?: number;
  readonly taskCount?: number;
  readonly json?: boolean;
}

export function uploadCommand(): Command {
  return new Command("upload")
    .description("send a folder of shards to S3-compatible storage")
    .requiredOption("--input <folder>", "what data download, import, translate or pack wrote")
    .requiredOption("--to <place>", "s3://bucket or s3://bucket/prefix")
    .option("--endpoint <url>", "of the store (default: Amazon's in the region)")
    .option(
      "--task-index <n>",
      "which part of the shards (default: from Slurm or Kubernetes, else all)",
      integer(0),
    )
    .option("--task-count <n>", "in how many parts they are", integer(1))
    .option("--json", "print the summary as JSON")
    .addHelpText("after", HELP)
    .action(upload);
}

async function upload({ input, to, endpoint, json, ...task }: Flags): Promise<void> {
  const [, bucket, path = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(to) ?? [];
  if (bucket === undefined)
    throw new LingolensError("option-unsupported", `--to ${to}: expected s3://bucket or s3://bucket/prefix.`);
  const prefix = path.replace(/\/*$/, (end) => (path === end ? "" : "/"));
  const store = new ObjectStore(settingsOf(bucket, endpoint, process.env));
  const bar = progressBar("{bar} {value}/{total} files, {eta_formatted} left");
  try {
    const done = await uploadFolder({
      ...{ input, store, prefix },
      task: taskOf(task, process.env),
      signal: interruptSignal(),
      onProgress({ done, total }) {
        if (!bar?.isActive) bar?.start(total, 0);
        bar?.update(done);
      },
    });
    const { files, sent, bytes } = done;
    process.stdout.write(
      json
        ? `${JSON.stringify(done)}\n`
        : `${files} files in ${to}, ${sent} of them sent now (${(bytes / 1e6).toFixed(1)} MB)\n`,
    );
  } finally {
    bar?.stop();
    await store.close();
  }
}

function settingsOf(
  bucket: string,
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ObjectStoreSettings {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey)
    throw new LingolensError(
      "option-unsupported",
      "Storage needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.",
    );
  const region = env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? "us-east-1";
  const endpoint =
    given ?? env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL ?? `https://s3.${region}.amazonaws.com`;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new LingolensError(
      "option-unsupported",
      `--endpoint ${endpoint}: expected a URL of http or https.`,
    );
  const keys = { accessKeyId, secretAccessKey, sessionToken: env.AWS_SESSION_TOKEN };
  return { endpoint, region, bucket, ...keys };
}
