// What happened under a prefix, newest last, at most so many; pausing holds back what is drawn, not what is kept.
import type { StreamMessage } from "./api";
import { Store } from "./store";
import { Stream, type StreamStatus } from "./stream";

export interface TimelineEntry {
  /** Of this page, for drawing. */
  key: number;
  at_ms: number;
  message: StreamMessage;
}

export interface EventsState {
  status: StreamStatus;
  version: number;
  total: number;
  gaps: number;
}

const entries_max = 5000;

export class EventsModel {
  entries: TimelineEntry[] = [];
  readonly state = new Store<EventsState>({ status: "connecting", version: 0, total: 0, gaps: 0 });
  private next_key = 0;
  private total = 0;
  private gaps = 0;
  private frame = 0;
  private after_gap = false;
  private readonly stream: Stream;

  constructor(prefix: string) {
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

  private take(message: StreamMessage): void {
    if (message.type === "subscribed") {
      this.after_gap = false;
      return;
    }
    if (message.type === "progress") {
      this.after_gap = false;
      return;
    }
    if (message.type === "gap") {
      this.gaps += 1;
      this.after_gap = true;
    } else if (this.after_gap && message.type === "value") {
      // The present state that follows a gap is no event.
      return;
    } else {
      this.total += 1;
    }
    this.entries.push({ key: this.next_key, at_ms: Date.now(), message });
    this.next_key += 1;
    if (this.entries.length > entries_max * 1.2) this.entries = this.entries.slice(-entries_max);
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.state.update({ version: this.state.get().version + 1, total: this.total, gaps: this.gaps });
      });
    }
  }
}
