// Somebody else was faster: both versions side by side, and the person chooses.
import type { Bytes, Value } from "./api";
import { bytesOf, toHex, visibleText } from "./bytes";
import { Dialog } from "./dialog";

function textOf(value: Bytes): string {
  return value.value_base64 !== undefined ? toHex(bytesOf(value)) : visibleText(value.value ?? "");
}

interface Props {
  name: string;
  mine: Bytes;
  /** What the edit began with. */
  basis: Value | null;
  /** What is there now; null: nothing. */
  theirs: Value | null;
  busy: boolean;
  onOverwrite(): void;
  onTakeTheirs(): void;
  onEditOn(): void;
  onClose(): void;
}

export function Conflict({ name, mine, basis, theirs, busy, onOverwrite, onTakeTheirs, onEditOn, onClose }: Props) {
  const theirText = theirs ? textOf(theirs) : "";
  const myText = textOf(mine);
  return (
    <Dialog title={`Somebody else has changed ${visibleText(name)}`} wide onClose={onClose}>
      <p>
        Nothing was overwritten.{" "}
        {basis ? `You began with index ${basis.index}; ` : "You wanted to create it; "}
        {theirs ? `now it has index ${theirs.index}.` : "now it is not set any more."}
        {theirs && theirText === myText ? " Both versions are the same." : ""}
      </p>
      <div class="sides">
        <figure>
          <figcaption>Theirs{theirs ? `, index ${theirs.index}` : ": deleted"}</figcaption>
          <pre tabIndex={0}>{theirText}</pre>
        </figure>
        <figure>
          <figcaption>Yours, not saved</figcaption>
          <pre tabIndex={0}>{myText}</pre>
        </figure>
      </div>
      <footer class="dialog-foot">
        <button type="button" class="danger" disabled={busy} onClick={onOverwrite}>
          {theirs ? "Replace theirs with yours" : "Create it again with yours"}
        </button>
        <button type="button" disabled={busy} onClick={onEditOn}>
          Edit yours further
        </button>
        <button type="button" class="primary" disabled={busy} onClick={onTakeTheirs}>
          {theirs ? "Take theirs" : "Leave it deleted"}
        </button>
      </footer>
    </Dialog>
  );
}
