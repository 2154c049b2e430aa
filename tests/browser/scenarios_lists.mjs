// The lists of values and of events, and the figures over time: what a person reads stays where it is, and is true.
import { ask, clusterOf, equal, good, open, put, remove, row, scenario, startCluster, until } from "./harness.mjs";
import { load, same } from "./units.mjs";

scenario("unit: an event is kept without its values", async () => {
  const { entryOf } = await load("events_model.ts");
  const long = "x".repeat(20_000);
  const message = { type: "updated", cursor: "7.1", name: "n", index: 7, value: long, prev_value: { value: long, index: 6 } };
  same(
    entryOf(message, 3, 5),
    { key: 3, at_ms: 5, kind: "updated", name: "n", index: 7, text: "x".repeat(160) },
    "an entry",
  );
  equal(entryOf({ type: "deleted", expired: true, cursor: "8.1", deleted_index: 8, index: 7 }, 0, 0).kind, "expired", "expired");
  equal(entryOf({ type: "deleted", expired: true, cursor: "8.1", deleted_index: 8, index: 7 }, 0, 0).index, 8, "its index");
  equal(entryOf({ type: "gap", cursor: "9.1" }, 0, 0).kind, "gap", "a gap");
  for (const type of ["value", "progress", "subscribed"]) equal(entryOf({ type, cursor: "9.1" }, 0, 0), null, type);
});

scenario("unit: values and figures as a list and a chart show them", async () => {
  const { base64Size, previewOf } = await load("preview.ts");
  for (const size of [0, 1, 2, 3, 1000]) equal(base64Size(Buffer.alloc(size).toString("base64")), size, `${size} bytes`);
  equal(previewOf({ value: `a\n\u0000${"b".repeat(500)}` }).length, 160, "a preview");
  equal(previewOf({ value_base64: "AAAA" }), "bytes, 3 B", "bytes");
  const { milliseconds } = await load("format.ts");
  equal(milliseconds(7090), "7.1 s", "over a second");
  const { alone, lastKnown, withPoint } = await load("figures.ts");
  const at = (at_s) => ({ at_s, leader: 1, nodes: new Map([[1, {}]]) });
  const shown = (points) => points.map(({ at_s, nodes }) => [at_s, nodes.size]);
  same(shown(withPoint([at(0), at(2)], at(4.5))), [[0, 1], [2, 1], [4.5, 1]], "one after the other");
  same(shown(withPoint([at(0)], at(60))), [[0, 1], [2, 0], [60, 1]], "after a pause");
  same(shown(withPoint([], at(9))), [[9, 1]], "the first");
  same(alone([1, null, 2, 3, null, 4, null, null, 5]), [0, 5, 8], "figures without neighbours");
  same(alone([]), [], "no figures");
  equal(lastKnown([0, 2, 4], [7, 8, null], 60), 8, "the last known");
  equal(lastKnown([0, 2, 100], [7, 8, null], 60), null, "of long ago");
  const { findNear } = await load("virtual_list.tsx");
  equal(findNear(100, 3, (position) => position === 90), 90, "further on");
  equal(findNear(4, 90, (position) => position === 0), 0, "in a list that is shorter now");
  equal(findNear(100, 50, () => false), -1, "gone");
});

scenario("unit: values that there is no room for are counted, and come in when there is", async () => {
  const { ValuesModel } = await load("values_model.ts");
  globalThis.requestAnimationFrame ??= () => 1;
  globalThis.WebSocket ??= class {};
  const model = new ValuesModel("");
  clearTimeout(model.feed.stream.timer);
  const tell = (name, value) => model.take({ type: "value", name, value, index: 1, cursor: "1" });
  const big = "x".repeat(40 << 20);
  tell("a", big);
  tell("b", big);
  same([model.names(), [...model.left_out]], [["a"], ["b"]], "one fits");
  tell("a", "small");
  tell("b", big);
  same([model.names(), [...model.left_out]], [["a", "b"], []], "both fit");
  tell("c", big);
  tell("c", null);
  same([model.names(), [...model.left_out]], [["a", "b"], []], "gone");
});

scenario("an empty list says that nothing is there only when a node has said so", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster, "#/values?prefix=none/");
  await page.getByText("No value here yet.").waitFor();
  await page.getByRole("link", { name: "Events" }).click();
  await page.getByText("Nothing has happened").waitFor();
  await put(cluster.base, "none/one", "1");
  await row(page, "none/one").waitFor();
  await page.getByLabel("created").uncheck();
  await page.getByText("Nothing matches.").waitFor();
  await page.context().setOffline(true);
  await page.getByLabel("Prefix").fill("other/");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Asking …").or(page.getByText("Nothing is known yet")).waitFor();
  equal(await page.getByText("Nothing has happened").count(), 0, "no claim");
  await page.getByRole("link", { name: "Values" }).click();
  await page.getByText("Asking …").or(page.getByText("Nothing is known yet")).waitFor();
  equal(await page.getByText("No value here yet.").count(), 0, "no claim about values");
  await close();
});

