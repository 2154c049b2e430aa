// The charts' figures: every member's /metrics, asked every two seconds, as a row of points over time.
import type { Cluster } from "./api";
import { connection } from "./connection";
import { buckets, growth, parseMetrics, quantile, sum, type Samples } from "./metrics";
import { fetchThere } from "./reach";
import { Store } from "./store";

export interface NodeFigures {
  disk_ms: number;
  disk_p99_ms: number;
  commit_p50_ms: number;
  commit_p99_ms: number;
  applied_index: number;
  writes_per_s: number;
  reads_per_s: number;
  streams: number;
  memory_bytes: number;
}

export interface Point {
  at_s: number;
  /** Who led then. */
  leader: number;
  nodes: ReadonlyMap<number, NodeFigures>;
}

const interval_ms = 2000;
const timeout_ms = 1500;
const points_max = 300; // ten minutes

export const figures = new Store<Point[]>([]);

interface Look {
  at_ms: number;
  samples: Samples;
}

/** Positions of figures between two that aren't known: no line leads to them. Pure. */
export function alone(row: (number | null | undefined)[]): number[] {
  const known = (position: number) => typeof row[position] === "number";
  return [...row.keys()].filter((position) => known(position) && !known(position - 1) && !known(position + 1));
}

/** The newest figure that is known, if it isn't older than that. Pure. */
export function lastKnown(times_s: (number | null)[], row: (number | null)[], age_max_s: number): number | null {
  const newest_s = times_s[times_s.length - 1] ?? 0;
  for (let i = row.length - 1; i >= 0 && newest_s - (times_s[i] ?? 0) <= age_max_s; i -= 1) {
    const figure = row[i];
    if (figure !== null && figure !== undefined) return figure;
  }
  return null;
}

const is_read = (labels: Record<string, string>) => labels.method === "GET" || labels.method === "HEAD";
const is_write = (labels: Record<string, string>) => ["PUT", "POST", "DELETE"].includes(labels.method ?? "");
const of_values = (labels: Record<string, string>) => /^\/v1\/(values|raw)/.test(labels.route ?? "");

/** What happened between two looks at one node. Pure. */
export function compare(before: Look, after: Look): NodeFigures {
  const seconds = Math.max(0.001, (after.at_ms - before.at_ms) / 1000);
  const requests = "cairn_http_request_duration_seconds_count";
  const rate = (wanted: (labels: Record<string, string>) => boolean) =>
    growth(
      sum(before.samples, requests, (labels) => of_values(labels) && wanted(labels)),
      sum(after.samples, requests, (labels) => of_values(labels) && wanted(labels)),
    ) / seconds;
  const milliseconds = (name: string, q: number) =>
    quantile(buckets(before.samples, name), buckets(after.samples, name), q) * 1000;
  return {
    disk_ms: milliseconds("cairn_disk_append_duration_seconds", 0.5),
    disk_p99_ms: milliseconds("cairn_disk_append_duration_seconds", 0.99),
    commit_p50_ms: milliseconds("cairn_commit_duration_seconds", 0.5),
    commit_p99_ms: milliseconds("cairn_commit_duration_seconds", 0.99),
    applied_index: sum(after.samples, "cairn_raft_applied_index"),
    writes_per_s: rate(is_write),
    reads_per_s: rate(is_read),
    streams: sum(after.samples, "cairn_streams"),
    memory_bytes: sum(after.samples, "cairn_process_resident_memory_bytes"),
  };
}

const no_nodes: ReadonlyMap<number, NodeFigures> = new Map();

/** With one more; where nobody was asked for a while a point without figures stands, so that no line leads over it. Pure. */
export function withPoint(points: Point[], point: Point): Point[] {
  const last = points[points.length - 1];
  const pause = last && point.at_s - last.at_s > (3 * interval_ms) / 1000;
  const between = pause ? [{ ...last, at_s: last.at_s + interval_ms / 1000, nodes: no_nodes }] : [];
  return [...points, ...between, point].slice(-points_max);
}

async function look(base: string): Promise<Look | null> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeout_ms);
  try {
    const response = await fetchThere(`${base}/metrics`, { signal: abort.signal, cache: "no-store" });
    if (!response.ok) return null;
    return { at_ms: performance.now(), samples: parseMetrics(await response.text()) };
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function baseOf(cluster: Cluster, id: number): string | null {
  if (id === cluster.node) return connection.get().base;
  const address = cluster.members.find((member) => member.id === id)?.http;
  return address ? `${location.protocol}//${address}` : null;
}

export function startFigures(): () => void {
  const last = new Map<number, Look>();
  const collect = async () => {
    const { cluster, status } = connection.get();
    if (!cluster || status !== "connected" || document.visibilityState !== "visible") return;
    const nodes = new Map<number, NodeFigures>();
    await Promise.all(
      cluster.members.map(async ({ id }) => {
        const base = baseOf(cluster, id);
        const now = base === null ? null : await look(base);
        const before = last.get(id);
        if (!now) last.delete(id);
        else {
          last.set(id, now);
          if (before) nodes.set(id, compare(before, now));
        }
      }),
    );
    figures.set(withPoint(figures.get(), { at_s: Date.now() / 1000, leader: cluster.leader, nodes }));
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  const begin = () => {
    if (timer !== undefined || connection.get().status !== "connected") return;
    timer = setInterval(() => void collect(), interval_ms);
    void collect();
  };
  const unsubscribe = connection.subscribe(begin);
  begin();
  return () => {
    unsubscribe();
    clearInterval(timer);
  };
}
