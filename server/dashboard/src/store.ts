// A value that views follow: set() tells every component that uses it. No framework beside Preact's hooks.
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
  private listeners = new Set<() => void>();

  constructor(private current: T) {}

  get(): T {
    return this.current;
  }

  set(next: T): void {
    if (next !== this.current) {
      this.current = next;
      for (const listener of [...this.listeners]) listener();
    }
  }

  update(change: Partial<T>): void {
    this.set({ ...this.current, ...change });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** What the store has now, also in the first drawing after it was changed for another. */
export function useStore<T>(store: Store<T>): T {
  const [, draw] = useState(() => store.get());
  useEffect(() => {
    const follow = () => draw(() => store.get());
    follow();
    return store.subscribe(follow);
  }, [store]);
  return store.get();
}

/** A clock that makes a component draw itself again every `interval_ms`. */
export function useNow(interval_ms: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), interval_ms);
    return () => clearInterval(timer);
  }, [interval_ms]);
  return now;
}
