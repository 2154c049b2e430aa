// What the scenarios stand on: a browser, clusters that the parent process starts, cases and their results.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const slowness = Number(process.env.SLOWNESS ?? "1");
export const patience_ms = 20_000 * slowness;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the parent process: clusters, kill, start, pause, resume. */
export async function ask(request) {
  process.stdout.write(`${JSON.stringify(request)}\n`);
  const { value, done } = await answers.next();
  if (done) throw new Error("the parent process has ended");
  const answer = JSON.parse(value);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

export async function startCluster(nodes = 3) {
  const { bases } = await ask({ do: "cluster", nodes });
  const ids = Object.keys(bases).map(Number);
  return { bases, ids, base: bases[ids[0]] };
}

export async function put(base, name, value, more = {}) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const response = await fetch(`${base}/v1/values/${path}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ value, ...more }),
  });
  if (!response.ok) throw new Error(`PUT ${name}: ${response.status} ${await response.text()}`);
  return response.json();
}

export async function remove(base, name) {
  const response = await fetch(`${base}/v1/values/${name}`, { method: "DELETE" });
  if (!response.ok) throw new Error(`DELETE ${name}: ${response.status}`);
}

export async function clusterOf(base) {
  return (await fetch(`${base}/v1/cluster`)).json();
}

export async function until(what, condition, limit_ms = patience_ms) {
  const end = Date.now() + limit_ms;
  let last;
  while (Date.now() < end) {
    try {
      const result = await condition();
      if (result) return result;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what}: not within ${limit_ms} ms${last ? `; ${last.message}` : ""}`);
}

const chromium_arguments = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function openBrowser() {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: chromium_arguments });
}

/** A page whose own errors, refused scripts and requests to anywhere else are faults of the test. */
export async function openPage(browser, url, allowed_origins, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience_ms);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error in the page: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // A node that has just started doesn't know yet whose pages are the members': that CORS bars them then is no fault.
    if (/Content Security Policy|Refused to/.test(text)) faults.push(text);
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && !allowed_origins.includes(origin)) faults.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return { page, faults, context };
}

/** A page of that cluster; `close` fails when anything was wrong with it. */
export async function open(browser, cluster, hash = "", options = {}) {
  const opened = await openPage(browser, `${cluster.base}/${hash}`, Object.values(cluster.bases), options);
  const close = async () => {
    await opened.context.close();
    equal(opened.faults.join("\n"), "", "faults of the page");
  };
  return { page: opened.page, close };
}

export const row = (page, name) => page.locator(".virtual-row", { hasText: name });

const cases = [];

export function scenario(name, run) {
  cases.push({ name, run });
}

const scenario_max_ms = 120_000 * slowness;

function within(promise, limit_ms) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not done after ${limit_ms} ms`)), limit_ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Prints a line "PASS …" or "FAIL …" for each, and ends the process. */
export async function runScenarios() {
  const [part, parts] = [Number(process.env.PART ?? "0"), Number(process.env.PARTS ?? "1")];
  const wanted = cases
    .filter(({ name }) => name.includes(process.env.FILTER ?? ""))
    .filter((_, position) => position % parts === part);
  if (wanted.length === 0) process.exit(0);
  const browser = await openBrowser();
  for (const { name, run } of wanted) {
    const began = Date.now();
    try {
      await within(run(browser), scenario_max_ms);
      console.log(`PASS browser: ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      console.log(`FAIL browser: ${name}: ${error.stack ?? error}`.replace(/\n\{/g, "\n {"));
    }
  }
  await browser.close();
  process.exit(0);
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

export function good(condition, what) {
  if (!condition) throw new Error(what);
}
