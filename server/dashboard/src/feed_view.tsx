// What the views of a prefix have in common: the form that chooses it, and what has become of its stream.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { nameProblem } from "./api";
import { connection } from "./connection";
import type { FeedState } from "./feed";
import { counted } from "./format";
import { goTo, type Place } from "./place";
import { useStore } from "./store";
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

const status_texts = { connecting: "connecting", live: "live", broken: "not live, trying again · last known" };

interface NoteProps {
  prefix: string;
  state: FeedState;
  /** What a gap means here. */
  gap_note?: string;
  children: ComponentChildren;
}

export function FeedNote({ prefix, state, gap_note = "", children }: NoteProps) {
  const { status, gaps } = state;
  const { cluster } = useStore(connection);
  // A node that isn't ready may be cut off from the others, and what it tells be old.
  const cut_off = status === "live" && cluster?.ready === false;
  return (
    <p class="note" role="status">
      <span class={`dot ${cut_off ? "connecting" : status}`} aria-hidden="true" />{" "}
      {nameProblem(prefix, true) ?? (cut_off ? "from a node that isn't ready · last known" : status_texts[status])} ·{" "}
      {children}
      {gaps > 0 ? ` · ${counted(gaps, "gap")}${gap_note}` : ""}
    </p>
  );
}

/** What a list without anything says: that there is nothing only when somebody has said so. */
export function emptyText(status: StreamStatus, nothing: string): string {
  return { connecting: "Asking …", live: nothing, broken: "Nothing is known yet: no node tells it now." }[status];
}
