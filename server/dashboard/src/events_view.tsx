// A live timeline of created, updated, deleted, expired under a prefix.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { curlStreamLine, streamPath, type StreamMessage } from "./api";
import { bytesOf, sizeText, visibleText } from "./bytes";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { EventsModel, type TimelineEntry } from "./events_model";
import { clock, count } from "./format";
import { formatPlace, goTo, type Place } from "./place";
import { useStore } from "./store";
import { statusText } from "./stream_status";
import { VirtualList } from "./virtual_list";

const kinds = ["created", "updated", "deleted", "expired"] as const;
type Kind = (typeof kinds)[number];

function kindOf(message: StreamMessage): Kind | "gap" {
  if (message.type === "deleted") return message.expired ? "expired" : "deleted";
  if (message.type === "created" || message.type === "updated") return message.type;
  return "gap";
}

function summary(message: StreamMessage): string {
  if (message.type === "gap") return "Events are missing here: they are no longer kept. What follows is complete again.";
  if (message.value_base64 !== undefined) return `bytes, ${sizeText(bytesOf(message).length)}`;
  return visibleText((message.value ?? "").slice(0, 160)).replace(/\s+/g, " ");
}

function Row({ entry }: { entry: TimelineEntry }) {
  const { message } = entry;
  const kind = kindOf(message);
  const name = message.name;
  return (
    <>
      <span class="cell-time">{clock(entry.at_ms)}</span>
      <span class={`kind ${kind}`}>{kind}</span>
      <span class="cell-name" title={name}>
        {name === undefined ? "" : visibleText(name)}
      </span>
      <span class="cell-value">{summary(message)}</span>
      <span class="cell-index">{message.deleted_index ?? message.index ?? message.cursor}</span>
    </>
  );
}

/** The entries to draw: all of them, or those that were there when the timeline was paused. */
function useShown(model: EventsModel, version: number, paused: boolean): TimelineEntry[] {
  const held = useRef<TimelineEntry[] | null>(null);
  if (paused) held.current ??= [...model.entries];
  else held.current = null;
  return useMemo(() => (held.current ? held.current : [...model.entries]).reverse(), [model, paused ? -1 : version, paused]);
}

export function EventsView({ place }: { place: Place }) {
  const prefix = place.prefix;
  const [typed, setTyped] = useState(prefix);
  const [search, setSearch] = useState("");
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const [paused, setPaused] = useState(false);
  const [selected, setSelected] = useState(0);
  const model = useMemo(() => new EventsModel(prefix), [prefix]);
  useEffect(() => () => model.stop(), [model]);
  useEffect(() => setTyped(prefix), [prefix]);
  const state = useStore(model.state);
  const { base } = useStore(connection);
  const paused_at = useRef(0);
  if (!paused) paused_at.current = state.total;

  const all = useShown(model, state.version, paused);
  const wanted = search.toLowerCase();
  const shown = useMemo(
    () =>
      all.filter(({ message }) => {
        const kind = kindOf(message);
        if (kind === "gap") return true;
        return !hidden.has(kind) && (!wanted || (message.name ?? "").toLowerCase().includes(wanted));
      }),
    [all, hidden, wanted],
  );
  const toggle = (kind: Kind) => {
    const next = new Set(hidden);
    if (!next.delete(kind)) next.add(kind);
    setHidden(next);
  };
  const open = (position: number) => {
    const name = shown[position]?.message.name;
    if (name !== undefined) location.hash = formatPlace({ view: "values", prefix, name });
  };
  return (
    <section aria-label="Events">
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          goTo({ view: "events", prefix: typed, name: null });
        }}
      >
        <label>
          Prefix{" "}
          <input value={typed} placeholder="all names" onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
        <button type="submit">Show</button>
        <label>
          Name{" "}
          <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        {kinds.map((kind) => (
          <label key={kind} class="check">
            <input type="checkbox" checked={!hidden.has(kind)} onChange={() => toggle(kind)} /> {kind}
          </label>
        ))}
        <span class="spacer" />
        <CopyButton text={() => curlStreamLine(base, streamPath("events", prefix, null))} />
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Go on" : "Pause"}
        </button>
      </form>
      <p class="note" role="status">
        <span class={`dot ${state.status}`} aria-hidden="true" /> {statusText(state.status)} · {count(state.total)} events
        {paused ? ` · paused, ${count(state.total - paused_at.current)} more since` : ""}
        {state.gaps > 0 ? ` · ${state.gaps} gap${state.gaps === 1 ? "" : "s"}` : ""}
      </p>
      {shown.length === 0 ? (
        <p class="empty">{state.status === "live" ? "Nothing has happened since this page was opened." : ""}</p>
      ) : (
        <VirtualList
          label="Events, newest first"
          idPrefix="event-"
          count={shown.length}
          row_px={34}
          selected={selected}
          onSelect={setSelected}
          onOpen={open}
          rowKey={(position) => String(shown[position]?.key)}
          row={(position) => {
            const entry = shown[position];
            return entry ? <Row entry={entry} /> : null;
          }}
        />
      )}
    </section>
  );
}
