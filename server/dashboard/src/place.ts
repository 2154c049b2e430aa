// Where in the page we are, kept in the address behind '#', so that it can be linked and survives a reload.
import { Store } from "./store";

export type View = "cluster" | "values" | "events";

export interface Place {
  view: View;
  /** cluster: that of the lists, when one comes back to them. */
  prefix: string;
  /** values: the one that is open. */
  name: string | null;
}

export function parsePlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  const view = path === "values" || path === "events" ? path : "cluster";
  return { view, prefix: parameters.get("prefix") ?? "", name: parameters.get("name") };
}

export function formatPlace(place: Place): string {
  const parameters = new URLSearchParams();
  if (place.prefix) parameters.set("prefix", place.prefix);
  if (place.name !== null) parameters.set("name", place.name);
  const query = parameters.toString();
  return `#/${place.view}${query ? `?${query}` : ""}`;
}

export const place = new Store<Place>(parsePlace(location.hash));

/** Asks the person instead of leaving the place; null: nothing would be lost. */
let question: (() => void) | null = null;

window.addEventListener("hashchange", () => {
  if (!question) return place.set(parsePlace(location.hash));
  // The browser is there already: the place that isn't to be left is put over it, and leaving is going back.
  const here = place.get();
  const over_its_list = here.name !== null && location.hash === formatPlace({ ...here, name: null });
  history.pushState({ over_its_list }, "", formatPlace(here));
  return question();
});

/** From now on Back, Forward and another address are held up, and `ask` is called. Returns what ends that. */
export function holdPlace(ask: () => void): () => void {
  question = ask;
  return () => {
    if (question === ask) question = null;
  };
}

/** To where the person wanted to go when they were asked. */
export function leaveHeldPlace(): void {
  question = null;
  history.back();
}

export function goTo(next: Place): void {
  location.hash = formatPlace(next);
}

/** Opens a value over the list that is shown. */
export function openValue(next: Place): void {
  history.pushState({ over_its_list: true }, "", formatPlace(next));
  place.set(next);
}

/** Back to the list, so that Back doesn't lead to the value again. */
export function closeValue(): void {
  const over_its_list = (history.state as { over_its_list?: boolean } | null)?.over_its_list === true;
  history.replaceState(null, "", formatPlace({ ...place.get(), name: null }));
  place.set(parsePlace(location.hash));
  if (over_its_list) history.back();
}
