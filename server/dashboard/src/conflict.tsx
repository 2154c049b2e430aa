// Somebody else was faster: both versions side by side, what differs marked, and the person chooses.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Bytes, Value } from "./api";
import { bytesOf, sizeText, toHex, visibleText } from "./bytes";
import { Dialog } from "./dialog";
import { Countdown } from "./countdown";
import { changedParts, diffLines, lineCount, type Stretch } from "./line_diff";
import { hex_bytes_max } from "./value_text";

function textOf(value: Bytes): string {
  // A line end that differs shows as well.
  if (value.value_base64 === undefined) return visibleText(value.value ?? "").replace(/\r/g, "\u240d");
  const bytes = bytesOf(value);
  return bytes.length > hex_bytes_max ? `bytes, ${sizeText(bytes.length)}` : toHex(bytes);
}

export interface Clash {
  /** What was refused. */
  wanted: "save" | "delete";
  /** What is there now; null: nothing. */
  theirs: Value | null;
  /** Why nobody knows what is there now; null: it was read. */
  unread: string | null;
}

interface Props extends Clash {
  name: string;
  mine: Bytes;
  /** What the edit began with. */
  basis: Value | null;
  /** What is typed for this save. */
  ttl: string;
  busy: boolean;
  /** Saves or deletes against the version that is shown. */
  onForce(): void;
  onTakeTheirs(): void;
  onReadAgain(): void;
  /** Back to the editor, which changes nothing: what Escape means as well. */
  onEditOn(): void;
}

function forceText(wanted: Clash["wanted"], theirs: Value | null): string {
  if (wanted === "delete") return "Delete theirs";
  return theirs ? "Replace theirs with yours" : "Create it again with yours";
}

/** One of two versions. A reader of the screen is told where differences begin and end (style.css). */
function Side({ stretches, side }: { stretches: Stretch[]; side: "one" | "other" }) {
  const text = (stretch: Stretch) => {
    if (stretch.same) return stretch[side];
    const parts = changedParts(stretch[side], stretch[side === "one" ? "other" : "one"]);
    return <mark class="differs">{parts.map((part) => (part.changed ? <b>{part.text}</b> : part.text))}</mark>;
  };
  return <pre tabIndex={0}>{stretches.map(text)}</pre>;
}

function marksText(stretches: Stretch[]): string {
  const lines = (side: "one" | "other") =>
    stretches.reduce((sum, stretch) => sum + (stretch.same ? 0 : lineCount(stretch[side])), 0);
  const [theirs, yours] = [lines("one"), lines("other")];
  if (theirs + yours === 0) return " Both versions are the same.";
  return ` Marked is what differs: ${theirs} line${theirs === 1 ? "" : "s"} of theirs, ${yours} of yours.`;
}

/** What differs may be far below what both begin with. */
function showFirstDifference(sides: Element | null): void {
  for (const box of sides?.querySelectorAll("pre") ?? []) {
    const first = box.querySelector<HTMLElement>(".differs");
    if (first) box.scrollTop = first.offsetTop - box.clientHeight / 3;
  }
}

export function Conflict(props: Props) {
  const { name, mine, basis, theirs, unread, wanted, ttl, busy } = props;
  const my_text = useMemo(() => textOf(mine), [mine]);
  const their_text = useMemo(() => (theirs ? textOf(theirs) : null), [theirs]);
  // Nothing differs from what isn't there.
  const stretches = useMemo(() => diffLines(their_text ?? my_text, my_text), [their_text, my_text]);
  const sides = useRef<HTMLDivElement>(null);
  const look = () => showFirstDifference(sides.current);
  useEffect(look, [stretches]);
  const nothing_done = wanted === "delete" ? "Nothing was deleted." : "Nothing was overwritten.";
  return (
    <Dialog title={`Somebody else has changed ${visibleText(name)}`} wide onClose={props.onEditOn} onShown={look}>
      {unread !== null ? (
        <p class="bad" role="status">
          {nothing_done} What is there now couldn't be read: {unread}
        </p>
      ) : (
        <p>
          {nothing_done} {basis ? `You began with index ${basis.index}; ` : "You wanted to create it; "}
          {theirs ? `now it has index ${theirs.index}.` : "now it is not set any more."}
          {theirs ? marksText(stretches) : ""}
        </p>
      )}
      {theirs?.expire && (
        <p class="warn">
          Theirs expires in <Countdown expire={theirs.expire} />
          {wanted === "save" && !ttl ? ". Replacing it with yours makes it permanent, as yours has no ttl." : "."}
        </p>
      )}
      <div class="sides" ref={sides}>
        <figure>
          <figcaption>
            Theirs{unread !== null ? ": not known" : theirs ? `, index ${theirs.index}` : ": deleted"}
          </figcaption>
          {theirs ? <Side stretches={stretches} side="one" /> : <pre tabIndex={0} />}
        </figure>
        <figure>
          <figcaption>{wanted === "delete" ? "Yours" : "Yours, not saved"}</figcaption>
          <Side stretches={stretches} side="other" />
        </figure>
      </div>
      <footer class="dialog-foot">
        {unread === null && (wanted === "save" || theirs) && (
          <button type="button" class="danger" disabled={busy} onClick={props.onForce}>
            {busy ? "Working …" : forceText(wanted, theirs)}
          </button>
        )}
        <button type="button" autofocus disabled={busy} onClick={props.onEditOn}>
          Edit yours further
        </button>
        <button
          type="button"
          class="primary"
          disabled={busy}
          onClick={unread === null ? props.onTakeTheirs : props.onReadAgain}
        >
          {unread !== null ? "Read it again" : theirs ? "Take theirs" : "Leave it deleted"}
        </button>
      </footer>
    </Dialog>
  );
}