scenario("the timeline and its pause are kept while a value is looked at, and end with their prefix", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster, "#/events?prefix=t/");
  await page.getByText("Nothing has happened").waitFor();
  for (const name of ["t/a", "t/b", "t/c"]) await put(cluster.base, name, "1");
  await row(page, "t/c").waitFor();
  await row(page, "t/b").click();
  await page.getByRole("dialog", { name: "t/b" }).waitFor();
  await put(cluster.base, "t/meanwhile", "1");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.goBack();
  const names = () => page.locator(".virtual-row .cell-name").allTextContents();
  await row(page, "t/meanwhile").waitFor();
  equal((await names()).join(), "t/meanwhile,t/c,t/b,t/a", "newest first");
  await page.getByRole("button", { name: "Pause" }).click();
  await put(cluster.base, "t/held", "1");
  await page.getByText("paused, 1 more since").waitFor();
  await page.getByLabel("deleted").uncheck();
  await page.getByLabel("Name").fill("t/");
  equal((await names()).join(), "t/meanwhile,t/c,t/b,t/a", "still newest first");
  await page.getByLabel("Name").fill("");
  await page.getByLabel("Prefix").fill("u/");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Nothing has happened").waitFor();
  equal(await page.getByText("more since").count(), 0, "not paused");
  equal((await names()).join(), "", "nothing of the other prefix");
  await close();
});

scenario("what is selected and what is read stay as other rows come", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster, "#/events?prefix=s/");
  await page.getByText("Nothing has happened").waitFor();
  for (let i = 100; i < 160; i += 1) await put(cluster.base, `s/${i}`, "1");
  await row(page, "s/159").waitFor();
  const list = page.getByRole("grid");
  await list.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await put(cluster.base, "s/new", "1");
  await row(page, "s/new").waitFor();
  await page.locator('.virtual-row[aria-selected="true"]', { hasText: "s/158" }).waitFor();
  await list.evaluate((element) => element.scrollTo(0, 700));
  await row(page, "s/135").waitFor();
  const at = async () => Math.round((await row(page, "s/135").boundingBox()).y);
  const before = await at();
  await put(cluster.base, "s/newer", "1");
  await page.getByText("62 events").waitFor();
  await until("the row is where it was", async () => (await at()) === before);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "s/158" }).waitFor();
  await close();
});

scenario("opened without a leader the page shows the values that its node has, until a watch tells them", async (browser) => {
  const cluster = await startCluster();
  for (const name of ["o/gone", "o/stays"]) await put(cluster.base, name, "1");
  await until("both at node 1", async () => {
    const { values } = await (await fetch(`${cluster.base}/v1/values?prefix=o/&consistency=local`)).json();
    return values.length === 2;
  });
  for (const node of [2, 3]) await ask({ do: "kill", node });
  await until("no leader", async () => (await clusterOf(cluster.base)).leader === 0);
  const { page, close } = await open(browser, cluster, "#/values?prefix=o/");
  await row(page, "o/gone").waitFor();
  await page.getByText("last known · 2 values").waitFor();
  // What goes meanwhile goes here, too, as soon as there is a watch.
  await page.context().setOffline(true);
  for (const node of [2, 3]) await ask({ do: "start", node });
  await until("a leader", async () => (await clusterOf(cluster.base)).ready);
  await remove(cluster.base, "o/gone");
  await page.context().setOffline(false);
  await row(page, "o/gone").waitFor({ state: "detached" });
  await page.getByText("live · 1 value").waitFor();
  await close();
});

