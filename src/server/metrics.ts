/** Counters, gauges and histograms in Prometheus' text format, version 0.0.4. */
import { monitorEventLoopDelay } from "node:perf_hooks";

type Labels = Readonly<Record<string, string | number>>;

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128];

/** What the server counts. */
export class Metrics {
  readonly requests = new Counter("lingolens_http_requests_total", "Requests by route and status.");
  readonly duration = new Histogram(
    "lingolens_http_request_duration_seconds",
    "From a request's headers to the end of its answer, by route.",
    SECONDS,
  );
  readonly pictures = new Counter("lingolens_pictures_total", "Pictures by outcome: described or failed.");
  readonly captions = new Counter("lingolens_captions_total", "Captions made, by language.");
  readonly batchSize = new Histogram("lingolens_batch_pictures", "Pictures a batch.", SIZES);
  readonly queueTime = new Histogram(
    "lingolens_queue_seconds",
    "From a picture being ready to its captions being made.",
    SECONDS,
  );
  readonly #loop = monitorEventLoopDelay({ resolution: 10 });

  /** @param gauges read when asked for */
  constructor(private readonly gauges: readonly Gauge[]) {
    this.#loop.enable();
  }

  text(): string {
    const seconds = (nanoseconds: number): number => nanoseconds / 1e9;
    const gauges: Gauge[] = [
      ...this.gauges,
      {
        name: "lingolens_event_loop_delay_p99_seconds",
        help: "99th percentile since the last look.",
        value: () => seconds(this.#loop.percentile(99)),
      },
      {
        name: "lingolens_event_loop_delay_max_seconds",
        help: "The longest since the last look.",
        value: () => seconds(this.#loop.max),
      },
      {
        name: "process_resident_memory_bytes",
        help: "Resident memory.",
        value: () => process.memoryUsage.rss(),
      },
      {
        name: "process_start_time_seconds",
        help: "When the process began.",
        value: () => performance.timeOrigin / 1000,
      },
    ];
    const own = [
      this.requests,
      this.duration,
      this.pictures,
      this.captions,
      this.batchSize,
      this.queueTime,
    ].map((metric) => metric.text());
    const { user, system } = process.cpuUsage();
    const processorTime = "process_cpu_seconds_total";
    const text = [
      ...own,
      `${header(processorTime, "Processor time of all threads.", "counter")}${processorTime} ${(user + system) / 1e6}\n`,
      ...gauges.map(({ name, help, value }) => `${header(name, help, "gauge")}${name} ${value()}\n`),
    ].join("");
    this.#loop.reset();
    return text;
  }

  close(): void {
    this.#loop.disable();
  }
}

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly value: () => number;
}

class Counter {
  readonly #values = new Map<string, number>();

  constructor(
    private readonly name: string,
    private readonly help: string,
  ) {}

  add(labels: Labels, amount = 1): void {
    const key = format(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  text(): string {
    const lines = [...this.#values].map(([labels, value]) => `${this.name}${labels} ${value}\n`);
    return header(this.name, this.help, "counter") + lines.join("");
  }
}

class Histogram {
  readonly #series = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();

  constructor(
    private readonly name: string,
    private readonly help: string,
    private readonly bounds: readonly number[],
  ) {}

  observe(value: number, labels: Labels = {}): void {
    const key = format(labels);
    let series = this.#series.get(key);
    if (!series) {
      series = { labels, counts: this.bounds.map(() => 0), sum: 0, count: 0 };
      this.#series.set(key, series);
    }
    this.bounds.forEach((bound, i) => {
      if (value <= bound) series.counts[i]!++;
    });
    series.sum += value;
    series.count++;
  }

  text(): string {
    const lines = [...this.#series].flatMap(([key, { labels, counts, sum, count }]) => [
      ...this.bounds.map((le, i) => `${this.name}_bucket${format({ ...labels, le })} ${counts[i]}\n`),
      `${this.name}_bucket${format({ ...labels, le: "+Inf" })} ${count}\n`,
      `${this.name}_sum${key} ${sum}\n`,
      `${this.name}_count${key} ${count}\n`,
    ]);
    return header(this.name, this.help, "histogram") + lines.join("");
  }
}

function header(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

/** Label values are of our own choosing, and hold nothing that needs escaping. */
function format(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length > 0 ? `{${pairs.join(",")}}` : "";
}
