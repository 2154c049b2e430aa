// The editor where somebody else is faster, where a value is no plain text, and where a dialog opens and closes.
import { clusterOf, equal, good, open, put, remove, row, scenario, startCluster, until } from "./harness.mjs";
import { load, same } from "./units.mjs";

const valueOf = async (cluster, name) => (await (await fetch(`${cluster.base}/v1/values/${name}`)).json()).value;
const button = (page, name) => page.getByRole("button", { name, exact: true });
const field = (page) => page.locator("textarea");

scenario("unit: JSON is only given white space", async () => {
  const { prettyJson } = await load("bytes.ts");
  const kept = '{"b":1.10,"1":1e400,"a":0.12345678901234567890,"b":12345678901234567890,"s":"{\\"a\\": [1,  2]}"}';
  const pretty = prettyJson(kept);
  equal(pretty.split("\n")[1], '  "b": 1.10,', "one a line");
  equal(pretty.replace(/\n */g, "").replace(/": (?=[\d"])/g, '":'), kept, "nothing else has changed");
  equal(prettyJson('[ {}, [],\n{"a" : [ 1 ]}]'), '[\n  {},\n  [],\n  {\n    "a": [\n      1\n    ]\n  }\n]', "nested");
  equal(prettyJson("{a:1}"), null, "no JSON");
  equal(prettyJson("[".repeat(5000) + "]".repeat(5000)), null, "too deep to be read");
});

scenario("unit: line ends that a text field can't hold", async () => {
  const { bytesOfDraft, draftOf, hexAsText, hex_bytes_max } = await load("value_text.ts");
  const windows = draftOf({ value: "one\r\ntwo\r\n" });
  equal(windows.text, "one\ntwo\n", "shown");
  equal(bytesOfDraft(windows).value, "one\r\ntwo\r\n", "and back");
  for (const mixed of ["a\r\nb\rc", "a\nb\r\n", "a\r"]) equal(draftOf({ value: mixed }).format, "hex", JSON.stringify(mixed));
  equal(draftOf({ value: "plain\n" }).crlf, false, "no \\r");
  equal(hexAsText("61 0d 62"), null, "from digits");
  equal(hexAsText("61 0d 0a").crlf, true, "from digits, CR LF");
  equal(draftOf({ value_base64: "AP8=" }).text, "00 ff", "bytes");
  equal(draftOf({ value: "\r".repeat(hex_bytes_max + 1) }).format, "large", "too long for digits");
});

