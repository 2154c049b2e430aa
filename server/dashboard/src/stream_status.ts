import type { StreamStatus } from "./stream";

export function statusText(status: StreamStatus): string {
  return { connecting: "connecting", live: "live", broken: "not connected, trying" }[status];
}
