// A live timeline of created, updated, deleted, expired under a prefix.
import { useMemo, useState } from "preact/hooks";
import { curlStreamLine, streamPath } from "./api";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { kinds, timelineOf, type Kind, type TimelineEntry } from "./events_model";
import { emptyText, FeedNote, PrefixForm } from "./feed_view";
import { clock, count, counted } from "./format";
import { NameCell } from "./name_cell";
import { goTo, type Place } from "./place";
import { useStore } from "./store";
import { VirtualList, type Column } from "./virtual_list";

const columns: Column[] = [
  { cell: "cell-time", heading: "Time" },
  { cell: "kind", heading: "Event" },
  { cell: "cell-name", heading: "Name" },
  { cell: "cell-value", heading: "Value" },
  { cell: "cell-index", heading: "Index" },
];

const nothing_text = "Nothing has happened since this page was opened.";

function Row({ entry }: { entry: TimelineEntry }) {
  const { kind, name } = entry;
  return (
    <>
      <span class="cell-time" role="gridcell">
        {clock(entry.at_ms)}
      </span>
      <span class={`kind ${kind}`} role="gridcell">
        {kind}
      </span>
      <NameCell name={name ?? ""} />
      <span class="cell-value" role="gridcell">
        {entry.text}
      </span>
      <span class="cell-index" role="gridcell" title={kind === "gap" ? "cursor" : undefined}>
        {entry.index}
      </span>
    </>
  );
}

export function EventsView({ place }: { place: Place }) {
  const prefix = place.prefix;
  const [search, setSearch] = useState("");
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const [selected, setSelected] = useState<number | null>(null);
  const model = timelineOf(prefix);
  const state = useStore(model.feed.state);
  const held = useStore(model.held);
  const { base } = useStore(connection);

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
      <PrefixForm place={place}>
        <label>
          Name{" "}
          <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <span class="checks" role="group" aria-label="Kinds of events">
          {kinds.map((kind) => (
            <label key={kind} class="check">
              <input type="checkbox" checked={!hidden.has(kind)} onChange={() => toggle(kind)} /> {kind}
            </label>
          ))}
        </span>
        <span class="spacer" />
        <CopyButton text={() => curlStreamLine(base, streamPath("events", prefix, null))} />
        <button type="button" aria-pressed={held !== null} onClick={() => (held ? model.goOn() : model.pause())}>
          {held ? "Go on" : "Pause"}
        </button>
      </PrefixForm>
      <FeedNote prefix={prefix} state={state}>
        {counted(model.total, "event")}
        {held ? ` · paused, ${count(model.total - held.total)} more since` : ""}
      </FeedNote>
      {shown.length === 0 ? (
        <p class="empty">{all.length > 0 ? "Nothing matches." : emptyText(state.status, nothing_text)}</p>
      ) : (
        <VirtualList
          key={prefix}
          label="Events, newest first"
          kind="events"
          columns={columns}
          count={shown.length}
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
