// The values under a prefix, live, with search and an editor.
import { useEffect, useMemo, useState } from "preact/hooks";
import { curlStreamLine, streamPath, type Value } from "./api";
import { fromBase64, sizeText, visibleText } from "./bytes";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { countdown, count } from "./format";
import { goTo, type Place } from "./place";
import { useNow, useStore } from "./store";
import { statusText } from "./stream_status";
import { ValueEditor } from "./value_editor";
import { ValuesModel } from "./values_model";
import { VirtualList } from "./virtual_list";

const row_px = 38;
const preview_characters = 160;

function preview(value: Value): string {
  if (value.value_base64 !== undefined) return `bytes, ${sizeText(fromBase64(value.value_base64).length)}`;
  return visibleText((value.value ?? "").slice(0, preview_characters)).replace(/\s+/g, " ");
}

function Row({ value, now }: { value: Value; now: number }) {
  return (
    <>
      <span class="cell-name" title={value.name}>
        {visibleText(value.name)}
      </span>
      <span class={value.value_base64 === undefined ? "cell-value" : "cell-value bytes"}>{preview(value)}</span>
      <span class="cell-expire">
        {value.expire ? <span title={`expires ${value.expire}`}>{countdown(value.expire, now)} left</span> : ""}
      </span>
      <span class="cell-index" title="index">
        {value.index}
      </span>
    </>
  );
}

function matches(value: Value | undefined, search: string): boolean {
  if (!value) return false;
  return value.name.toLowerCase().includes(search) || (value.value ?? "").toLowerCase().includes(search);
}

export function ValuesView({ place }: { place: Place }) {
  const prefix = place.prefix;
  const [typed, setTyped] = useState(prefix);
  const [search, setSearch] = useState("");
  const [selected, setSelected] = useState(0);
  const [creating, setCreating] = useState(false);
  const model = useMemo(() => new ValuesModel(prefix), [prefix]);
  useEffect(() => () => model.stop(), [model]);
  useEffect(() => setTyped(prefix), [prefix]);
  const state = useStore(model.state);
  const { base } = useStore(connection);
  const now = useNow(500);

  const wanted = search.toLowerCase();
  const all = model.names();
  const names = useMemo(
    () => (wanted ? all.filter((name) => matches(model.values.get(name), wanted)) : all),
    [all, wanted, wanted ? state.version : 0],
  );
  const opened = place.name;
  return (
    <section aria-label="Values">
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          goTo({ view: "values", prefix: typed, name: null });
        }}
      >
        <label>
          Prefix{" "}
          <input value={typed} placeholder="all names" onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
        <button type="submit">Show</button>
        <label>
          Search{" "}
          <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <span class="spacer" />
        <CopyButton text={() => curlStreamLine(base, streamPath("watch", prefix, null))} label="Copy watch as curl" />
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          New value
        </button>
      </form>
      <p class="note" role="status">
        <span class={`dot ${state.status}`} aria-hidden="true" /> {statusText(state.status)} · {count(names.length)}
        {wanted ? ` of ${count(all.length)}` : ""} values
        {state.gaps > 0 ? ` · ${state.gaps} gap${state.gaps === 1 ? "" : "s"}, made up by reading everything again` : ""}
        {model.truncated ? " · more are there than this page keeps: choose a prefix" : ""}
      </p>
      {names.length === 0 ? (
        <p class="empty">{all.length === 0 ? "No value here yet." : "Nothing matches."}</p>
      ) : (
        <VirtualList
          label="Values"
          idPrefix="value-"
          count={names.length}
          row_px={row_px}
          selected={selected}
          onSelect={setSelected}
          onOpen={(position) => goTo({ ...place, name: names[position] ?? null })}
          rowKey={(position) => names[position] ?? ""}
          row={(position) => {
            const value = model.values.get(names[position] ?? "");
            return value ? <Row value={value} now={now} /> : null;
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
          onClose={() => goTo({ ...place, name: null })}
        />
      )}
    </section>
  );
}
