// The values under a prefix, live, with search and an editor.
import { useMemo, useState } from "preact/hooks";
import { curlStreamLine, streamPath, type Value } from "./api";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { emptyText, FeedNote, PrefixForm } from "./feed_view";
import { countdown, count, counted } from "./format";
import { NameCell } from "./name_cell";
import { closeValue, openValue, type Place } from "./place";
import { previewOf } from "./preview";
import { useNow, useStore } from "./store";
import { ValueEditor } from "./value_editor";
import { valuesOf } from "./values_model";
import { VirtualList, type Column } from "./virtual_list";

const columns: Column[] = [
  { cell: "cell-name", heading: "Name" },
  { cell: "cell-value", heading: "Value" },
  { cell: "cell-expire", heading: "Expires in" },
  { cell: "cell-index", heading: "Index" },
];

/** With a clock of its own, so that nothing else is drawn again by it. */
function Countdown({ expire }: { expire: string }) {
  const now = useNow(500);
  return <span title={`expires ${expire}`}>{countdown(expire, now)}</span>;
}

function Row({ value }: { value: Value }) {
  // The same elements as before aren't looked at again.
  return useMemo(
    () => (
      <>
        <NameCell name={value.name} />
        <span class={value.value_base64 === undefined ? "cell-value" : "cell-value bytes"} role="gridcell">
          {previewOf(value)}
        </span>
        <span class="cell-expire" role="gridcell">
          {value.expire ? <Countdown expire={value.expire} /> : ""}
        </span>
        <span class="cell-index" role="gridcell">
          {value.index}
        </span>
      </>
    ),
    [value],
  );
}

/** Whether a value has that in it. Each version of a value is looked through once. */
function searchFor(wanted: string): (value: Value | undefined) => boolean {
  const known = new WeakMap<Value, boolean>();
  return (value) => {
    if (!value) return false;
    const has = known.get(value) ?? [value.name, value.value ?? ""].some((text) => text.toLowerCase().includes(wanted));
    known.set(value, has);
    return has;
  };
}

export function ValuesView({ place }: { place: Place }) {
  const prefix = place.prefix;
  const [search, setSearch] = useState("");
  const [selected, setSelected] = useState<string | null>(null);
  const [creating, setCreating] = useState(false);
  const model = valuesOf(prefix);
  const state = useStore(model.feed.state);
  const { base } = useStore(connection);

  const wanted = search.toLowerCase();
  const matches = useMemo(() => searchFor(wanted), [wanted]);
  const all = model.names();
  const names = useMemo(
    () => (wanted ? all.filter((name) => matches(model.values.get(name))) : all),
    [all, matches, wanted ? state.version : 0],
  );
  // The first, until one was chosen.
  const selected_at = useMemo(() => (selected === null ? 0 : names.indexOf(selected)), [names, selected]);
  const opened = place.name;
  const look = (text: string) => {
    setSearch(text);
    setSelected(null);
  };
  return (
    <section aria-label="Values">
      <PrefixForm place={place}>
        <label>
          Search{" "}
          <input type="search" value={search} onInput={(event) => look(event.currentTarget.value)} />
        </label>
        <span class="spacer" />
        <CopyButton text={() => curlStreamLine(base, streamPath("watch", prefix, null))} label="Copy watch as curl" />
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          New value
        </button>
      </PrefixForm>
      <FeedNote prefix={prefix} state={state} gap_note=", made up by reading everything again">
        {wanted ? `${count(names.length)} of ` : ""}
        {counted(all.length, "value")}
        {model.left_out.size > 0
          ? `, ${count(model.left_out.size)} more than this page has room for: choose a prefix`
          : ""}
      </FeedNote>
      {names.length === 0 ? (
        <p class="empty">{all.length > 0 ? "Nothing matches." : emptyText(state.status, "No value here yet.")}</p>
      ) : (
        <VirtualList
          key={prefix}
          label="Values"
          kind="values"
          columns={columns}
          count={names.length}
          selected={selected_at}
          onSelect={(position) => setSelected(names[position] ?? null)}
          onOpen={(position) => openValue({ ...place, name: names[position] ?? null })}
          rowKey={(position) => names[position] ?? ""}
          row={(position) => {
            const value = model.values.get(names[position] ?? "");
            return value ? <Row value={value} /> : null;
          }}
        />
      )}
      {creating && <ValueEditor name={null} prefix={prefix} live={undefined} onClose={() => setCreating(false)} />}
      {opened !== null && (
        <ValueEditor
          key={opened}
          name={opened}
          prefix={prefix}
          live={model.values.get(opened)}
          onClose={closeValue}
        />
      )}
    </section>
  );
}
