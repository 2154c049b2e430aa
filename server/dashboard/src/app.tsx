// The page's frame: whether it is connected and to whom, the three views, the theme.
import { useEffect, useState } from "preact/hooks";
import type { Cluster } from "./api";
import { ClusterView } from "./cluster_view";
import { connection, startPolling } from "./connection";
import { EventsView } from "./events_view";
import { startFigures } from "./figures";
import { trouble, warning } from "./health";
import { startChangeLog } from "./history_log";
import { formatPlace, place, type View } from "./place";
import { useStore } from "./store";
import { chooseTheme, currentTheme } from "./theme";
import { ValuesView } from "./values_view";

const titles: Record<View, string> = { cluster: "Cluster", values: "Values", events: "Events" };
function useTheme(): [string, () => void] {
  const [theme, setTheme] = useState(currentTheme);
  const toggle = () => {
    const next = theme === "dark" ? "light" : "dark";
    chooseTheme(next);
    setTheme(next);
  };
  return [theme, toggle];
}

/** A node that is ready has a leader that hears a majority, and has caught up with it. */
function quorumText(cluster: Cluster | null): string {
  if (cluster?.ready) return "quorum";
  return cluster?.leader ? "not ready" : "no quorum";
}

function ConnectionBadge() {
  const state = useStore(connection);
  const node = state.cluster ? `node ${state.cluster.node}` : new URL(state.base).host;
  const text = {
    connected: `connected to ${node} · ${quorumText(state.cluster)}`,
    connecting: state.cluster ? `${node} does not answer` : "connecting",
    lost: "not connected",
  }[state.status];
  const dot = { connected: state.cluster?.ready ? "live" : "connecting", connecting: "connecting", lost: "broken" }[state.status];
  return (
    <span class="connection" role="status" title={state.base}>
      <span class={`dot ${dot}`} aria-hidden="true" /> {text}
    </span>
  );
}

/** What only a new page can mend. Without a dialog that somebody works in, other data is not left standing. */
function ReloadNotice() {
  const { replaced, barred } = useStore(connection);
  useEffect(() => {
    if (replaced && !document.querySelector("dialog[open]")) location.reload();
  }, [replaced]);
  if (!replaced && barred.size === 0) return null;
  return (
    <p class="warn" role="status">
      {replaced
        ? "The nodes have other data than when this page was loaded: what it shows is gone. "
        : `This page may not speak with ${[...barred].join(", ")}: it was loaded before they came. `}
      <button type="button" onClick={() => location.reload()}>
        Reload
      </button>
    </p>
  );
}

export function App() {
  const here = useStore(place);
  const state = useStore(connection);
  const [theme, toggleTheme] = useTheme();
  useEffect(() => {
    const stops = [startChangeLog(), startPolling(), startFigures()];
    return () => stops.forEach((stop) => stop());
  }, []);
  useEffect(() => {
    document.title = `${titles[here.view]} – Cairn`;
  }, [here.view]);
  const bad = trouble(state);
  const worrying = warning(state);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById("main")?.focus();
      }}>
        Skip to the content
      </a>
      <header class="top">
        <img src="/dashboard/icon.svg" alt="" width="28" height="28" />
        <h1>Cairn</h1>
        <nav aria-label="Views">
          {(Object.keys(titles) as View[]).map((view) => (
            <a
              key={view}
              href={formatPlace({ view, prefix: here.prefix, name: null })}
              aria-current={here.view === view ? "page" : undefined}
            >
              {titles[view]}
            </a>
          ))}
        </nav>
        <span class="spacer" />
        <ConnectionBadge />
        <button type="button" class="quiet" onClick={toggleTheme} aria-label={`Use the ${theme === "dark" ? "light" : "dark"} theme`}>
          {theme === "dark" ? "☀" : "☾"}
        </button>
      </header>
      <div role="alert">{bad && <p class="trouble">{bad}</p>}</div>
      <div role="status">{worrying && <p class="warn">{worrying}</p>}</div>
      <ReloadNotice />
      <main id="main" tabIndex={-1}>
        {here.view === "cluster" && <ClusterView />}
        {here.view === "values" && <ValuesView place={here} />}
        {here.view === "events" && <EventsView place={here} />}
      </main>
    </>
  );
}
