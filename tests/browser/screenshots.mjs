// One picture of each view, for the README.
import { join } from "node:path";
import { ask, clusterOf, openBrowser, openPage, put, remove, startCluster } from "./harness.mjs";

const checkout = { currency: "EUR", retries: 3, providers: ["a", "b"] };

async function fill(base) {
  await put(base, "config/checkout", JSON.stringify(checkout));
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
  await shoot("conflict", "#/values?name=config/checkout", async (page) => {
    await page.getByRole("button", { name: "Format JSON" }).click();
    const text = await page.locator("textarea").inputValue();
    await page.locator("textarea").fill(text.replace("EUR", "CHF"));
    await put(cluster.bases[2], "config/checkout", JSON.stringify({ ...checkout, retries: 5, limit: 100 }, null, 2));
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
  const missing = cluster.ids.find((id) => id !== leader && id !== cluster.ids[0]);
  await ask({ do: "kill", node: missing });
  await shoot("trouble", "", async (page) => page.getByText("is not heard from. 2 of 3").waitFor(), {
    viewport: { width: 1280, height: 340 },
  });
  await browser.close();
  process.exit(0);
}
