// Numbers and times as people read them.

export function count(value: number | undefined): string {
  return value === undefined ? "–" : value.toLocaleString("en-US");
}

export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

export function rate(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(value >= 10 ? 0 : 1);
}

export function milliseconds(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0 ms";
  if (value >= 10_000) return span(value);
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)} ms`;
}

/** How long, in two units at most. */
export function span(duration_ms: number): string {
  const seconds = Math.max(0, Math.floor(duration_ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function clock(time_ms: number): string {
  return new Date(time_ms).toLocaleTimeString("en-GB");
}

/** Until a value is gone. */
export function countdown(expire: string, now_ms: number): string {
  const left_ms = Date.parse(expire) - now_ms;
  return left_ms <= 0 ? "0 s" : left_ms < 10_000 ? `${(left_ms / 1000).toFixed(1)} s` : span(left_ms);
}