scenario("unit: where two texts differ", async () => {
  const { changedPart, changedParts, diffLines, lineCount } = await load("line_diff.ts");
  const show = (one, other) => diffLines(one, other).map((s) => (s.same ? s.other : `<${s.one}|${s.other}>`)).join("");
  equal(show("a\nb\nc\n", "a\nB\nc\n"), "a\n<b\n|B\n>c\n", "a line");
  equal(show("a\nc", "a\nb\nc"), "a\n<|b\n>c", "a line more");
  equal(show("1\n2\n3\n4\n5\n", "0\n2\n4\n5\n6\n"), "<1\n|0\n>2\n<3\n|>4\n5\n<|6\n>", "several");
  equal(show("same", "same"), "same", "nothing");
  equal(show("a", "a\nb"), "a\n<|b>", "a line more at the end");
  equal(show("", "new"), "<|new>", "all of it");
  equal(show("", ""), "", "nothing at all");
  equal(show("a\n", "a"), "<a\n|a>", "the last line end");
  equal(show("x\nx\n", "x\n"), "x\n<x\n|>", "lines that are the same");
  // Both sides come out whole, however much differs, and after bounded work.
  const many = (word) => Array.from({ length: 30_000 }, (_, i) => `${word} ${i % 7}\n`).join("");
  const [one, other] = [`head\n${many("one")}tail`, `head\n${many("other")}tail`];
  const stretches = diffLines(one, other);
  equal(stretches.map(({ same: is_same }) => is_same).join(), "true,false,true", "one difference");
  equal(stretches.map((stretch) => stretch.one).join(""), one, "one side");
  equal(stretches.map((stretch) => stretch.other).join(""), other, "the other side");
  same(changedPart('{"a":1,"b":2}', '{"a":17,"b":2}'), ['{"a":1', "", ',"b":2}'], "what is missing in a line");
  same(changedPart('{"a":17,"b":2}', '{"a":1,"b":2}'), ['{"a":1', "7", ',"b":2}'], "what is more in a line");
  same(changedPart("a\ud83d\ude00", "a\ud83d\ude01"), ["a", "\ud83d\ude00", ""], "no half characters");
  same(changedPart("\ud83d\ude00b", "\ud83c\ude00b"), ["", "\ud83d\ude00", "b"], "nor their other half");
  const parts = (text, other) => changedParts(text, other).map((part) => (part.changed ? `<${part.text}>` : part.text)).join("");
  equal(parts("a: 1,\nb: 2,\n", "a: 7,\nb: 8,\n"), "a: <1>,\nb: <2>,\n", "in each line");
  equal(parts("a: 1,\nb: 2\n", "a: 1\n"), "a: 1<,\nb: 2>\n", "in all of them");
  equal(parts("on\n", "off\n"), "o<n>\n", "a beginning that is alike");
  equal(parts("yes\n", "off\n"), "yes\n", "nothing alike");
  equal([lineCount(""), lineCount("a"), lineCount("a\n"), lineCount("a\nb")].join(), "0,1,1,2", "lines");
});

scenario("unit: names that a browser can't ask for", async () => {
  const { namePath, nameProblem, streamPath } = await load("api.ts");
  for (const bad of ["a/../b", ".", "a/.", "", "a//b", "/a", "a/"]) good(nameProblem(bad) !== null, bad);
  for (const fine of ["a", "a/b", "a/.b", "a/...", "a b"]) equal(nameProblem(fine), null, fine);
  for (const fine of ["", "a", "a/", "a/b/"]) equal(nameProblem(fine, true), null, `prefix ${fine}`);
  for (const bad of ["a/../", "../", "a//", "/"]) good(nameProblem(bad, true) !== null, `prefix ${bad}`);
  equal(namePath("a/../b"), "a/%01/b", "the server refuses it");
  equal(new URL(streamPath("watch", "a/../", null), "http://n").pathname, "/v1/watch/a/%01/", "a prefix");
});

scenario("unit: what is said before members are added and removed", async () => {
  const { memberProblem, startLine, votersLeftText } = await load("cluster_actions.tsx");
  const line = startLine("4", "10.0.0.4:7080", "", "10.0.0.1:8081");
  equal(line, "cairn serve --id 4 --data-dir cairn-4 --http 10.0.0.4:8081 --raft 10.0.0.4:7080 --join 10.0.0.1:8081", "line");
  good(startLine("4", "h:1;ls", "h:2", "j:3").includes("--http h:2 --raft 'h:1;ls' --join j:3"), "quoted");
  equal(memberProblem("9223372036854775807", "h:1"), null, "a long id");
  for (const [id, raft] of [["0", "h:1"], ["1x", "h:1"], ["9999999999999999999", "h:1"], ["4", "h"], ["4", ""]]) {
    good(memberProblem(id, raft) !== null, `${id} ${raft}`);
  }
  const voter = (id, hears) => ({ id, role: "voter", hears });
  const of = (...members) => votersLeftText({ node: 1, members }, 3);
  good(of(voter(1), voter(2, true), voter(3, true)).includes("2 of them must then be up for writes, so 0 may fail"), "two");
  good(of(voter(1), voter(2, false), voter(3, true)).includes("nothing could be written"), "one of two is silent");
  good(of(voter(1), voter(2, true), voter(3, true), voter(4, false)).includes("so 0 may fail"), "one of three is silent");
});

