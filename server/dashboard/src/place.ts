// Where in the page we are, kept in the address behind '#', so that it can be linked and survives a reload.
import { Store } from "./store";

export type View = "cluster" | "values" | "events";

export interface Place {
  view: View;
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

window.addEventListener("hashchange", () => place.set(parsePlace(location.hash)));

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
