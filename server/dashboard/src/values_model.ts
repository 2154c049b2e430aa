// The values under a prefix as a watch tells them: a map kept up to date, and its names in order.
import type { StreamMessage, Value } from "./api";
import { Feed, keptModel } from "./feed";

const values_max = 100_000;
// Characters of names and values.
const size_max = 64 << 20;

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

  constructor(readonly prefix: string) {
    this.feed = new Feed("watch", prefix, (message) => this.take(message));
  }

  names(): string[] {
    this.sorted ??= [...this.values.keys()].sort();
    return this.sorted;
  }

  private take(message: StreamMessage): void {
    if (message.type === "gap") {
      this.unconfirmed = new Set(this.values.keys());
      this.left_out.clear();
    } else if (message.type === "progress") {
      this.forgetUnconfirmed();
    } else if (message.type === "value" && message.name !== undefined) {
      this.put(message.name, message);
    }
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
}

export const valuesOf = keptModel((prefix) => new ValuesModel(prefix));
