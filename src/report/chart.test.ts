import fc from "fast-check";
import { parseFragment } from "parse5";
import { describe, expect, it } from "vitest";
import { barChart, plot, ticks } from "./chart.js";

describe("ticks", () => {
  it("are few and round, and span all values", () => {
    expect(ticks([0, 97], 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticks([-0.62, -0.11], 5)).toEqual([-0.8, -0.6, -0.4, -0.2, 0]);
    expect(ticks([3], 5)).toEqual([3, 4]);
    const finite = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1 }), (values) => {
        const found = ticks(values, 5);
        expect(found.length).toBeGreaterThan(1);
        expect(found.length).toBeLessThan(9);
        const slack = 1e-8 * Math.max(1e-3, ...values.map(Math.abs));
        expect(found[0]!).toBeLessThanOrEqual(Math.min(...values) + slack);
        expect(found.at(-1)!).toBeGreaterThanOrEqual(Math.max(...values) - slack);
      }),
    );
  });
});

describe("barChart", () => {
  const chart = barChart({
    title: "BLEU-4",
    bars: [
      { label: "English", value: 0.5, interval: [0.4, 0.6], mark: 0.3 },
      { label: "<b>", value: 0.25 },
    ],
    format: (value) => value.toFixed(2),
    markName: "published",
  }).markup;

  it("says in words what it shows", () => {
    expect(chart).toContain(
      'aria-label="BLEU-4: English 0.50 (0.40 to 0.60), published 0.30; &lt;b&gt; 0.25"',
    );
    expect(chart).not.toContain("<b>");
  });

  it("draws bars by their values", () => {
    const [first, second] = [...chart.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(first! / second!).toBeCloseTo(2, 1);
  });

  it("bears values that are all 0", () => {
    const none = barChart({ title: "CIDEr", bars: [{ label: "English", value: 0 }], format: String });
    expect(none.markup).toContain('width="0"');
    expect(none.markup).not.toContain("NaN");
  });
});

describe("plot", () => {
  const labels = { title: "Loss", description: "Falls.", xLabel: "step", yLabel: "nats" };
  const drawn = (as: "line" | "dots" | "bars" | "steps") =>
    plot({
      ...labels,
      series: [
        {
          name: "a",
          as,
          points: [
            [0, 0],
            [10, 1],
          ],
        },
      ],
      x: [0, 10],
      y: [0, 1],
    }).markup;

  it("draws lines and dots where they belong", () => {
    expect(drawn("line")).toContain('d="M44 180L352 20"');
    expect(drawn("dots")).toContain('d="M44 180h0M352 20h0"');
    expect(drawn("dots")).toContain('aria-label="Falls."');
  });

  it("gives bars and steps their width", () => {
    const points = [
      [1, 2],
      [2, 4],
    ] as const;
    const chart = plot({
      ...labels,
      series: [
        { name: "a", as: "bars", points },
        { name: "b", as: "steps", points },
      ],
      y: [0, 4],
    }).markup;
    expect(chart).toMatch(/class="columns" d="M\S+ 180V100H\S+V180zM\S+ 180V20H/);
    expect(chart).toMatch(/class="steps" d="M\S+ 180V100H\S+V20H\S+V180"/);
    expect(chart).toContain('<li class="series-1">a</li><li class="series-2">b</li>');
  });

  it("is well formed, whatever the names", () => {
    const text = "</svg><script>alert(1)</script>";
    const chart = plot({
      title: text,
      note: text,
      description: text,
      xLabel: text,
      yLabel: text,
      series: [
        { name: text, as: "line", points: [[0, 0]] },
        { name: '"', as: "dots", points: [[1, 1]] },
      ],
    });
    expect(parseFragment(chart.markup).childNodes.map(({ nodeName }) => nodeName)).toEqual([
      "figure",
      "#text",
    ]);
    expect(chart.markup).not.toContain("<script");
  });
});