for (const width of [1280, 390]) {
  scenario(`lists have headings over their columns, which stay (${width} pixels wide)`, async (browser) => {
    const cluster = await startCluster(1);
    for (let i = 100; i < 160; i += 1) await put(cluster.base, `c/${i}`, `value ${i}`, i % 2 ? {} : { ttl: "3h" });
    const { page, close } = await open(browser, cluster, "#/values?prefix=c/", { viewport: { width, height: 700 } });
    await row(page, "c/100").waitFor();
    const list = page.getByRole("grid", { name: "Values" });
    equal(await list.getAttribute("aria-rowcount"), "61", "rows and the headings");
    equal((await list.getByRole("columnheader").allTextContents()).join(), "Name,Value,Expires in,Index", "headings");
    equal((await row(page, "c/100").getByRole("gridcell").allTextContents()).length, 4, "cells");
    await list.focus();
    await page.keyboard.press("End");
    const last = row(page, "c/159");
    await last.waitFor();
    // Its last row is whole, and the first below the headings when one goes up again.
    const box = async (what) => what.boundingBox();
    const bottom = async (what) => (await box(what)).y + (await box(what)).height;
    await until("the last row in sight", async () => (await bottom(last)) <= (await bottom(list)) + 1);
    for (const name of ["Name", "Value", "Index"]) {
      const heading = await box(list.getByRole("columnheader", { name, exact: true }));
      const cell = await box(last.locator(`.cell-${name.toLowerCase()}`));
      const side = name === "Index" ? (each) => each.x + each.width : (each) => each.x;
      good(Math.abs(side(heading) - side(cell)) <= 1, `${name}: ${side(heading)} over ${side(cell)}`);
    }
    for (let i = 0; i < 30; i += 1) await page.keyboard.press("ArrowUp");
    const selected = list.locator('[aria-selected="true"]', { hasText: "c/129" });
    await selected.waitFor();
    const head = list.getByRole("row").first();
    good((await box(selected)).y >= (await bottom(head)) - 1, "it isn't below the headings");
    await close();
  });
}

scenario("values that were there are kept while other views are shown, and called the last known", async (browser) => {
  const cluster = await startCluster(1);
  for (const name of ["l/one", "l/two"]) await put(cluster.base, name, "1");
  const { page, close } = await open(browser, cluster, "#/values?prefix=l/");
  await row(page, "l/two").waitFor();
  await page.getByRole("link", { name: "Cluster" }).click();
  await ask({ do: "kill", node: 1 });
  await page.getByText("No node answers").first().waitFor();
  await page.getByRole("link", { name: "Values" }).click();
  await row(page, "l/two").waitFor();
  await page.getByText("last known · 2 values").waitFor();
  await ask({ do: "start", node: 1 });
  await page.getByText("live · 2 values").waitFor();
  await close();
});

scenario("Back after a value was closed leads on, not to the value", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "back/one", "1");
  const { page, close } = await open(browser, cluster);
  await page.getByRole("link", { name: "Values" }).click();
  await row(page, "back/one").click();
  await page.getByRole("dialog").waitFor();
  await page.goBack();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await row(page, "back/one").click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.goBack();
  await page.locator(".card").waitFor();
  await close();
});

scenario("without storage the page works; another theme keeps the charts", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster, "", { colorScheme: "dark" });
  await page.addInitScript(() => {
    Object.defineProperty(window, "localStorage", { get: () => { throw new Error("refused"); } });
  });
  await page.reload();
  await page.locator(".card").waitFor();
  await page.getByRole("button", { name: "Use the light theme" }).click();
  equal(await page.evaluate(() => document.documentElement.dataset.theme), "light", "theme");
  await page.locator(".legend b", { hasText: /\d/ }).first().waitFor();
  await close();
});

scenario("charts stay where they are, whatever their legends say", async (browser) => {
  const cluster = await startCluster();
  const { page, close } = await open(browser, cluster);
  await until("six charts", async () => (await page.locator(".chart .uplot").count()) === 6);
  const places = () => page.locator(".chart .uplot").evaluateAll((plots) => plots.map((plot) => plot.getBoundingClientRect().y));
  const say = (text) =>
    page.locator(".legend b").evaluateAll((figures, said) => figures.forEach((figure) => (figure.textContent = said)), text);
  // Before the page draws anew.
  const [short, long] = [await say("1").then(places), await say("123,456,789").then(places)];
  same(long, short, "places");
  await close();
});

scenario("the commit times of before an election stay", async (browser) => {
  const cluster = await startCluster();
  const { page, close } = await open(browser, cluster);
  const commit = page.locator(".chart", { hasText: "Commit time" }).locator(".legend b").first();
  await until("a commit time", async () => {
    await put(cluster.base, "c/one", "1");
    return /\d/.test(await commit.textContent());
  });
  const { leader } = await clusterOf(cluster.base);
  const next = cluster.ids.find((id) => id !== leader);
  const asked = await fetch(`${cluster.base}/v1/cluster/leader`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: next }) });
  good(asked.ok, `handing over: ${asked.status}`);
  await page.locator(`.card.leads[aria-label="Node ${next}"]`).waitFor();
  good(/\d/.test(await commit.textContent()), "the last known commit time");
  await close();
});
