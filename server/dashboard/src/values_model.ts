// The values under a prefix as a watch tells them: a map kept up to date, and its names in order. Where there is no watch,
// because no node has a leader, they are what the node in use has for itself.
import { listRequest, type Bytes, type StreamMessage, type Value } from "./api";
import { connection, send } from "./connection";
import { Feed, keptModel } from "./feed";

const values_max = 100_000;
// Characters of names and values.
const size_max = 64 << 20;
// Of a node's own values.
const pages_max = 10;

function sizeOf({ name, value, value_base64 }: Value): number {
  return name.length + (value ?? value_base64 ?? "").length;
}

export class ValuesModel {
  readonly values = new Map<string, Value>();
  /** Names of values that there was no room for. They come in when they change and there is. */
  readonly left_out = new Set<string>();
  private size = 0;
  private sorted: string[] | null = [];
  /** After a gap every present value is told again; what isn't is gone. */
  private unconfirmed: Set<string> | null = null;
  readonly feed: Feed;
  /** The node whose own values these are, or are being read; empty: they are the watch's. */
  private own_of = "";
  private readonly unsubscribe: () => void;

  constructor(readonly prefix: string) {
    this.feed = new Feed("watch", prefix, (message) => this.take(message));
    this.unsubscribe = connection.subscribe(() => {
      const { base, status } = connection.get();
      if (status === "connected" && this.isUntold() && base !== this.own_of) void this.readOwn(base);
    });
  }

  stop(): void {
    this.unsubscribe();
    this.feed.stop();
  }

  names(): string[] {
    this.sorted ??= [...this.values.keys()].sort();
    return this.sorted;
  }

  /** The watch is refused and hasn't told anything yet. */
  private isUntold(): boolean {
    return this.feed.state.get().status === "broken" && this.values.size === 0;
  }

  /** What that node has for itself, until there is a watch. */
  private async readOwn(base: string): Promise<void> {
    this.own_of = base;
    let after: string | undefined;
    try {
      for (let pages = 0; pages < pages_max && (pages === 0 || after !== undefined); pages += 1) {
        const page = (await (await send(listRequest(this.prefix, after))).json()) as { values: Value[]; next?: string };
        if (this.feed.state.get().status !== "broken") return;
        for (const value of page.values) this.put(value.name, value);
        this.feed.draw();
        after = page.next;
      }
    } catch {
      // The next answer of a node is another occasion, unless the watch was faster.
      if (this.own_of) this.dropOwn();
    }
  }

  /** The watch tells all of it. */
  private dropOwn(): void {
    this.own_of = "";
    this.left_out.clear();
    for (const name of [...this.values.keys()]) this.forget(name);
  }

  private take(message: StreamMessage): void {
    if (this.own_of) this.dropOwn();
    if (message.type === "gap") {
      this.unconfirmed = new Set(this.values.keys());
      this.left_out.clear();
    } else if (message.type === "progress") {
      this.forgetUnconfirmed();
    } else if (message.type === "value" && message.name !== undefined) {
      this.put(message.name, message);
    }
  }

  private put(name: string, message: Bytes & { index?: number; expire?: string }): void {
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
}

export const valuesOf = keptModel((prefix) => new ValuesModel(prefix));
