// The values under a prefix as a watch tells them: a map kept up to date, and its names in order. Drawn once per frame.
import type { StreamMessage, Value } from "./api";
import { Store } from "./store";
import { Stream, type StreamStatus } from "./stream";

export interface ValuesState {
  status: StreamStatus;
  /** Grows with every change, so that views know when to draw. */
  version: number;
  gaps: number;
}

const values_max = 100_000;

export class ValuesModel {
  readonly values = new Map<string, Value>();
  readonly state = new Store<ValuesState>({ status: "connecting", version: 0, gaps: 0 });
  /** More values than this page keeps are there. */
  truncated = false;
  private sorted: string[] | null = [];
  private frame = 0;
  /** After a gap every present value is told again; what isn't is gone. */
  private unconfirmed: Set<string> | null = null;
  private readonly stream: Stream;

  constructor(readonly prefix: string) {
    this.stream = new Stream("watch", prefix, {
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

  names(): string[] {
    this.sorted ??= [...this.values.keys()].sort();
    return this.sorted;
  }

  private take(message: StreamMessage): void {
    if (message.type === "gap") {
      this.unconfirmed = new Set(this.values.keys());
      this.state.update({ gaps: this.state.get().gaps + 1 });
    } else if (message.type === "progress") {
      this.forgetUnconfirmed();
    } else if (message.type === "value" && message.name !== undefined) {
      this.put(message.name, message);
    }
    this.draw();
  }

  private put(name: string, message: StreamMessage): void {
    this.unconfirmed?.delete(name);
    if (message.value === null) {
      if (this.values.delete(name)) this.sorted = null;
      return;
    }
    if (!this.values.has(name)) {
      if (this.values.size >= values_max) {
        this.truncated = true;
        return;
      }
      this.sorted = null;
    }
    const { value, value_base64, index, expire } = message;
    this.values.set(name, { name, value, value_base64, index: index ?? 0, expire });
  }

  private forgetUnconfirmed(): void {
    if (!this.unconfirmed) return;
    for (const name of this.unconfirmed) this.values.delete(name);
    this.unconfirmed = null;
    this.sorted = null;
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.state.update({ version: this.state.get().version + 1 });
    });
  }
}
