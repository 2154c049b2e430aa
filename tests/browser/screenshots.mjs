// One picture of each view, for the README.
import { join } from "node:path";
import { clusterOf, openBrowser, openPage, put, remove, startCluster } from "./harness.mjs";

async function fill(base) {
  await put(base, "config/checkout", JSON.stringify({ currency: "EUR", retries: 3, providers: ["a", "b"] }));
  await put(base, "config/search", JSON.stringify({ shards: 12, timeout_ms: 250 }));
  await put(base, "flags/new-basket", "on");
  await put(base, "flags/dark-launch", "10%");
  await put(base, "leader/scheduler", "worker-7", { ttl: "15m" });
  await put(base, "lease/report-2031", "worker-2", { ttl: "2m" });
  await fetch(`${base}/v1/raw/keys/public`, { method: "PUT", body: new Uint8Array([1, 2, 3, 200]) });
}

export async function takeScreenshots(directory) {
  const cluster = await startCluster();
  await fill(cluster.base);
  const browser = await openBrowser();
  const shoot = async (name, hash, act = async () => {}, options = {}) => {
    const { page, context } = await openPage(browser, `${cluster.base}/${hash}`, [], options);
    await act(page);
    await page.screenshot({ path: join(directory, `${name}.png`) });
    await context.close();
    console.log(`PASS ${name}.png`);
  };
  const { leader } = await clusterOf(cluster.base);
  const writing = setInterval(() => void put(cluster.base, "flags/dark-launch", `${Math.ceil(Math.random() * 20)}%`).catch(() => {}), 20);
  await shoot("cluster", "", async (page) => {
    await page.locator(`.card.leads[aria-label="Node ${leader}"]`).waitFor();
    await page.waitForTimeout(45_000);
  }, { viewport: { width: 1280, height: 1010 } });
  clearInterval(writing);
  await shoot("values", "#/values", async (page) => page.locator(".virtual-row").nth(5).waitFor());
  await shoot("editor", "#/values?name=config/checkout", async (page) => {
    await page.getByRole("button", { name: "Format JSON" }).click();
  });
  await shoot("conflict", "#/values?name=flags/new-basket", async (page) => {
    await page.locator("textarea").fill("off");
    await put(cluster.bases[2], "flags/new-basket", "on, for everybody");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.locator(".sides").waitFor();
  });
  await shoot("events", "#/events", async (page) => {
    await page.getByText("Nothing has happened").waitFor();
    await put(cluster.base, "flags/blue-button", "on");
    await put(cluster.base, "flags/blue-button", "off");
    await remove(cluster.base, "flags/blue-button");
    await put(cluster.base, "lease/report-2032", "worker-4", { ttl: "1s" });
    await page.locator(".kind.expired").waitFor();
  });
  await shoot("phone-dark", "#/values", async (page) => page.locator(".virtual-row").nth(5).waitFor(), {
    viewport: { width: 390, height: 800 },
    colorScheme: "dark",
  });
  await browser.close();
  process.exit(0);
}
