// What changed in the cluster while this page was open: leaders, terms, members that came, went, or fell silent.
import type { Cluster } from "./api";
import { connection } from "./connection";
import { isSilent } from "./health";
import { Store } from "./store";

export interface Change {
  at_ms: number;
  text: string;
  bad: boolean;
}

const kept = 200;

export const changes = new Store<Change[]>([]);

/** The differences between two looks at the cluster, in words. Pure. */
export function differences(before: Cluster, after: Cluster): { text: string; bad: boolean }[] {
  const list: { text: string; bad: boolean }[] = [];
  if (after.term > before.term) list.push({ text: `Election: term ${after.term}`, bad: false });
  if (after.leader !== before.leader) {
    list.push(
      after.leader === 0
        ? { text: `Node ${before.leader} no longer leads`, bad: true }
        : { text: `Node ${after.leader} leads${before.leader ? `, after node ${before.leader}` : ""}`, bad: false },
    );
  }
  const old = new Map(before.members.map((member) => [member.id, member]));
  for (const member of after.members) {
    const was = old.get(member.id);
    old.delete(member.id);
    if (!was) list.push({ text: `Node ${member.id} was added as ${member.role}`, bad: false });
    else if (was.role !== member.role) list.push({ text: `Node ${member.id} is a ${member.role} now`, bad: false });
    if (was && before.node === after.node && before.leader === after.leader) {
      const now_silent = isSilent(member);
      if (now_silent !== isSilent(was)) {
        list.push({ text: `Node ${member.id} ${now_silent ? "is not heard from" : "is heard from again"}`, bad: now_silent });
      }
    }
  }
  for (const id of old.keys()) list.push({ text: `Node ${id} was removed`, bad: false });
  return list;
}

export function note(text: string, bad: boolean): void {
  changes.set([{ at_ms: Date.now(), text, bad }, ...changes.get()].slice(0, kept));
}

/** Who started anew between two looks at what the members say of themselves. Pure. */
export function restarted(before: ReadonlyMap<number, Cluster>, after: ReadonlyMap<number, Cluster>): number[] {
  return [...after].flatMap(([id, view]) => {
    const was = before.get(id)?.started_at;
    return was !== undefined && view.started_at !== undefined && was !== view.started_at ? [id] : [];
  });
}

export function startChangeLog(): () => void {
  let last: Cluster | null = null;
  let base = "";
  let status = "";
  // As each member last told it, also while it is away.
  const views = new Map<number, Cluster>();
  return connection.subscribe(() => {
    const state = connection.get();
    for (const id of restarted(views, state.views)) note(`Node ${id} was started anew`, false);
    for (const [id, view] of state.views) views.set(id, view);
    if (state.status === "lost" && status !== "lost") note("No node answers", true);
    if (state.status === "connected" && status === "lost") note(`Node ${state.cluster?.node} answers again`, false);
    status = state.status;
    if (!state.cluster || state.cluster === last) return;
    if (base && state.base !== base) note(`This page speaks with node ${state.cluster.node} now`, false);
    base = state.base;
    if (last) for (const { text, bad } of differences(last, state.cluster)) note(text, bad);
    last = state.cluster;
  });
}
