// With whom the page speaks when nodes come, go, hang, or are replaced.
import { ask, clusterOf, equal, good, open, put, row, scenario, startCluster, until } from "./harness.mjs";

const badge = (page) => page.locator(".connection");

scenario("connection: an answer that stalls in its middle is not waited for", async (browser) => {
  const cluster = await startCluster();
  const { page, close } = await open(browser, cluster);
  await badge(page).getByText("connected to node 1 · quorum").waitFor();
  // What comes of node 1 from now on never ends.
  await page.evaluate((base) => {
    const real = window.fetch;
    window.fetch = (url, init) => {
      if (!String(url).startsWith(base)) return real(url, init);
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("{"));
          init?.signal?.addEventListener("abort", () => controller.error(init.signal.reason));
        },
      });
      return Promise.resolve(new Response(body, { status: 200 }));
    };
  }, cluster.bases[1]);
  await badge(page).getByText(/connected to node [23] · quorum/).waitFor();
  await close();
});

scenario("connection: a node that hangs is left, and a value saved with another", async (browser) => {
  const cluster = await startCluster();
  const { leader } = await clusterOf(cluster.base);
  const asked = cluster.ids.find((id) => id !== leader);
  await put(cluster.base, "h/a", "before");
  const { page, close } = await open(browser, { ...cluster, base: cluster.bases[asked] }, "#/values?name=h/a");
  await page.locator("textarea").fill("after");
  await ask({ do: "pause", node: asked });
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText(/^Written with index/).waitFor();
  equal((await (await fetch(`${cluster.bases[leader]}/v1/values/h/a`)).json()).value, "after", "value");
  good(!(await badge(page).textContent()).includes(`node ${asked} `), "another node");
  await ask({ do: "resume", node: asked });
  await close();
});

scenario("connection: nodes with other data at the same place are another cluster", async (browser) => {
  const cluster = await startCluster();
  await put(cluster.base, "w/old", "1");
  const { page, close } = await open(browser, cluster, "#/values?prefix=w/");
  await row(page, "w/old").waitFor();
  // The page has to know their data directories first.
  await until("disks", async () => (await clusterOf(cluster.base)).members.every(({ disk_id }) => disk_id));
  await page.waitForResponse((response) => response.url().endsWith("/v1/cluster"));
  await page.waitForResponse((response) => response.url().endsWith("/v1/cluster"));
  const loaded = page.waitForEvent("load");
  for (const node of cluster.ids) await ask({ do: "kill", node });
  for (const node of cluster.ids) await ask({ do: "wipe", node });
  for (const node of cluster.ids) await ask({ do: "start", node });
  await until("a write", () => put(cluster.base, "w/new", "2"));
  await loaded;
  await row(page, "w/new").waitFor();
  equal(await row(page, "w/old").count(), 0, "what is gone");
  await close();
});

/** A page that node 1 gave while it didn't know where node 3 is; then node 3 comes. */
async function openBeforeNode3(browser, prepare = async () => {}) {
  const cluster = await startCluster();
  await ask({ do: "kill", node: 3 });
  // Started anew it has forgotten: a member tells its address when it comes.
  await ask({ do: "kill", node: 1 });
  await ask({ do: "start", node: 1 });
  await until("a leader", async () => (await clusterOf(cluster.base)).ready);
  const { page } = await open(browser, cluster);
  await prepare(page, cluster);
  await page.locator('[aria-label="Node 3"]').waitFor();
  await ask({ do: "start", node: 3 });
  // How long it is up only it can tell.
  const up = page.locator('[aria-label="Node 3"] div', { hasText: /^up/ }).locator("dd");
  const told = () => until("what node 3 says of itself", async () => /\d/.test(await up.textContent()));
  return { cluster, page, told };
}

scenario("connection: a member that comes later is spoken with", async (browser) => {
  const { cluster, page, told } = await openBeforeNode3(browser);
  await told();
  equal(await page.getByText("This page may not speak").count(), 0, "a notice");
  await page.locator(".legend b", { hasText: /\d/ }).first().waitFor();
  await page.getByRole("link", { name: "Values" }).click();
  await page.getByText("No value here yet.").waitFor();
  // With the streams as well, where no other is left.
  await page.route(`${cluster.bases[2]}/**`, (route) => route.abort());
  await ask({ do: "kill", node: 1 });
  await badge(page).getByText("connected to node 3 · quorum").waitFor();
  await put(cluster.bases[2], "later", "1");
  await row(page, "later").waitFor();
  await page.context().close();
});

scenario("connection: where no newer policy can be had, a reload is offered", async (browser) => {
  const { cluster, page, told } = await openBeforeNode3(browser, (opened) =>
    opened.route(/\/$/, (route) => (route.request().frame() === opened.mainFrame() ? route.continue() : route.abort())),
  );
  await page.getByText(`This page may not speak with ${new URL(cluster.bases[3]).host}`).waitFor();
  await page.getByRole("button", { name: "Reload" }).click();
  await told();
  equal(await page.getByText("This page may not speak").count(), 0, "the notice");
  await page.context().close();
});

scenario("connection: what is old doesn't go on counting", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster);
  await page.getByText(/leads for/).waitFor();
  await ask({ do: "kill", node: 1 });
  await page.getByText("No node answers").first().waitFor();
  const headline = await page.locator(".headline").textContent();
  await page.waitForTimeout(2500);
  equal(await page.locator(".headline").textContent(), headline, "the headline");
  await ask({ do: "start", node: 1 });
  await page.getByText("Node 1 answers again").waitFor();
  await close();
});
