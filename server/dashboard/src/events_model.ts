// What happened under a prefix, newest last, at most so many; pausing holds back what is drawn, not what is kept.
import type { StreamMessage } from "./api";
import { Feed, keptModel } from "./feed";
import { previewOf } from "./preview";
import { Store } from "./store";

export const kinds = ["created", "updated", "deleted", "expired"] as const;
export type Kind = (typeof kinds)[number];

/** One event as the timeline shows it: its value stays with the cluster. */
export interface TimelineEntry {
  /** Of this page, for drawing. */
  key: number;
  at_ms: number;
  kind: Kind | "gap";
  name: string | undefined;
  /** Of the change; the cursor where there is no index. */
  index: number | string;
  text: string;
}

/** What was there when it was paused. */
export interface Held {
  entries: TimelineEntry[];
  total: number;
}

const entries_max = 5000;
const gap_text = "Events are missing here: they are no longer kept. What follows is complete again.";

/** What is kept of a message; null when it is no event. Pure. */
export function entryOf(message: StreamMessage, key: number, at_ms: number): TimelineEntry | null {
  const { type, name, cursor } = message;
  if (type === "gap") return { key, at_ms, kind: "gap", name: undefined, index: cursor, text: gap_text };
  // The present state that follows a gap is no event, either.
  if (type !== "created" && type !== "updated" && type !== "deleted") return null;
  const kind = message.expired ? "expired" : type;
  return { key, at_ms, kind, name, index: message.deleted_index ?? message.index ?? cursor, text: previewOf(message) };
}

export class EventsModel {
  entries: TimelineEntry[] = [];
  /** Of events, also of those that aren't kept any more. */
  total = 0;
  readonly held = new Store<Held | null>(null);
  readonly feed: Feed;
  private next_key = 0;

  constructor(readonly prefix: string) {
    this.feed = new Feed("events", prefix, (message) => this.take(message));
  }

  stop(): void {
    this.feed.stop();
  }

  pause(): void {
    this.held.set({ entries: [...this.entries], total: this.total });
  }

  goOn(): void {
    this.held.set(null);
  }

  private take(message: StreamMessage): void {
    const entry = entryOf(message, this.next_key, Date.now());
    if (!entry) return;
    this.next_key += 1;
    if (entry.kind !== "gap") this.total += 1;
    this.entries.push(entry);
    if (this.entries.length > entries_max * 1.2) this.entries = this.entries.slice(-entries_max);
  }
}

export const timelineOf = keptModel((prefix) => new EventsModel(prefix));
