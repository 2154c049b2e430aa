// What happened under a prefix, newest last, at most so many; pausing holds back what is drawn, not what is kept.
import type { StreamMessage } from "./api";
import { previewOf } from "./preview";
import { Store } from "./store";
import { Stream, type StreamStatus } from "./stream";

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

export interface EventsState {
  status: StreamStatus;
  version: number;
  total: number;
  gaps: number;
  /** While paused: what was there then. */
  held: { entries: TimelineEntry[]; total: number } | null;
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
  readonly state = new Store<EventsState>({ status: "connecting", version: 0, total: 0, gaps: 0, held: null });
  private next_key = 0;
  private total = 0;
  private gaps = 0;
  private frame = 0;
  private readonly stream: Stream;

  constructor(readonly prefix: string) {
    this.stream = new Stream("events", prefix, {
      message: (message) => this.take(message),
      status: (status) => {
        if (status !== this.state.get().status) this.state.update({ status });
      },
    });
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.stream.stop();
  }

  pause(): void {
    this.state.update({ held: { entries: [...this.entries], total: this.total } });
  }

  goOn(): void {
    this.state.update({ held: null });
  }

  private take(message: StreamMessage): void {
    const entry = entryOf(message, this.next_key, Date.now());
    if (!entry) return;
    this.next_key += 1;
    if (entry.kind === "gap") this.gaps += 1;
    else this.total += 1;
    this.entries.push(entry);
    if (this.entries.length > entries_max * 1.2) this.entries = this.entries.slice(-entries_max);
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.state.update({ version: this.state.get().version + 1, total: this.total, gaps: this.gaps });
      });
    }
  }
}

let kept: EventsModel | null = null;

/** The timeline of that prefix. It goes on while other views are shown, until another prefix is asked for. */
export function timelineOf(prefix: string): EventsModel {
  if (kept?.prefix !== prefix) {
    kept?.stop();
    kept = new EventsModel(prefix);
  }
  return kept;
}
