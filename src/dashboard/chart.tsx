import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { ChartData, Line } from "./chart-data.ts";
import { formatAmount, formatCompact, formatStart, formatTick } from "./format.ts";
import { usePage } from "./hooks.ts";
import { colours, dashOf } from "./palette.ts";

export interface ChartProps {
  readonly lines: readonly Line[];
  readonly data: ChartData;
  readonly windowMs: number;
  /** Event time of the counter, epoch ms; what lies right of it is still filling. */
  readonly watermark: number | null;
  readonly description: string;
}

const HEIGHT = 240;

/** Steps, since a bucket has one number from its start to its end. */
export function Chart(props: ChartProps) {
  const { lines, data, windowMs, description } = props;
  const { theme } = usePage();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const shape = JSON.stringify(lines);

  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const made = new uPlot(options(element.clientWidth, latest, setAt), toPlot(latest.current), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Lines are compared by what they say; colours change with the theme.
  }, [theme, shape]);

  useEffect(() => plot.current?.setData(toPlot(latest.current)), [data, windowMs]);

  return (
    <figure class="chart">
      <div ref={box} class="plot" role="img" aria-label={description} />
      <figcaption class="readout">{at === null ? <ChartKey /> : <Readout {...props} at={at} />}</figcaption>
    </figure>
  );
}

function ChartKey() {
  return (
    <span>
      <i class="key-open" /> still open: may change <i class="key-watermark" /> watermark
    </span>
  );
}

/** The numbers under the pointer. */
function Readout({ lines, data, windowMs, at }: ChartProps & { at: number }) {
  const start = data.starts[at];
  if (start === undefined) return <ChartKey />;
  return (
    <span>
      <b>{formatStart(start, windowMs)}</b>
      {lines.map(({ label }, i) => (
        <span key={label}>
          {" "}
          {label} <b>{formatAmount(data.columns[i]?.[at] ?? 0)}</b>
        </span>
      ))}{" "}
      {data.final[at] ? "final" : "open"}
    </span>
  );
}

/** A last point repeats the last value at the end of its bucket, so that its step is drawn. */
function toPlot({ data: { starts, columns }, windowMs }: ChartProps): uPlot.AlignedData {
  const end = (starts.at(-1) ?? 0) + windowMs;
  const numbers = columns.map((column) => column.map((amount) => (amount === null ? null : Number(amount))));
  return [[...starts, end].map((ms) => ms / 1_000), ...numbers.map((column) => [...column, column.at(-1) ?? null])];
}

function options(
  width: number,
  props: { readonly current: ChartProps },
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const { ink, grid, open, series } = colours();
  const { lines } = props.current;
  const axis: uPlot.Axis = {
    stroke: ink,
    font: "12px system-ui, sans-serif",
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
    scales: { x: { time: true }, y: { range: (_plot, min, max) => rangeOf(min, max) } },
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        values: (_plot, ticks, _axis, _space, step) => ticks.map((s) => formatTick(s * 1_000, step * 1_000)),
      },
      { ...axis, size: 52, values: (_plot, ticks) => ticks.map(formatCompact) },
    ],
    series: [
      {},
      ...lines.map(({ label, colour }) => ({
        label,
        stroke: series[colour] as string,
        width: 1.75,
        dash: dashOf(colour),
        points: { show: false },
        paths: uPlot.paths.stepped?.({ align: 1 }) as uPlot.Series.PathBuilder,
        ...(lines.length === 1 && { fill: `color-mix(in srgb, ${series[colour]} 14%, transparent)` }),
      })),
    ],
    hooks: {
      drawClear: [(plot) => shadeOpen(plot, props.current, open)],
      draw: [(plot) => drawWatermark(plot, props.current, ink)],
      setCursor: [({ cursor: { idx, left } }) => onPoint((left ?? -1) < 0 ? null : (idx ?? null))],
    },
  };
}

/** Zero is always in sight; sums may be negative. */
function rangeOf(min: number | null, max: number | null): uPlot.Range.MinMax {
  const [low, high] = [Math.min(0, min ?? 0), Math.max(0, max ?? 0)];
  const room = (high - low) * 0.08 || 1;
  return [low < 0 ? low - room : 0, high + room];
}

/** The buckets that can still change lie on another ground. */
function shadeOpen(plot: uPlot, { data: { starts, final } }: ChartProps, colour: string): void {
  const first = starts[final.indexOf(false)];
  if (first === undefined) return;
  const { left, top, width, height } = plot.bbox;
  const from = Math.max(left, plot.valToPos(first / 1_000, "x", true));
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(from, top, left + width - from, height);
}

function drawWatermark(plot: uPlot, { watermark }: ChartProps, colour: string): void {
  if (watermark === null) return;
  const { left, top, width, height } = plot.bbox;
  const x = plot.valToPos(watermark / 1_000, "x", true);
  if (x < left || x > left + width) return;
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.restore();
}
