// A chart of numbers over time, by uPlot, which is loaded with the first of them. Below it stands
// what each line is and its last value, so that it can be read without seeing the lines.

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { timeOfDay } from "../model/format.ts";
import { latest, type Timeline } from "../model/series.ts";
import { theme } from "../model/state.ts";

export interface Line {
  /** Its name in the timeline. */
  of: string;
  title: string;
  /** Which of the colours 1 to 6. */
  colour: 1 | 2 | 3 | 4 | 5 | 6;
}

/** What queues hold: the same lines wherever it is shown. */
export const HELD: Line[] = [
  { of: "messages_ready", title: "Ready", colour: 1 },
  { of: "messages_unacked", title: "Unacked", colour: 2 },
];

interface ChartProps {
  /** What it is a chart of, unless a heading says so. */
  title?: string;
  lines: Line[];
  data: Timeline | undefined;
  /** How numbers are written. */
  format: (value: number | null | undefined) => string;
  /** How much of the time up to now is shown, in seconds. */
  seconds: number;
  height?: number;
  /** Up to where the values go at the least, so that little does not look like much. */
  least?: number;
  /** Whether numbers are in units that go by 1024. */
  binary?: boolean;
}

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, power) => 2 ** power);

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

type Make = (element: HTMLElement) => uPlot;

async function plotter(props: () => ChartProps): Promise<Make> {
  const { default: Plot } = await import("uplot");
  return (element) => {
    const { lines, format, height = 150, least = 1, binary } = props();
    const axis = {
      stroke: colour("--muted"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const options: uPlot.Options = {
      width: element.clientWidth || 300,
      height,
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      padding: [8, 18, 0, 0],
      scales: {
        x: {
          range: () => {
            const now = Date.now() / 1000;
            return [now - props().seconds, now];
          },
        },
        y: { range: (_, low, high) => [Math.min(low ?? 0, 0), Math.max(high ?? 0, least) * 1.08] },
      },
      axes: [
        {
          ...axis,
          size: 24,
          space: 70,
          values: (_, splits, __, ___, step) =>
            splits.map((second) => timeOfDay(second * 1000, step < 60)),
        },
        {
          ...axis,
          size: 66,
          values: (_, splits) => splits.map((value) => format(value)),
          ...(binary && { incrs: POWERS_OF_TWO }),
        },
      ],
      series: [
        {},
        ...lines.map(({ title, colour: number }) => ({
          label: title,
          stroke: colour(`--series-${number}`),
          width: 1.6,
          points: { show: false },
        })),
      ],
    };
    return new Plot(options, aligned(props()), element);
  };
}

function aligned({ data, lines }: ChartProps): uPlot.AlignedData {
  const at = data?.at ?? [];
  const rows = lines.map(({ of }) => data?.series[of] ?? at.map(() => null));
  return [at, ...rows];
}

export function Chart(props: ChartProps) {
  const { title, lines, data, format, seconds } = props;
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const now = useRef(props);
  now.current = props;
  const names = lines.map(({ of, title: text }) => of + text).join();

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    let isOver = false;
    let make: Make | undefined;
    const draw = () => {
      plot.current?.destroy();
      plot.current = make?.(element);
    };
    const size = new ResizeObserver(() => {
      const { height = 150 } = now.current;
      const width = element.clientWidth;
      if (width > 0) plot.current?.setSize({ width, height });
    });
    // Colours are drawn, so that another theme takes another drawing.
    const unwatch = effect(() => {
      theme.value;
      draw();
    });
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    void plotter(() => now.current).then((ready) => {
      if (isOver) return;
      make = ready;
      draw();
      size.observe(element);
    });
    return () => {
      isOver = true;
      unwatch();
      dark.removeEventListener("change", draw);
      size.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names]);

  useEffect(() => {
    plot.current?.setData(aligned(now.current));
  }, [data, seconds]);

  return (
    <figure class="chart">
      {title && <figcaption>{title}</figcaption>}
      <div ref={frame} class="chart-frame" aria-hidden="true" />
      <ul class="chart-legend">
        {lines.map(({ of, title: text, colour: number }) => (
          <li key={of}>
            <span class={`line-swatch series-${number}`} />
            {text} <strong>{format(latest(data, of))}</strong>
          </li>
        ))}
      </ul>
    </figure>
  );
}

export const RANGES: [number, string][] = [
  [60, "1 min"],
  [600, "10 min"],
  [3600, "1 h"],
];

/** A choice of how much time charts show. */
export function RangeChoice(props: { value: number; onChange: (seconds: number) => void }) {
  return (
    <fieldset class="ranges">
      <legend class="hidden">Time shown</legend>
      {RANGES.map(([seconds, text]) => (
        <button
          key={seconds}
          type="button"
          aria-pressed={props.value === seconds}
          onClick={() => props.onChange(seconds)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
