// What the page decides without a browser: its pure functions, bundled from the sources and called here.
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { equal, good, scenario } from "./harness.mjs";

const dashboard = process.env.DASHBOARD;

/** Modules of the page as one object. They may look for a page when they are loaded, not more. */
export async function load(...names) {
  const { build } = createRequire(join(dashboard, "package.json"))("esbuild");
  const directory = await mkdtemp(join(tmpdir(), "cairn-units-"));
  try {
    const file = join(directory, "page.mjs");
    const contents = names.map((name) => `export * from "./src/${name}";`).join("\n");
    await build({
      stdin: { contents, resolveDir: dashboard },
      bundle: true,
      format: "esm",
      jsx: "automatic",
      jsxImportSource: "preact",
      outfile: file,
      logLevel: "warning",
    });
    globalThis.location ??= { origin: "http://here", hash: "", protocol: "http:" };
    globalThis.window ??= { addEventListener() {} };
    globalThis.document ??= { addEventListener() {} };
    globalThis.sessionStorage ??= { getItem: () => null };
    return await import(pathToFileURL(file).href);
  } finally {
    await rm(directory, { recursive: true });
  }
}

export const same = (actual, expected, what) => equal(JSON.stringify(actual), JSON.stringify(expected), what);

scenario("unit: figures from counters and histograms", async () => {
  const { buckets, growth, parseMetrics, quantile, sum } = await load("metrics.ts");
  const text = [
    "# HELP a_total What it counts",
    'a_total{method="GET",route="/v1/values/{name}"} 3',
    'a_total{method="PUT",route="x\\"y"} 4',
    "plain 1.5e3",
    "bad NaN",
    'h_bucket{le="0.01"} 10',
    'h_bucket{le="0.1"} 20',
    'h_bucket{le="+Inf"} 20',
    "",
  ].join("\n");
  const samples = parseMetrics(text);
  equal(sum(samples, "a_total"), 7, "all label sets");
  equal(sum(samples, "a_total", ({ method }) => method === "GET"), 3, "one of them");
  equal(sum(samples, "plain"), 1500, "no labels");
  equal(sum(samples, "absent"), 0, "absent");
  equal(growth(5, 9), 4, "growth");
  equal(growth(9, 2), 2, "a counter that began anew");
  const after = buckets(samples, "h");
  equal(quantile(new Map(), after, 0.5), 0.01, "half of them are in the first bucket");
  equal(quantile(new Map(), after, 0.75).toFixed(3), "0.055", "between two bounds");
  equal(Number.isNaN(quantile(after, after, 0.5)), true, "nothing new");
  const over = new Map([...after, [Infinity, 40]]);
  equal(quantile(new Map(), over, 0.99), 0.1, "over the last bound");
});

scenario("unit: links as their two ends see them", async () => {
  const { linkCell } = await load("links_view.tsx");
  const views = new Map([[1, { members: [{ id: 1 }, { id: 2, hears: true, reaches: true, rtt_ms: 0.5 }, { id: 3, hears: true, reaches: false }, { id: 4, hears: false, reaches: true }, { id: 5, hears: false, reaches: false }] }]]);
  const kinds = [1, 2, 3, 4, 5, 6].map((column) => linkCell(views, 1, column).kind);
  same(kinds, ["self", "good", "one-way", "one-way", "cut", "unknown"], "kinds");
  equal(linkCell(views, 1, 2).text, "0.50 ms", "round trip");
  equal(linkCell(views, 2, 1).kind, "unknown", "who couldn't be asked");
});

scenario("unit: what has changed in the cluster, in words", async () => {
  const { differences, restarted } = await load("history_log.ts");
  const before = { node: 1, term: 1, leader: 1, members: [{ id: 1, role: "voter" }, { id: 2, role: "learner", hears: true }, { id: 3, role: "voter", hears: true }] };
  same(differences(before, before), [], "nothing");
  const after = { node: 1, term: 2, leader: 3, members: [{ id: 1, role: "voter" }, { id: 2, role: "voter", hears: true }, { id: 4, role: "learner" }] };
  same(
    differences(before, after).map(({ text }) => text),
    ["Election: term 2", "Node 3 leads, after node 1", "Node 2 is a voter now", "Node 4 was added as learner", "Node 3 was removed"],
    "all of it",
  );
  const silent = { ...before, members: before.members.map((member) => (member.id === 3 ? { ...member, hears: false } : member)) };
  same(differences(before, silent), [{ text: "Node 3 is not heard from", bad: true }], "silence");
  same(differences(before, { ...before, leader: 0 }), [{ text: "Node 1 no longer leads", bad: true }], "no leader");
  const views = (time) => new Map([[1, { started_at: "a" }], [2, { started_at: time }]]);
  same(restarted(views("b"), views("c")), [2], "a restart");
  same(restarted(new Map(), views("c")), [], "first seen");
});

