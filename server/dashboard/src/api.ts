// The public API (api.md) as this page uses it: types, names in URLs, problems. Knows nothing of which node is asked.

export interface Member {
  id: number;
  raft: string;
  http?: string;
  /** Of its data directory. */
  disk_id?: string;
  role: "voter" | "learner";
  state: string;
  match_index?: number;
  lag?: number;
  last_contact_ms?: number;
  rtt_ms?: number;
  /** What it sends arrives at the answering node. */
  hears?: boolean;
  /** What the answering node sends arrives there; left out while nobody can tell. */
  reaches?: boolean;
  [other: string]: unknown;
}

export interface Cluster {
  cluster_id: string;
  node: number;
  state: string;
  leader: number;
  term: number;
  commit_index: number;
  applied_index: number;
  last_index: number;
  ready: boolean;
  not_ready_reason?: string;
  leader_since?: string;
  started_at?: string;
  version?: string;
  snapshot_index?: number;
  disk_ms?: number;
  members: Member[];
  /** Ids of former members, which aren't used again. */
  removed: number[];
  [other: string]: unknown;
}

export interface Bytes {
  value?: string | null;
  value_base64?: string;
}

export interface Value extends Bytes {
  name: string;
  index: number;
  expire?: string;
}

/** One message of a stream, in the words of api.md. */
export interface StreamMessage extends Bytes {
  type: "value" | "subscribed" | "created" | "updated" | "deleted" | "progress" | "gap";
  cursor: string;
  name?: string;
  index?: number;
  expire?: string;
  expired?: boolean;
  deleted_index?: number;
  prev_value?: Bytes & { index: number };
}

export interface Problem {
  status: number;
  code: string;
  title?: string;
  detail?: string;
  outcome?: string;
  current_index?: number;
}

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title || problem.code);
  }
}

/** What became of a request, as a person reads it. */
export function problemText(error: unknown): string {
  if (error instanceof ApiError) {
    return error.message + (error.problem.outcome === "unknown" ? " It may or may not have been done." : "");
  }
  // fetch() throws these two where no answer came; a frame's (reach.ts) has its own TypeError.
  const unanswered = error instanceof DOMException || (error as Error | null)?.name === "TypeError";
  if (unanswered) return "No answer: it may or may not have been done.";
  return error instanceof Error ? error.message : String(error);
}

const dot_segment = /^\.{1,2}$/;
const name_rule =
  'A name has 1 to 512 bytes of UTF-8 without control characters, and no empty, "." or ".." segment between slashes.';

/** What the server would say of a name (or of the beginning of names), where a browser can't even ask it; else null. */
export function nameProblem(name: string, is_prefix = false): string | null {
  const segments = name.split("/");
  // The last segment of a prefix isn't complete.
  if (is_prefix && segments[segments.length - 1] === "") segments.pop();
  return segments.some((segment) => segment === "" || dot_segment.test(segment)) ? name_rule : null;
}

/**
 * A name in a URL: slashes stay, everything else is escaped. Browsers and curl resolve "." and "..", even escaped ones,
 * and would ask for another name: a character that the server refuses stands for them.
 */
export function namePath(name: string): string {
  return name
    .split("/")
    .map((segment) => (dot_segment.test(segment) ? "%01" : encodeURIComponent(segment)))
    .join("/");
}

export interface ApiRequest {
  method: "GET" | "PUT" | "POST" | "DELETE";
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** The request that writes `bytes`: against `index` when it is a number, only where nothing is when it is null. */
export function putRequest(name: string, bytes: Bytes, ttl: string, index: number | null): ApiRequest {
  const body: Record<string, unknown> =
    bytes.value_base64 !== undefined ? { value_base64: bytes.value_base64 } : { value: bytes.value ?? "" };
  if (ttl) body.ttl = ttl;
  return {
    method: "PUT",
    path: `/v1/values/${namePath(name)}`,
    headers: {
      "Content-Type": "application/json",
      ...(index === null ? { "If-None-Match": "*" } : { "If-Match": `"${index}"` }),
    },
    body: JSON.stringify(body),
  };
}

export function deleteRequest(name: string, index: number): ApiRequest {
  return { method: "DELETE", path: `/v1/values/${namePath(name)}`, headers: { "If-Match": `"${index}"` } };
}

export function getRequest(name: string): ApiRequest {
  return { method: "GET", path: `/v1/values/${namePath(name)}` };
}

/** A part of the values under a prefix, after that name, as the node itself has them. */
export function listRequest(prefix: string, after: string | undefined): ApiRequest {
  const query = new URLSearchParams({ prefix, limit: "1000", consistency: "local" });
  if (after !== undefined) query.set("after", after);
  return { method: "GET", path: `/v1/values?${query}` };
}

export function streamPath(kind: "watch" | "events", prefix: string, cursor: string | null): string {
  const query = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  return `/v1/${kind}/${namePath(prefix)}?prefix=true${query}`;
}

export function leaderRequest(id: number): ApiRequest {
  return jsonRequest("/v1/cluster/leader", { id });
}

/** The id as its digits: a number of JavaScript would round long ones. */
export function addMemberRequest(id: string, raft: string, learner: boolean): ApiRequest {
  const body = `{"id":${id},"raft":${JSON.stringify(raft)}${learner ? ',"learner":true' : ""}}`;
  return { method: "POST", path: "/v1/cluster/members", headers: { "Content-Type": "application/json" }, body };
}

export function removeMemberRequest(id: number): ApiRequest {
  return { method: "DELETE", path: `/v1/cluster/members/${id}` };
}

export function snapshotRequest(): ApiRequest {
  return { method: "POST", path: "/v1/cluster/snapshot" };
}

function jsonRequest(path: string, body: unknown): ApiRequest {
  return { method: "POST", path, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** A random key that makes a retried write apply once. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

/** A word for a shell, with quotes only where it needs them. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text);
}

/** The same request as a line for a shell. */
export function curlLine(base: string, request: ApiRequest): string {
  const words = ["curl"];
  if (request.method !== "GET") words.push("-X", request.method);
  for (const [name, value] of Object.entries(request.headers ?? {})) words.push("-H", quoted(`${name}: ${value}`));
  if (request.body !== undefined) words.push("--data-raw", quoted(request.body));
  words.push(quoted(base + request.path));
  return words.join(" ");
}

/** What a stream is on the command line. */
export function curlStreamLine(base: string, path: string): string {
  return `curl -N ${quoted(base + path)}`;
}