scenario("editor: CR LF line ends stay, other CRs are edited as digits", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "crlf", "one\r\ntwo");
  await put(cluster.base, "mixed", "one\r\ntwo\rthree");
  const { page, close } = await open(browser, cluster, "#/values?name=crlf");
  await page.getByText("line ends are CR LF").waitFor();
  await field(page).fill("one\ntwo\nthree");
  await button(page, "Save").click();
  await page.getByText(/^Written with index/).waitFor();
  equal(await valueOf(cluster, "crlf"), "one\r\ntwo\r\nthree", "written");
  await page.keyboard.press("Escape");
  await row(page, "mixed").click();
  equal(await field(page).inputValue(), "6f 6e 65 0d 0a 74 77 6f 0d 74 68 72 65 65", "digits");
  await close();
});

scenario("editor: a conflict whose other side can't be read isn't shown as deleted", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "c", "original");
  const { page, close } = await open(browser, cluster, "#/values?name=c");
  await field(page).fill("mine");
  await put(cluster.base, "c", "theirs", { ttl: "1h" });
  await page.route("**/v1/values/c", (route) => (route.request().method() === "GET" ? route.abort() : route.continue()));
  await button(page, "Save").click();
  await page.getByText("What is there now couldn't be read").waitFor();
  equal(await page.getByText("deleted").count(), 0, "said to be deleted");
  equal(await page.getByRole("button", { name: "Replace theirs with yours" }).count(), 0, "overwriting what nobody saw");
  await page.unroute("**/v1/values/c");
  await button(page, "Read it again").click();
  await page.getByText("makes it permanent").waitFor();
  equal((await page.locator(".sides pre").allTextContents()).join("|"), "theirs|mine", "both versions");
  // Escape goes back to what was typed.
  await page.keyboard.press("Escape");
  equal(await field(page).inputValue(), "mine", "still there");
  await button(page, "Save").click();
  await page.getByText(/^Written with index/).waitFor();
  await close();
});

scenario("editor: a conflict marks what differs", async (browser) => {
  const cluster = await startCluster(1);
  const lines = Array.from({ length: 80 }, (_, i) => `line ${i}`);
  await put(cluster.base, "long", lines.join("\n"));
  const { page, close } = await open(browser, cluster, "#/values?name=long");
  await field(page).fill(lines.map((line, i) => (i === 60 ? "line sixty" : line)).join("\n"));
  await put(cluster.base, "long", lines.map((line, i) => (i === 60 ? "line LX" : line)).concat("more").join("\n"));
  await button(page, "Save").click();
  await page.getByText("Marked is what differs: 2 lines of theirs, 1 of yours.").waitFor();
  const marks = await page.locator(".sides .differs").allTextContents();
  equal(marks.join("|"), "line LX\n|more|line sixty\n|", "marks");
  equal((await page.locator(".sides .differs b").allTextContents()).join("|"), "LX|sixty", "in a line");
  for (const mark of [0, 2]) {
    const seen = await page.locator(".sides .differs").nth(mark).evaluate((element) => {
      const [own, box] = [element, element.closest("pre")].map((each) => each.getBoundingClientRect());
      return own.top >= box.top && own.bottom <= box.bottom;
    });
    good(seen, "the first difference is in sight");
  }
  await close();
});

