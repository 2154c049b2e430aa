// How well the cluster is, in words, of what the page was told. Pure.
import type { Cluster, Member } from "./api";
import type { ConnectionState } from "./connection";

const silent_ms = 3000;

/** Whether the answering node hears nothing of this member. */
export function isSilent(member: Member): boolean {
  if (member.hears !== undefined) return !member.hears;
  return member.state === "unreachable" || (member.last_contact_ms !== undefined && member.last_contact_ms > silent_ms);
}

/** Of whom neither the answering node hears anything nor this page: `views` are the members' own answers. */
export function silentMembers(cluster: Cluster, views: ReadonlyMap<number, Cluster>): Member[] {
  return cluster.members.filter((member) => member.id !== cluster.node && !views.has(member.id) && isSilent(member));
}

function nodesText(members: Member[]): string {
  const ids = members.map(({ id }) => id);
  const last = ids.pop();
  return ids.length === 0 ? `Node ${last}` : `Nodes ${ids.join(", ")} and ${last}`;
}

function silentText(silent: Member[]): string {
  return silent.length === 0 ? "" : `${nodesText(silent)} ${silent.length === 1 ? "is" : "are"} not heard from.`;
}

type Told = Pick<ConnectionState, "status" | "cluster" | "views">;

/** Why writes can't be expected to work; null when nothing says so. */
export function trouble({ status, cluster, views }: Told): string | null {
  if (status === "lost") return "No node answers. What is shown is the last known state.";
  if (status === "connecting" && cluster) return "The node does not answer; trying the others.";
  if (!cluster) return null;
  if (cluster.leader === 0) {
    const silent = silentText(silentMembers(cluster, views));
    return `There is no leader: without a majority of the voters nothing can be written. ${silent}`.trim();
  }
  if (!cluster.ready) {
    return `Node ${cluster.node} is not ready${
      cluster.not_ready_reason ? `: ${cluster.not_ready_reason}` : "; it may show an old state."
    }`;
  }
  return null;
}

/** Who is missing while all works, and how much more may fail; null when nobody is. */
export function warning(state: Told): string | null {
  const { cluster, views } = state;
  if (!cluster || trouble(state) !== null) return null;
  const silent = silentMembers(cluster, views);
  if (silent.length === 0) return null;
  const voters = cluster.members.filter(({ role }) => role === "voter").length;
  const up = voters - silent.filter(({ role }) => role === "voter").length;
  const spare = up - (Math.floor(voters / 2) + 1);
  const outlook = spare > 0 ? `${spare} more may fail` : "none more may fail, or nothing can be written";
  return `${silentText(silent)} ${up} of ${voters} voters are up: ${outlook}.`;
}
