// Which node this page speaks with, whether it is there, and how it goes on with another when it is not.
//
// One loop asks the current node about the cluster once a second; when that fails, the other members in turn. Whatever
// the page shows meanwhile is marked as old. Requests go to the node that answered last.
import { ApiError, type ApiRequest, type Cluster, type Problem } from "./api";
import { fetchThere, watchPolicy } from "./reach";
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
  /** Members that this page may not speak with: they came after it was loaded, and no newer policy could be had. */
  barred: ReadonlySet<string>;
  /** The nodes have other data now than when the page was loaded: nothing that it shows holds any more. */
  replaced: boolean;
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
  barred: new Set(),
  replaced: false,
});

watchPolicy((host) => connection.update({ barred: new Set([...connection.get().barred, host]) }));

/** Aborted when the page goes over to another node: nobody waits for the one that is gone. */
let left = new AbortController();

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

/** The time counts until the body is read: an answer can stall anywhere. */
function fetchWithin(url: string, timeout_ms: number, init: RequestInit = {}): Promise<Response> {
  const late = AbortSignal.timeout(timeout_ms);
  const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
  return fetchThere(url, { ...init, signal, cache: "no-store" });
}

async function askCluster(base: string): Promise<Cluster> {
  const response = await fetchWithin(`${base}/v1/cluster`, poll_timeout_ms);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()) as Cluster;
}

interface Answer {
  base: string;
  cluster: Cluster;
}

/** Goes over to the first of the known nodes that is ready, or to one that answers at least. `own`: what the present one said. */
async function findNode(own: Answer | null): Promise<void> {
  const { base: present, barred } = connection.get();
  const asked = known
    .filter((base) => base !== present && !barred.has(new URL(base).host))
    .map(async (base): Promise<Answer> => ({ base, cluster: await askCluster(base) }));
  const ready = asked.map(async (answer) => {
    if (!(await answer).cluster.ready) throw new Error("not ready");
    return answer;
  });
  let found = own;
  try {
    found = await Promise.any(ready);
  } catch {
    if (!found) {
      const answers = await Promise.allSettled(asked);
      found = answers.find((answer) => answer.status === "fulfilled")?.value ?? null;
    }
  }
  if (found) accept(found);
  else connection.update({ status: "lost" });
}

let disks: string[] = [];

/** Data directories have ids of their own: with none of those that were here, these are other nodes at the same place. */
function isReplaced(cluster: Cluster): boolean {
  const now = cluster.members.flatMap(({ disk_id }) => (disk_id ? [disk_id] : []));
  if (now.length === 0) return false;
  const before = disks;
  disks = now;
  return before.length > 0 && !now.some((id) => before.includes(id));
}

function accept({ base, cluster }: Answer): void {
  const before = connection.get();
  learnMembers(cluster);
  if (before.base !== base) {
    left.abort();
    left = new AbortController();
  }
  const replaced = isReplaced(cluster) || before.replaced;
  connection.update({ base, cluster, replaced, status: "connected", answered_at_ms: Date.now() });
}

/** What the other members say of themselves, for the map. Those that don't answer are left out. */
async function askOthers(cluster: Cluster): Promise<void> {
  const views = new Map([[cluster.node, cluster]]);
  await Promise.all(
    cluster.members.map(async (member) => {
      if (member.id === cluster.node || !member.http || connection.get().barred.has(member.http)) return;
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
    if (cluster.ready) accept({ base, cluster });
    else await findNode({ base, cluster });
  } catch {
    if (connection.get().status === "connected") connection.update({ status: "connecting" });
    await findNode(null);
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

/**
 * Sends a request to the node in use. ApiError when the node refused it, another error when it could not be asked or did
 * not answer before the page went over to another one.
 */
export async function send(request: ApiRequest): Promise<Response> {
  const { base } = connection.get();
  const response = await fetchWithin(base + request.path, request_timeout_ms, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    signal: left.signal,
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
