// One member: what it is, how far it is, how fresh that is.
import type { Cluster, Member } from "./api";
import { count, milliseconds, span } from "./format";
import type { NodeFigures } from "./figures";

interface Props {
  member: Member;
  /** The answer of the node in use. */
  cluster: Cluster;
  /** What the member said of itself, when it could be asked. */
  own: Cluster | undefined;
  /** Nobody whom this page could ask hears of it. */
  silent: boolean;
  figures: NodeFigures | undefined;
  now: number;
  onLead(): void;
  onRemove(): void;
}

function Fact({ name, value, title }: { name: string; value: string; title?: string }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** What it does now where that is known, else what it is. */
function roleText(member: Member, cluster: Cluster): string {
  if (member.id === cluster.leader) return "leader";
  if (member.role === "learner") return "learner";
  if (member.state === "candidate" || member.state === "pre_candidate") return "asks for votes";
  return member.state === "follower" ? "follower" : "voter";
}

export function MemberCard({ member, cluster, own, silent, figures, now, onLead, onRemove }: Props) {
  const leads = member.id === cluster.leader;
  const applied = own?.applied_index;
  // A leader that is new knows nothing yet of a member that is silent.
  const known_index = silent && !member.match_index ? undefined : member.match_index;
  const lag =
    applied !== undefined ? Math.max(0, cluster.commit_index - applied) : known_index === undefined ? undefined : member.lag;
  return (
    <article class={`card ${leads ? "leads" : ""} ${silent ? "silent" : ""}`} aria-label={`Node ${member.id}`}>
      <header>
        <h2>Node {member.id}</h2>
        <span class={`badge ${leads ? "leader" : ""}`}>{roleText(member, cluster)}</span>
        {silent && <span class="badge bad">not heard from</span>}
        {own && !own.ready && <span class="badge bad">not ready</span>}
        {member.id === cluster.node && <span class="badge">this page's</span>}
      </header>
      <dl>
        <Fact name="term" value={count(own?.term)} />
        <Fact name="commit" value={count(own?.commit_index)} title="committed index" />
        <Fact name="applied" value={count(applied ?? known_index)} title="applied index" />
        <Fact name="behind" value={count(lag)} title="entries behind the leader" />
        <Fact
          name="last contact"
          value={member.id === cluster.node ? "itself" : milliseconds(member.last_contact_ms)}
          title="since the page's node heard from it"
        />
        <Fact name="disk" value={milliseconds(Number.isFinite(figures?.disk_ms) ? figures?.disk_ms : own?.disk_ms)} title="a write to its disk with its sync, median of the last seconds" />
        <Fact name="commit time" value={milliseconds(figures?.commit_p50_ms)} title="from proposal to commit, median" />
        <Fact name="up" value={own?.started_at ? span(now - Date.parse(own.started_at)) : "–"} title="since its last start" />
      </dl>
      {own && !own.ready && own.not_ready_reason && <p class="bad">{own.not_ready_reason}</p>}
      <p class="addresses">
        {member.http ? <a href={`${location.protocol}//${member.http}/`}>{member.http}</a> : "no HTTP address known"} · Raft{" "}
        {member.raft}
      </p>
      <footer>
        {!leads && !silent && member.role === "voter" && (
          <button type="button" onClick={onLead}>
            Make leader…
          </button>
        )}
        <button type="button" class="quiet" onClick={onRemove}>
          Remove…
        </button>
      </footer>
    </article>
  );
}
