// A live timeline of created, updated, deleted, expired under a prefix.
import { useEffect, useMemo, useState } from "preact/hooks";
import { curlStreamLine, nameProblem, streamPath } from "./api";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { kinds, timelineOf, type Kind, type TimelineEntry } from "./events_model";
import { clock, count } from "./format";
import { NameCell } from "./name_cell";
import { goTo, type Place } from "./place";
import { useStore } from "./store";
import { emptyText, statusText } from "./stream_status";
import { VirtualList } from "./virtual_list";

const nothing_text = "Nothing has happened since this page was opened.";

function Row({ entry }: { entry: TimelineEntry }) {
  const { kind, name } = entry;
  return (
    <>
      <span class="cell-time">{clock(entry.at_ms)}</span>
      <span class={`kind ${kind}`}>{kind}</span>
      <NameCell name={name ?? ""} />
      <span class="cell-value">{entry.text}</span>
      <span class="cell-index" title={kind === "gap" ? "cursor" : "index"}>
        {entry.index}
      </span>
    </>
  );
}

export function EventsView({ place }: { place: Place }) {
  const prefix = place.prefix;
  const [typed, setTyped] = useState(prefix);
  const [search, setSearch] = useState("");
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const [selected, setSelected] = useState<number | null>(null);
  const model = timelineOf(prefix);
  useEffect(() => setTyped(prefix), [prefix]);
  const state = useStore(model.state);
  const { base } = useStore(connection);
  const { held } = state;

  const all = useMemo(
    () => [...(held ? held.entries : model.entries)].reverse(),
    [model, held, held ? 0 : state.version],
  );
  const wanted = search.toLowerCase();
  const shown = useMemo(
    () =>
      all.filter(({ kind, name }) => {
        if (kind === "gap") return true;
        return !hidden.has(kind) && (!wanted || (name ?? "").toLowerCase().includes(wanted));
      }),
    [all, hidden, wanted],
  );
  const selected_at = useMemo(() => shown.findIndex(({ key }) => key === selected), [shown, selected]);
  const toggle = (kind: Kind) => {
    const next = new Set(hidden);
    if (!next.delete(kind)) next.add(kind);
    setHidden(next);
  };
  const open = (position: number) => {
    const name = shown[position]?.name;
    if (name !== undefined) goTo({ view: "values", prefix, name });
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
        <button type="button" aria-pressed={held !== null} onClick={() => (held ? model.goOn() : model.pause())}>
          {held ? "Go on" : "Pause"}
        </button>
      </form>
      <p class="note" role="status">
        <span class={`dot ${state.status}`} aria-hidden="true" />{" "}
        {nameProblem(prefix, true) ?? statusText(state.status)} · {count(state.total)} events
        {held ? ` · paused, ${count(state.total - held.total)} more since` : ""}
        {state.gaps > 0 ? ` · ${state.gaps} gap${state.gaps === 1 ? "" : "s"}` : ""}
      </p>
      {shown.length === 0 ? (
        <p class="empty">{all.length > 0 ? "Nothing matches." : emptyText(state.status, nothing_text)}</p>
      ) : (
        <VirtualList
          key={prefix}
          label="Events, newest first"
          idPrefix="event-"
          count={shown.length}
          row_px={34}
          selected={selected_at}
          onSelect={(position) => setSelected(shown[position]?.key ?? null)}
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
