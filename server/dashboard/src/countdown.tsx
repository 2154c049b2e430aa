// How long a value still has, with a timer of its own: nothing else has to be drawn again for it.
import { countdown } from "./format";
import { useNow } from "./store";

export function Countdown({ expire }: { expire: string }) {
  return <>{countdown(expire, useNow(500))}</>;
}
