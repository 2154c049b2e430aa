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

scenario("connection: a member that comes later can be spoken with after a reload", async (browser) => {
  const cluster = await startCluster();
  // Node 1 forgets where node 3 is: it tells its address only when it comes.
  await ask({ do: "kill", node: 3 });
  await ask({ do: "kill", node: 1 });
  await ask({ do: "start", node: 1 });
  await until("a leader", async () => (await clusterOf(cluster.base)).ready);
  const { page } = await open(browser, cluster);
  await page.locator('[aria-label="Node 3"]').waitFor();
  await ask({ do: "start", node: 3 });
  await page.getByText(`This page may not speak with ${new URL(cluster.bases[3]).host}`).waitFor();
  await page.getByRole("button", { name: "Reload" }).click();
  const applied = page.locator('[aria-label="Node 3"] div', { hasText: /^commit(?! time)/ }).locator("dd");
  await until("what node 3 says of itself", async () => /^\d/.test(await applied.textContent()));
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
