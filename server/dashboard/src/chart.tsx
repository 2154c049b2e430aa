// A live line chart (uPlot) with a title, a legend and, for those who don't see it, its newest figures as text.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { alone, lastKnown } from "./figures";
import { clock } from "./format";

export interface Line {
  label: string;
  colour: string;
  dash?: boolean;
}

interface Props {
  title: string;
  lines: Line[];
  /** Seconds, then one row per line; gaps are null. */
  data: (number | null)[][];
  format(value: number): string;
}

const height_px = 150;
const shown_min_s = 60;

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";
}

/** At least a minute. */
function timeRange(_: uPlot, first: number | null, last: number | null): [number, number] {
  const end = last ?? Date.now() / 1000;
  return [Math.min(first ?? end, end - shown_min_s), end];
}

/** Before there are two moments uPlot chooses a day of its own: it gets the last minute's two ends. */
function drawn({ data, lines }: Props): uPlot.AlignedData {
  const times = data[0] ?? [];
  if (times.length >= 2) return data as uPlot.AlignedData;
  const end_s = times[0] ?? Date.now() / 1000;
  return [[end_s - shown_min_s, end_s], ...lines.map((_, i) => [null, data[i + 1]?.[0] ?? null])];
}

/** Figures that no line leads to are dots. */
function dots(plot: uPlot, series: number, show: boolean): number[] | null {
  return show ? alone([...(plot.data[series] ?? [])]) : null;
}

function optionsFor(props: Props, width: number): uPlot.Options {
  const axis = { stroke: colourOf("--muted"), grid: { stroke: colourOf("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: height_px,
    // Room for half of a time at the right end.
    padding: [null, 28, null, null],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true, range: timeRange }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.15 : 1] } },
    axes: [
      { ...axis, space: 80, size: 28, values: (_, ticks) => ticks.map((tick) => clock(tick * 1000)) },
      { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => props.format(tick)) },
    ],
    series: [
      {},
      ...props.lines.map((line) => ({
        label: line.label,
        stroke: colourOf(line.colour),
        width: 1.5,
        spanGaps: false,
        points: { show: true, size: 5, fill: colourOf(line.colour), filter: dots },
        ...(line.dash ? { dash: [5, 4] } : {}),
      })),
    ],
  };
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  // Drawn anew with another theme, it is to have what it shows by then.
  const latest = useRef(props);
  latest.current = props;
  const shape = props.lines.map((line) => line.label + line.colour).join("|");

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(latest.current, element.clientWidth), drawn(latest.current), element);
    };
    make();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: height_px }));
    resized.observe(element);
    const theme = new MutationObserver(make);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      resized.disconnect();
      theme.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(drawn(props)), [props.data]);

  const newest = (row: number) => {
    const value = lastKnown(props.data[0] ?? [], props.data[row + 1] ?? [], shown_min_s);
    return value === null ? "–" : props.format(value);
  };
  return (
    <figure class="chart">
      <figcaption>{props.title}</figcaption>
      <div class="legend">
        {props.lines.map((line, row) => (
          <span key={line.label} title={line.label}>
            <svg width="14" height="4" aria-hidden="true">
              <line
                x1="0"
                y1="2"
                x2="14"
                y2="2"
                stroke={`var(${line.colour})`}
                stroke-width="3"
                stroke-dasharray={line.dash ? "4 2" : undefined}
              />
            </svg>
            <span class="label">{line.label}</span> <b>{newest(row)}</b>
          </span>
        ))}
      </div>
      <div ref={box} aria-hidden="true" />
    </figure>
  );
}
