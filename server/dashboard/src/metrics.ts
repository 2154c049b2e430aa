// Figures over time, from what /metrics tells: rates from counters, quantiles from histograms' buckets.
export type Samples = Map<string, Sample[]>;

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** The Prometheus text format, as far as a well-behaved server uses it. Lines it can't read are left out. */
export function parseMetrics(text: string): Samples {
  const samples: Samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const [, name = "", label_text = "", value_text = ""] = found;
    const labels: Record<string, string> = {};
    for (const [, key = "", value = ""] of label_text.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value;
    }
    const value = value_text === "+Inf" ? Infinity : Number(value_text);
    if (Number.isNaN(value)) continue;
    const list = samples.get(name);
    if (list) list.push({ labels, value });
    else samples.set(name, [{ labels, value }]);
  }
  return samples;
}

export function sum(samples: Samples, name: string, wanted: (labels: Record<string, string>) => boolean = () => true): number {
  let total = 0;
  for (const sample of samples.get(name) ?? []) if (wanted(sample.labels)) total += sample.value;
  return total;
}

/** The growth of a counter; one that was set back by a restart has grown by what it has. */
export function growth(before: number, after: number): number {
  return after >= before ? after - before : after;
}

/** Counts up to each bound, all label sets added up. */
export function buckets(samples: Samples, name: string): Map<number, number> {
  const totals = new Map<number, number>();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    totals.set(bound, (totals.get(bound) ?? 0) + value);
  }
  return totals;
}

/** The quantile of what was added between two looks at a histogram; NaN when nothing was. */
export function quantile(before: Map<number, number>, after: Map<number, number>, q: number): number {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const added = bounds.map((bound) => growth(before.get(bound) ?? 0, after.get(bound) ?? 0));
  const total = added[added.length - 1] ?? 0;
  if (total <= 0) return NaN;
  const rank = q * total;
  let lower = 0;
  let below = 0;
  for (let i = 0; i < bounds.length; i += 1) {
    const bound = bounds[i] ?? 0;
    const cumulative = added[i] ?? 0;
    if (cumulative >= rank) {
      if (bound === Infinity) return lower;
      const inside = cumulative - below;
      return inside > 0 ? lower + ((bound - lower) * (rank - below)) / inside : bound;
    }
    lower = bound;
    below = cumulative;
  }
  return lower;
}