scenario("editor: names that a browser would turn into others are refused", async (browser) => {
  const cluster = await startCluster(1);
  const { page, close } = await open(browser, cluster, "#/values");
  await button(page, "New value").click();
  await page.getByRole("dialog").getByLabel("Name", { exact: true }).fill("zz/../qq");
  await field(page).fill("x");
  await button(page, "Create").click();
  await page.getByText('no empty, "." or ".." segment').waitFor();
  equal((await fetch(`${cluster.base}/v1/values/qq`)).status, 404, "nothing was written");
  await page.getByRole("dialog").getByLabel("Name", { exact: true }).fill("zz/qq");
  await button(page, "Create").click();
  await row(page, "zz/qq").waitFor();
  await page.evaluate(() => (location.hash = "#/values?name=zz/../zz/qq"));
  await page.getByRole("dialog").getByText('no empty, "." or ".." segment').waitFor();
  for (const view of ["values", "events"]) {
    await page.evaluate((hash) => (location.hash = hash), `#/${view}?prefix=zz/../`);
    await page.getByLabel(view === "values" ? "Values" : "Events", { exact: true }).getByText('".." segment').waitFor();
  }
  equal(await row(page, "zz/qq").count(), 0, "values below another prefix");
  await close();
});

scenario("editor: another name after a conflict is a new value", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "taken", "theirs");
  const { page, close } = await open(browser, cluster, "#/values");
  await button(page, "New value").click();
  const name = page.getByRole("dialog").getByLabel("Name", { exact: true });
  await until("focus in the name", () => name.evaluate((element) => element === document.activeElement));
  await name.fill("taken");
  await field(page).fill("mine");
  await button(page, "Create").click();
  await page.getByText("You wanted to create it").waitFor();
  await button(page, "Edit yours further").click();
  await name.fill("free");
  await button(page, "Create").click();
  await row(page, "free").waitFor();
  equal(await valueOf(cluster, "taken"), "theirs", "untouched");
  await close();
});

scenario("editor: it says when the value is gone or was never there", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "gone", "x");
  const { page, close } = await open(browser, cluster, "#/values");
  await row(page, "gone").click();
  await remove(cluster.base, "gone");
  await page.getByText("It has been deleted (or has expired) since you opened it.").waitFor();
  await page.keyboard.press("Escape");
  await page.evaluate(() => (location.hash = "#/values?name=never"));
  await page.getByText("There is no value of this name.").waitFor();
  await field(page).fill("now");
  await button(page, "Create").click();
  await page.getByText(/^Written with index/).waitFor();
  equal(await valueOf(cluster, "never"), "now", "created");
  await close();
});

scenario("editor: a value that was changed or deleted meanwhile isn't deleted blindly", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "d1", "before");
  await put(cluster.base, "d2", "before");
  const { page, close } = await open(browser, cluster, "#/values");
  await row(page, "d1").click();
  await button(page, "Delete…").click();
  await put(cluster.base, "d1", "theirs");
  await button(page, "Delete").click();
  await page.getByText("Nothing was deleted.").waitFor();
  equal((await page.locator(".sides pre").allTextContents()).join("|"), "theirs|before", "both versions");
  await button(page, "Delete theirs").click();
  await row(page, "d1").waitFor({ state: "detached" });
  await page.getByRole("dialog").first().waitFor({ state: "detached" });
  await row(page, "d2").click();
  await button(page, "Delete…").click();
  await remove(cluster.base, "d2");
  await button(page, "Delete").click();
  await page.getByText("Somebody else has deleted it already").waitFor();
  await page.getByText("Close", { exact: true }).click();
  await page.getByRole("dialog").first().waitFor({ state: "detached" });
  await close();
});

scenario("editor: what was typed isn't lost without a question, and the focus comes back", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "kept", "before");
  const { page, close } = await open(browser, cluster, "#/values");
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("role") || document.activeElement.tagName);
  await row(page, "kept").click();
  await field(page).waitFor();
  await until("focus in the text", async () => (await focused()) === "TEXTAREA");
  await page.keyboard.press("Escape");
  await until("focus in the list", async () => (await focused()) === "grid");
  await page.keyboard.press("Enter");
  await field(page).fill("typed");
  for (let i = 0; i < 3; i += 1) {
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Discard your changes?" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Discard your changes?" }).waitFor({ state: "detached" });
    equal(await field(page).inputValue(), "typed", "kept");
  }
  // Nor by leaving the page.
  const asked = page.waitForEvent("dialog");
  await page.close({ runBeforeUnload: true });
  await (await asked).dismiss();
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await button(page, "Discard").click();
  await page.getByRole("dialog").first().waitFor({ state: "detached" });
  equal(await valueOf(cluster, "kept"), "before", "not written");
  await until("focus in the list again", async () => (await focused()) === "grid");
  await close();
});

