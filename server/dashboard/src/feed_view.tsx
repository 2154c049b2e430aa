// What the views of a prefix have in common: the form that chooses it, and what has become of its stream.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { nameProblem } from "./api";
import type { FeedState } from "./feed";
import { goTo, type Place } from "./place";
import type { StreamStatus } from "./stream";

/** `children`: more fields and buttons. */
export function PrefixForm({ place, children }: { place: Place; children: ComponentChildren }) {
  const { view, prefix } = place;
  const [typed, setTyped] = useState(prefix);
  useEffect(() => setTyped(prefix), [prefix]);
  return (
    <form
      class="bar"
      onSubmit={(event) => {
        event.preventDefault();
        goTo({ view, prefix: typed, name: null });
      }}
    >
      <label>
        Prefix{" "}
        <input value={typed} placeholder="all names" onInput={(event) => setTyped(event.currentTarget.value)} />
      </label>
      <button type="submit">Show</button>
      {children}
    </form>
  );
}

function statusText(status: StreamStatus): string {
  return { connecting: "connecting", live: "live", broken: "not live, trying again · last known" }[status];
}

/** `gap_note`: what a gap means here. */
export function FeedNote({ prefix, state, gap_note = "", children }: {
  prefix: string;
  state: FeedState;
  gap_note?: string;
  children: ComponentChildren;
}) {
  const { status, gaps } = state;
  return (
    <p class="note" role="status">
      <span class={`dot ${status}`} aria-hidden="true" /> {nameProblem(prefix, true) ?? statusText(status)} · {children}
      {gaps > 0 ? ` · ${gaps} gap${gaps === 1 ? "" : "s"}${gap_note}` : ""}
    </p>
  );
}

/** What a list without anything says: that there is nothing only when somebody has said so. */
export function emptyText(status: StreamStatus, nothing: string): string {
  return { connecting: "Asking …", live: nothing, broken: "Nothing is known yet: no node tells it now." }[status];
}
