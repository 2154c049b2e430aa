// Which node this page speaks with, whether it is there, and how it goes on with another when it is not.
//
// One loop asks the current node about the cluster once a second; when that fails, the other members in turn. Whatever
// the page shows meanwhile is marked as old. Requests go to the node that answered last.
import { ApiError, type ApiRequest, type Cluster, type Problem } from "./api";
import { Store } from "./store";

export interface ConnectionState {
  /** Address of the node in use, such as http://127.0.0.1:8080. */
  base: string;
  status: "connecting" | "connected" | "lost";
  /** As the node in use, or the last one that answered, had it. */
  cluster: Cluster | null;
  answered_at_ms: number;
  /** What every member that could be reached said about itself, by id. */
  views: Map<number, Cluster>;
}

const poll_interval_ms = 1000;
const poll_timeout_ms = 1500;
export const request_timeout_ms = 10_000;
const known_members_key = "cairn-members";

export const connection = new Store<ConnectionState>({
  base: location.origin,
  status: "connecting",
  cluster: null,
  answered_at_ms: 0,
  views: new Map(),
});

/** Whether this member is the one that the page was loaded from or speaks with. */
function baseOf(address: string): string {
  return `${location.protocol}//${address}`;
}

function loadMembers(): string[] {
  try {
    const list: unknown = JSON.parse(sessionStorage.getItem(known_members_key) ?? "[]");
    return Array.isArray(list) ? list.filter((item): item is string => typeof item === "string") : [];
  } catch {
    return [];
  }
}

/** Addresses to try: the one in use, the page's own, then every member that was ever heard of. */
let known: string[] = [location.origin, ...loadMembers()];

function learnMembers(cluster: Cluster): void {
  const addresses = cluster.members.flatMap((member) => (member.http ? [baseOf(member.http)] : []));
  known = [...new Set([location.origin, ...addresses])].slice(0, 32);
  try {
    sessionStorage.setItem(known_members_key, JSON.stringify(addresses));
  } catch {
    // Without storage a reload starts from the page's own node.
  }
}

async function fetchWithin(url: string, timeout_ms: number, init: RequestInit = {}): Promise<Response> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeout_ms);
  try {
    return await fetch(url, { ...init, signal: abort.signal, cache: "no-store" });
  } finally {
    clearTimeout(timer);
  }
}

async function askCluster(base: string): Promise<Cluster> {
  const response = await fetchWithin(`${base}/v1/cluster`, poll_timeout_ms);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()) as Cluster;
}

/** The first of the known nodes that answers, those that are ready before others. */
async function findNode(): Promise<void> {
  let fallback: [string, Cluster] | null = null;
  const current = connection.get().base;
  for (const base of [current, ...known.filter((other) => other !== current)]) {
    try {
      const cluster = await askCluster(base);
      if (cluster.ready) return accept(base, cluster);
      fallback ??= [base, cluster];
    } catch {
      // The next one, then.
    }
  }
  if (fallback) return accept(...fallback);
  connection.update({ status: "lost" });
}

function accept(base: string, cluster: Cluster): void {
  learnMembers(cluster);
  connection.update({ base, cluster, status: "connected", answered_at_ms: Date.now() });
}

/** What the other members say of themselves, for the map. Those that don't answer are left out. */
async function askOthers(cluster: Cluster): Promise<void> {
  const views = new Map([[cluster.node, cluster]]);
  await Promise.all(
    cluster.members.map(async (member) => {
      if (member.id === cluster.node || !member.http) return;
      try {
        views.set(member.id, await askCluster(baseOf(member.http)));
      } catch {
        // It is shown as the node in use sees it.
      }
    }),
  );
  connection.update({ views });
}

async function poll(): Promise<void> {
  const { base } = connection.get();
  try {
    const cluster = await askCluster(base);
    // A node that isn't ready can't say whether anybody else is.
    if (cluster.ready) accept(base, cluster);
    else await findNode();
  } catch {
    if (connection.get().status === "connected") connection.update({ status: "connecting" });
    await findNode();
  }
  const { status, cluster } = connection.get();
  if (status === "connected" && cluster) await askOthers(cluster);
}

export function startPolling(): () => void {
  let stopped = false;
  const loop = async () => {
    while (!stopped) {
      const began = Date.now();
      if (document.visibilityState === "visible") await poll();
      await new Promise((done) => setTimeout(done, Math.max(100, poll_interval_ms - (Date.now() - began))));
    }
  };
  void loop();
  return () => {
    stopped = true;
  };
}

/** Sends a request to the node in use. ApiError when the node refused it, another error when it could not be asked. */
export async function send(request: ApiRequest): Promise<Response> {
  const { base } = connection.get();
  const response = await fetchWithin(base + request.path, request_timeout_ms, {
    method: request.method,
    headers: request.headers,
    body: request.body,
  });
  if (response.ok) return response;
  let problem: Problem = { status: response.status, code: "INTERNAL", title: response.statusText };
  try {
    problem = { ...problem, ...((await response.json()) as Problem) };
  } catch {
    // Whatever stands between us and the node has no problem document.
  }
  throw new ApiError(problem);
}

/** Whether writes can be expected to work, in words; null when all is well. */
export function trouble(state: ConnectionState): string | null {
  if (state.status === "lost") return "No node answers. What is shown is the last known state.";
  if (state.status === "connecting" && state.cluster) return "The node does not answer; trying the others.";
  if (!state.cluster) return null;
  if (state.cluster.leader === 0) {
    return "There is no leader: without a majority of the voters nothing can be written.";
  }
  if (!state.cluster.ready) {
    return `Node ${state.cluster.node} is not ready${
      state.cluster.not_ready_reason ? `: ${state.cluster.not_ready_reason}` : "; it may show an old state."
    }`;
  }
  return null;
}
