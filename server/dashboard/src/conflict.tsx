// Somebody else was faster: both versions side by side, and the person chooses.
import type { Bytes, Value } from "./api";
import { bytesOf, sizeText, toHex, visibleText } from "./bytes";
import { Dialog } from "./dialog";
import { Countdown } from "./countdown";
import { hex_bytes_max } from "./value_text";

function textOf(value: Bytes): string {
  if (value.value_base64 === undefined) return visibleText(value.value ?? "");
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

export function Conflict(props: Props) {
  const { name, mine, basis, theirs, unread, wanted, ttl, busy } = props;
  const nothing_done = wanted === "delete" ? "Nothing was deleted." : "Nothing was overwritten.";
  return (
    <Dialog title={`Somebody else has changed ${visibleText(name)}`} wide onClose={props.onEditOn}>
      {unread !== null ? (
        <p class="bad" role="status">
          {nothing_done} What is there now couldn't be read: {unread}
        </p>
      ) : (
        <p>
          {nothing_done} {basis ? `You began with index ${basis.index}; ` : "You wanted to create it; "}
          {theirs ? `now it has index ${theirs.index}.` : "now it is not set any more."}
          {theirs && textOf(theirs) === textOf(mine) ? " Both versions are the same." : ""}
        </p>
      )}
      {theirs?.expire && (
        <p class="warn">
          Theirs expires in <Countdown expire={theirs.expire} />
          {wanted === "save" && !ttl ? ". Replacing it with yours makes it permanent, as yours has no ttl." : "."}
        </p>
      )}
      <div class="sides">
        <figure>
          <figcaption>
            Theirs{unread !== null ? ": not known" : theirs ? `, index ${theirs.index}` : ": deleted"}
          </figcaption>
          <pre tabIndex={0}>{theirs ? textOf(theirs) : ""}</pre>
        </figure>
        <figure>
          <figcaption>{wanted === "delete" ? "Yours" : "Yours, not saved"}</figcaption>
          <pre tabIndex={0}>{textOf(mine)}</pre>
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
