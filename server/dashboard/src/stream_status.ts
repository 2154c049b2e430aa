import type { StreamStatus } from "./stream";

export function statusText(status: StreamStatus): string {
  return { connecting: "connecting", live: "live", broken: "not connected, trying" }[status];
}

/** What a list without anything says: that there is nothing only when somebody has said so. */
export function emptyText(status: StreamStatus, nothing: string): string {
  return { connecting: "Asking …", live: nothing, broken: "Not connected." }[status];
}