scenario("editor: Back and another address don't drop what was typed without a question", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "kept", "before");
  const { page, close } = await open(browser, cluster);
  const question = page.getByRole("dialog", { name: "Discard your changes?" });
  const editor = page.getByRole("dialog", { name: "kept" });
  await page.getByRole("link", { name: "Values" }).click();
  await row(page, "kept").click();
  await field(page).fill("typed");
  const list = `${cluster.base}/#/values`;
  const opened = `${list}?name=kept`;
  const goElsewhere = [() => page.goBack(), () => page.evaluate(() => (location.hash = "#/events"))];
  for (const go of [...goElsewhere, goElsewhere[0]]) {
    await go();
    await question.waitFor();
    equal(page.url(), opened, "the address");
    await button(page, "Keep editing").click();
    await question.waitFor({ state: "detached" });
    equal(await field(page).inputValue(), "typed", "kept");
  }
  // In a conflict as well.
  await put(cluster.base, "kept", "theirs");
  await button(page, "Save").click();
  await page.getByText("Nothing was overwritten.").waitFor();
  await page.goBack();
  await question.waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("Nothing was overwritten.").waitFor();
  await button(page, "Edit yours further").click();
  await page.evaluate(() => (location.hash = "#/events?prefix=there/"));
  await button(page, "Discard").click();
  await page.getByRole("dialog").first().waitFor({ state: "detached" });
  await page.getByLabel("Events", { exact: true }).waitFor();
  equal(page.url(), `${cluster.base}/#/events?prefix=there/`, "where it was to go");
  // Nothing is asked where nothing was typed; a value that isn't there yet is asked for.
  await page.evaluate(() => (location.hash = "#/values"));
  await row(page, "kept").click();
  await editor.waitFor();
  await page.goBack();
  await editor.waitFor({ state: "detached" });
  await button(page, "New value").click();
  await field(page).fill("new");
  await page.goBack();
  await button(page, "Discard").click();
  await page.getByRole("dialog").first().waitFor({ state: "detached" });
  await page.getByLabel("Events", { exact: true }).waitFor();
  await close();
});

scenario("editor: a line is copied inside a dialog without the browser's clipboard", async (browser) => {
  const cluster = await startCluster(1);
  await put(cluster.base, "copied", "x");
  const { page, close } = await open(browser, cluster);
  await page.evaluate(() => {
    Object.defineProperty(navigator, "clipboard", { value: undefined });
    document.addEventListener("copy", () => (window.copied = document.activeElement.value));
    location.hash = "#/values?name=copied";
  });
  await page.getByRole("button", { name: "Copy get as curl" }).click();
  await page.getByText("Copied", { exact: true }).waitFor();
  good(/^curl '.*\/v1\/values\/copied'$/.test(await page.evaluate(() => window.copied)), "the line");
  await close();
});

scenario("editor: a long value is opened without parsing it again and again", async (browser) => {
  const cluster = await startCluster(1);
  const body = new Uint8Array(300_000).fill(255);
  equal((await fetch(`${cluster.base}/v1/raw/long`, { method: "PUT", body })).ok, true, "written");
  const { page, close } = await open(browser, cluster, "#/values?name=long");
  await page.getByText("can't be edited here").waitFor();
  await page.getByText("293 KiB").last().waitFor();
  equal(await button(page, "Save").isDisabled(), true, "nothing to save");
  equal((await clusterOf(cluster.base)).ready, true, "the node");
  await close();
});
