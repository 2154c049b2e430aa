// The cluster at a glance: its members, their links, figures over time, and what has changed.
import { useMemo, useState } from "preact/hooks";
import type { Cluster, Member } from "./api";
import { sizeText } from "./bytes";
import { Chart, type Line } from "./chart";
import { AddDialog, BackupDialog, LeadDialog, RemoveDialog, SnapshotDialog } from "./cluster_actions";
import { connection } from "./connection";
import { figures, type NodeFigures, type Point } from "./figures";
import { clock, count, milliseconds, rate, span } from "./format";
import { silentMembers } from "./health";
import { changes } from "./history_log";
import { LinksView } from "./links_view";
import { MemberCard } from "./member_card";
import { useNow, useStore } from "./store";

type Asked = { what: "add" | "snapshot" | "backup" } | { what: "lead" | "remove"; member: Member };

const colours = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6", "--series-7"];

type Pick = (node: NodeFigures) => number;

/** Of all that could be asked. */
function total(points: Point[], pick: Pick): (number | null)[] {
  const sum = (nodes: Iterable<NodeFigures>) => [...nodes].reduce((so_far, node) => so_far + pick(node), 0);
  return points.map(({ nodes }) => (nodes.size === 0 ? null : sum(nodes.values())));
}

function ofNode(points: Point[], id: (point: Point) => number, pick: Pick): (number | null)[] {
  return points.map((point) => {
    const node = point.nodes.get(id(point));
    const value = node ? pick(node) : NaN;
    return Number.isNaN(value) ? null : value;
  });
}

function Charts({ cluster }: { cluster: Cluster }) {
  const points = useStore(figures);
  const ids = cluster.members.map((member) => member.id);
  const perNode: Line[] = ids.map((id, i) => ({ label: `node ${id}`, colour: colours[i % colours.length] ?? "--series-1" }));
  const data = useMemo(() => {
    const time = points.map((point) => point.at_s);
    const each = (pick: Pick) => [time, ...ids.map((id) => ofNode(points, () => id, pick))];
    const leader = (point: Point) => point.leader;
    return {
      rates: [time, total(points, (node) => node.writes_per_s), total(points, (node) => node.reads_per_s)],
      latency: [
        time,
        ofNode(points, leader, (node) => node.commit_p50_ms),
        ofNode(points, leader, (node) => node.commit_p99_ms),
      ],
      applied: each((node) => node.applied_index),
      disk: each((node) => node.disk_p99_ms),
      streams: each((node) => node.streams),
      memory: each((node) => node.memory_bytes),
    };
  }, [points, ids.join()]);
  const asked = points[points.length - 1]?.nodes.size ?? 0;
  const of_some = asked > 0 && asked < ids.length ? ` (${asked} of ${ids.length} nodes)` : "";
  const two = (first: string, second: string): Line[] => [
    { label: first, colour: "--series-1" },
    { label: second, colour: "--series-2", dash: true },
  ];
  return (
    <div class="charts" role="group" aria-label="Figures of the last ten minutes">
      <Chart title={`Requests per second${of_some}`} lines={two("writes", "reads")} data={data.rates} format={rate} />
      <Chart title="Commit time on the leader" lines={two("p50", "p99")} data={data.latency} format={milliseconds} />
      <Chart title="Applied index" lines={perNode} data={data.applied} format={count} />
      <Chart title="Disk, write and sync, p99" lines={perNode} data={data.disk} format={milliseconds} />
      <Chart title="Streams" lines={perNode} data={data.streams} format={count} />
      <Chart title="Memory" lines={perNode} data={data.memory} format={sizeText} />
    </div>
  );
}

function Changes() {
  const list = useStore(changes);
  return (
    <div class="panel">
      <h2>Since this page was opened</h2>
      <ol class="changes" aria-live="polite" aria-relevant="additions">
        {list.length === 0 && <li class="note">No election, no change of members.</li>}
        {list.map((change) => (
          <li key={change.at_ms + change.text} class={change.bad ? "bad" : ""}>
            <time>{clock(change.at_ms)}</time> {change.text}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Headline({ cluster, now, onAsk }: { cluster: Cluster; now: number; onAsk(asked: Asked): void }) {
  const since = cluster.leader_since ? ` for ${span(now - Date.parse(cluster.leader_since))}` : "";
  const voters = cluster.members.filter((member) => member.role === "voter").length;
  return (
    <div class="bar">
      <p class="headline">
        {cluster.leader ? `Node ${cluster.leader} leads${since}, term ${cluster.term}` : "No leader"} · {voters} voters,{" "}
        {Math.floor(voters / 2) + 1} needed · cluster {cluster.cluster_id}
      </p>
      <span class="spacer" />
      <button type="button" onClick={() => onAsk({ what: "add" })}>
        Add member…
      </button>
      <button type="button" onClick={() => onAsk({ what: "snapshot" })}>
        Snapshot…
      </button>
      <button type="button" onClick={() => onAsk({ what: "backup" })}>
        Backup…
      </button>
    </div>
  );
}

export function ClusterView() {
  const { cluster, views, base, status, answered_at_ms } = useStore(connection);
  const points = useStore(figures);
  const now = useNow(1000);
  const [asked, setAsked] = useState<Asked | null>(null);
  if (!cluster) return <p class="empty">{status === "lost" ? "No node answers." : "Asking the cluster …"}</p>;
  const newest = points[points.length - 1]?.nodes;
  // What is old doesn't go on.
  const then = status === "connected" ? now : answered_at_ms;
  const silent = silentMembers(cluster, views);
  const close = () => setAsked(null);
  const common = { base, cluster, onClose: close };
  return (
    <section aria-label="Cluster" class={status === "connected" ? "" : "old"}>
      {status !== "connected" && <p class="warn">As of {clock(answered_at_ms)}, {span(now - answered_at_ms)} ago.</p>}
      <Headline cluster={cluster} now={then} onAsk={setAsked} />
      <div class="cards">
        {cluster.members.map((member) => (
          <MemberCard
            key={member.id}
            member={member}
            cluster={cluster}
            own={views.get(member.id)}
            silent={silent.includes(member)}
            figures={newest?.get(member.id)}
            now={then}
            onLead={() => setAsked({ what: "lead", member })}
            onRemove={() => setAsked({ what: "remove", member })}
          />
        ))}
      </div>
      <Charts cluster={cluster} />
      <div class="columns">
        <LinksView cluster={cluster} views={views} />
        <Changes />
      </div>
      {asked?.what === "add" && <AddDialog {...common} />}
      {asked?.what === "snapshot" && <SnapshotDialog {...common} />}
      {asked?.what === "backup" && <BackupDialog {...common} />}
      {asked?.what === "lead" && <LeadDialog {...common} member={asked.member} />}
      {asked?.what === "remove" && <RemoveDialog {...common} member={asked.member} />}
    </section>
  );
}
