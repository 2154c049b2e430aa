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
// Characters of names and values.
const size_max = 64 << 20;

function sizeOf({ name, value, value_base64 }: Value): number {
  return name.length + (value ?? value_base64 ?? "").length;
}

export class ValuesModel {
  readonly values = new Map<string, Value>();
  readonly state = new Store<ValuesState>({ status: "connecting", version: 0, gaps: 0 });
  /** Names of values that there was no room for. They come in when they change and there is. */
  readonly left_out = new Set<string>();
  private size = 0;
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
      this.left_out.clear();
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
    this.left_out.delete(name);
    if (message.value === null) return this.forget(name);
    const { value, value_base64, index, expire } = message;
    const next: Value = { name, value, value_base64, index: index ?? 0, expire };
    const before = this.values.get(name);
    const size = this.size + sizeOf(next) - (before ? sizeOf(before) : 0);
    if (size > size_max || (!before && this.values.size >= values_max)) {
      this.forget(name);
      this.left_out.add(name);
      return;
    }
    this.size = size;
    this.values.set(name, next);
    if (!before) this.sorted = null;
  }

  private forget(name: string): void {
    const value = this.values.get(name);
    if (!value) return;
    this.size -= sizeOf(value);
    this.values.delete(name);
    this.sorted = null;
  }

  private forgetUnconfirmed(): void {
    for (const name of this.unconfirmed ?? []) this.forget(name);
    this.unconfirmed = null;
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.state.update({ version: this.state.get().version + 1 });
    });
  }
}