scenario("unit: bytes, text and JSON", async () => {
  const { bytesOf, fromBase64, fromHex, prettyJson, toBase64, toHex, visibleText } = await load("bytes.ts");
  const all = Uint8Array.from({ length: 70_000 }, (_, i) => i % 256);
  same([...fromBase64(toBase64(all))], [...all], "base64 and back");
  equal(toHex(fromHex("00 ff1\n0")), "00 ff 10", "hexadecimal digits");
  equal(fromHex("0"), null, "half a byte");
  equal(fromHex("0g"), null, "no digit");
  equal(bytesOf({ value: "ä" }).length, 2, "UTF-8");
  equal(prettyJson('{"a":1}'), '{\n  "a": 1\n}', "JSON");
  equal(prettyJson("12"), null, "a number stays");
  equal(visibleText("a\u202eb\u0000"), "a\ufffdb\u2400", "what would hide something");
});

scenario("unit: requests and their curl lines", async () => {
  const { curlLine, deleteRequest, namePath, putRequest, streamPath } = await load("api.ts");
  equal(namePath("a b/c?d"), "a%20b/c%3Fd", "a name in a path");
  equal(
    curlLine("http://n:1", putRequest("it's", { value: "it's" }, "5s", 7)),
    `curl -X PUT -H 'Content-Type: application/json' -H 'If-Match: "7"' --data-raw '{"value":"it'\\''s","ttl":"5s"}' 'http://n:1/v1/values/it'\\''s'`,
    "a write",
  );
  same(putRequest("a", { value_base64: "AA==" }, "", null).headers["If-None-Match"], "*", "a new value");
  equal(curlLine("http://n:1", deleteRequest("a", 7)), `curl -X DELETE -H 'If-Match: "7"' 'http://n:1/v1/values/a'`, "a delete");
  equal(streamPath("events", "a/", "4.2"), "/v1/events/a/?prefix=true&cursor=4.2", "a stream");
});

scenario("unit: how well the cluster is, in words", async () => {
  const { silentMembers, trouble, warning } = await load("health.ts");
  const voter = (id, hears) => ({ id, role: "voter", hears });
  const told = (members, more = {}) => {
    const cluster = { node: 1, leader: 1, ready: true, members, ...more };
    return { status: "connected", cluster, views: new Map([[1, cluster]]) };
  };
  const three = told([voter(1), voter(2, true), voter(3, true)]);
  equal(trouble(three), null, "no trouble");
  equal(warning(three), null, "no warning");
  const one_down = told([voter(1), voter(2, false), voter(3, true)]);
  equal(warning(one_down), "Node 2 is not heard from. 2 of 3 voters are up: none more may fail, or nothing can be written.", "one of three");
  const of_five = told([voter(1), voter(2, false), voter(3, true), voter(4, true), voter(5, true)]);
  good(warning(of_five).endsWith("4 of 5 voters are up: 1 more may fail."), "one of five");
  const learner = told([voter(1), { id: 2, role: "learner", hears: false }]);
  good(warning(learner).startsWith("Node 2 is not heard from. 1 of 1 voters are up"), "a learner");
  // What this page can ask is up, whoever else doesn't hear it.
  one_down.views.set(2, one_down.cluster);
  same(silentMembers(one_down.cluster, one_down.views), [], "heard by the page");
  const alone = told([voter(1), voter(2, false), voter(3, false)], { leader: 0, ready: false });
  good(trouble(alone).endsWith("nothing can be written. Nodes 2 and 3 are not heard from."), "no majority");
  equal(warning(alone), null, "the trouble says it");
});
