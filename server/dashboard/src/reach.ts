// What this page speaks through: it may reach those members only that its policy names (Content-Security-Policy,
// connect-src), which are those of when it was loaded. For members that came later it loads itself once more in a hidden
// frame (main.tsx draws nothing there): the frame's policy is new, and requests made with its functions are held to that.
type Realm = typeof globalThis;

const frames_max = 4;
const load_timeout_ms = 5000;

let realm: Realm = globalThis;
let frames = 0;
let renewing = false;

export function fetchThere(url: string, init: RequestInit): Promise<Response> {
  return realm.fetch(url, init);
}

export function openSocket(url: string): WebSocket {
  return new realm.WebSocket(url);
}

/** Null when the node that this page is from doesn't give it. Frames stay: streams may go through them. */
async function loadFrame(): Promise<Realm | null> {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.src = "/";
  const loaded = new Promise<void>((done) => {
    frame.addEventListener("load", () => done());
    setTimeout(done, load_timeout_ms);
  });
  document.body.append(frame);
  await loaded;
  try {
    // Instead of the page there may be a problem, or the browser's own words about an error, which throw.
    const inner = frame.contentWindow as (Window & Realm) | null;
    if (inner?.document.querySelector("#app")) return inner;
  } catch {
    // No page.
  }
  frame.remove();
  return null;
}

/** Calls `barred` with each host that can't be reached even with a new policy. */
export function watchPolicy(barred: (host: string) => void): void {
  const watch = ({ document }: { document: Document }) =>
    document.addEventListener("securitypolicyviolation", (event) => {
      if (event.effectiveDirective === "connect-src") void renew(new URL(event.blockedURI).host);
    });
  const renew = async (host: string) => {
    if (renewing) return;
    if (frames >= frames_max) return barred(host);
    renewing = true;
    frames += 1;
    const next = await loadFrame();
    renewing = false;
    if (!next) return barred(host);
    watch(next);
    realm = next;
    return undefined;
  };
  watch(globalThis);
}
