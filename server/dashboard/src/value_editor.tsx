// One value, to look at and to change by compare-and-set. When somebody else was faster, both versions are shown.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { curlLine, deleteRequest, getRequest, nameProblem, problemText, putRequest, type Bytes, type Value } from "./api";
import { bytesOf, prettyJson, sizeText, visibleText } from "./bytes";
import { Conflict, type Clash } from "./conflict";
import { connection } from "./connection";
import { CopyButton } from "./copy";
import { Countdown } from "./countdown";
import { DeleteValue } from "./delete_value";
import { Dialog } from "./dialog";
import { holdPlace, leaveHeldPlace } from "./place";
import { useStore } from "./store";
import { hasStatus, readValue, write } from "./value_requests";
import {
  bytesOfDraft,
  draftOf,
  empty_draft,
  hex_bytes_max,
  hexAsText,
  hexDraft,
  sameBytes,
  type Draft,
} from "./value_text";

interface Props {
  /** Null: a new one. */
  name: string | null;
  prefix: string;
  /** As the list has it now. */
  live: Value | undefined;
  onClose(): void;
}

export function ValueEditor(props: Props) {
  const [loaded, setLoaded] = useState<Value | null | undefined>(props.name === null ? null : props.live);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    if (props.name === null || loaded !== undefined) return;
    const wrong = nameProblem(props.name);
    if (wrong) setFailure(wrong);
    else readValue(props.name).then(setLoaded, (error: unknown) => setFailure(problemText(error)));
  }, [props.name]);
  if (failure || loaded === undefined) {
    return (
      <Dialog title={visibleText(props.name ?? "")} onClose={props.onClose}>
        <p class={failure ? "bad" : ""} role="status">
          {failure || "Reading it …"}
        </p>
        <footer class="dialog-foot">
          <button type="button" onClick={props.onClose}>
            Close
          </button>
        </footer>
      </Dialog>
    );
  }
  return <Editor {...props} loaded={loaded} />;
}

/** Whether the list had this value and has it no more. */
function useGone(live: Value | undefined, prefix: string): boolean {
  const seen_below = useRef<string | null>(null);
  if (live) seen_below.current = prefix;
  return !live && seen_below.current === prefix;
}

/** Before the page is left the browser asks, before the place in it `ask`. */
function useQuestionOnLeaving(dirty: boolean, ask: () => void): void {
  useLayoutEffect(() => {
    if (!dirty) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    const release = holdPlace(ask);
    return () => {
      removeEventListener("beforeunload", warn);
      release();
    };
  }, [dirty]);
}

function Editor({ name, prefix, live, loaded, onClose }: Props & { loaded: Value | null }) {
  // The version that the edit began with: what If-Match speaks of.
  const [basis, setBasis] = useState<Value | null>(loaded);
  const [newName, setNewName] = useState(name ?? prefix);
  const [draft, setDraft] = useState<Draft>(loaded ? draftOf(loaded) : empty_draft);
  const [ttl, setTtl] = useState("");
  const [note, setNote] = useState<{ text: string; bad: boolean } | null>(null);
  const [busy, setBusy] = useState(false);
  const [clash, setClash] = useState<Clash | null>(null);
  const [asked, setAsked] = useState<"delete" | "close" | "leave" | null>(null);
  const { base } = useStore(connection);
  const gone = useGone(live, prefix);

  const target = name ?? newName;
  // The list draws this again with each of its changes: what takes time for a long value is kept.
  const bytes = useMemo(() => bytesOfDraft(draft), [draft]);
  const changed = useMemo(() => isChanged(draft, bytes, basis), [draft, bytes, basis]);
  const dirty = changed || ttl !== "" || (name === null && newName !== prefix);
  useQuestionOnLeaving(dirty, () => setAsked("leave"));
  const saveLine = useCallback(
    () => curlLine(base, putRequest(target, bytes ?? {}, ttl, basis?.index ?? null)),
    [base, target, bytes, ttl, basis],
  );

  const readTheirs = async (wanted: Clash["wanted"]) => {
    try {
      setClash({ wanted, theirs: await readValue(target), unread: null });
    } catch (error) {
      setClash({ wanted, theirs: null, unread: problemText(error) });
    }
  };
  const save = async (against: Value | null) => {
    if (!bytes) return;
    const wrong = nameProblem(target);
    if (wrong) return setNote({ text: wrong, bad: true });
    setBusy(true);
    setNote(null);
    try {
      const answer = await (await write(putRequest(target, bytes, ttl, against?.index ?? null))).json();
      const { index } = answer as { index: number };
      setBasis({ name: target, ...bytes, index });
      setTtl("");
      setClash(null);
      if (name === null) onClose();
      else setNote({ text: `Written with index ${index}.`, bad: false });
    } catch (error) {
      await explain(error, "save");
    }
    setBusy(false);
  };
  /** Deletes what the person has seen beside what they wanted to delete. */
  const remove = async (seen: Value | null) => {
    if (!seen) return;
    setBusy(true);
    try {
      await write(deleteRequest(target, seen.index));
      onClose();
    } catch (error) {
      await explain(error, "delete");
    }
    setBusy(false);
  };
  const explain = async (error: unknown, wanted: Clash["wanted"]) => {
    if (hasStatus(error, 412)) return readTheirs(wanted);
    // The editor tells it.
    if (clash) editOn();
    return setNote({ text: problemText(error), bad: true });
  };
  const editOn = () => {
    if (clash?.wanted === "save" && clash.unread === null) setBasis(clash.theirs);
    setClash(null);
  };
  const takeTheirs = (value: Value | null) => {
    if (!value) return onClose();
    setDraft(draftOf(value, draft.format === "hex"));
    setBasis(value);
    setClash(null);
  };
  const close = () => (dirty ? setAsked("close") : onClose());
  const question = (asked === "close" || asked === "leave") && (
    <DiscardQuestion onKeep={() => setAsked(null)} onDiscard={asked === "close" ? onClose : leaveHeldPlace} />
  );

  if (clash) {
    return (
      <>
        <Conflict
          {...clash}
          name={target}
          mine={bytes ?? basis ?? {}}
          basis={basis}
          ttl={ttl}
          busy={busy}
          onForce={() => void (clash.wanted === "save" ? save(clash.theirs) : remove(clash.theirs))}
          onTakeTheirs={() => takeTheirs(clash.theirs)}
          onReadAgain={() => void readTheirs(clash.wanted)}
          onEditOn={editOn}
        />
        {question}
      </>
    );
  }
  const verb = basis && name !== null ? "Save" : "Create";
  return (
    <Dialog title={name === null ? "New value" : visibleText(name)} wide onClose={close}>
      <form
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          void save(basis);
        }}
      >
        {name === null && (
          <label>
            Name{" "}
            <input
              required
              value={newName}
              onInput={(event) => {
                setNewName(event.currentTarget.value);
                // What was read was read of another name.
                setBasis(null);
              }}
            />
          </label>
        )}
        <Changed
          basis={basis}
          live={live}
          gone={gone}
          named={name !== null}
          onCompare={(theirs) => setClash({ wanted: "save", theirs, unread: null })}
        />
        <FormatBar draft={draft} onDraft={setDraft} />
        <ValueField draft={draft} invalid={bytes === null} onDraft={setDraft} />
        <div class="bar">
          <label>
            ttl{" "}
            <input
              class="short"
              placeholder="none"
              value={ttl}
              onInput={(event) => setTtl(event.currentTarget.value)}
            />
          </label>
          <Facts value={live ?? basis} basis={basis} bytes={bytes ?? (draft.format === "large" ? basis : null)} />
        </div>
        <p role="status" class={note?.bad ? "bad" : "good"}>
          {note?.text}
        </p>
        <footer class="dialog-foot">
          <button type="submit" class="primary" disabled={busy || bytes === null}>
            {busy ? "Saving …" : verb}
          </button>
          <CopyButton text={saveLine} label="Copy save as curl" />
          {name !== null && <CopyButton text={() => curlLine(base, getRequest(name))} label="Copy get as curl" />}
          <span class="spacer" />
          {basis !== null && name !== null && (
            <button type="button" class="danger" onClick={() => setAsked("delete")}>
              Delete…
            </button>
          )}
        </footer>
      </form>
      {question}
      {asked === "delete" && basis && (
        <DeleteValue
          value={basis}
          base={base}
          onClose={() => setAsked(null)}
          onGone={onClose}
          onConflict={async () => {
            await readTheirs("delete");
            setAsked(null);
          }}
        />
      )}
    </Dialog>
  );
}

function isChanged(draft: Draft, bytes: Bytes | null, basis: Value | null): boolean {
  if (draft.format === "large") return false;
  if (!basis) return draft.text !== "";
  return !bytes || !sameBytes(bytes, basis);
}

interface ChangedProps {
  basis: Value | null;
  live: Value | undefined;
  gone: boolean;
  /** It is about a value that should be there. */
  named: boolean;
  onCompare(theirs: Value): void;
}

function Changed({ basis, live, gone, named, onCompare }: ChangedProps) {
  if (basis && gone) {
    return (
      <p class="warn" role="status">
        It has been deleted (or has expired) since you opened it.
      </p>
    );
  }
  if (!basis && named && !live) {
    return (
      <p class="warn" role="status">
        There is no value of this name.
      </p>
    );
  }
  if (!live || (basis && live.index <= basis.index)) return null;
  return (
    <p class="warn" role="status">
      It has changed since you opened it: index {live.index} now, {basis ? `yours is ${basis.index}` : "it was not there"}.{" "}
      <button type="button" onClick={() => onCompare(live)}>
        Compare
      </button>
    </p>
  );
}

function FormatBar({ draft, onDraft }: { draft: Draft; onDraft(draft: Draft): void }) {
  const { format, text, crlf } = draft;
  const as_text = useMemo(() => (format === "hex" ? hexAsText(text) : null), [format, text]);
  const json = useMemo(() => (format === "text" ? prettyJson(text) : null), [format, text]);
  const [too_long, setTooLong] = useState<string | null>(null);
  const toggle = () => {
    if (format === "hex") {
      if (as_text) onDraft(as_text);
      return;
    }
    const as_hex = hexDraft(bytesOf(bytesOfDraft(draft) ?? {}));
    if (as_hex.format === "hex") onDraft(as_hex);
    else setTooLong(text);
  };
  return (
    <div class="bar">
      <button type="button" disabled={format === "large" || (format === "hex" && !as_text)} onClick={toggle}>
        {format === "text" ? "Show as hex" : as_text ? "Show as text" : "Bytes, no text"}
      </button>
      {json !== null && json !== text && (
        <button type="button" onClick={() => onDraft({ ...draft, text: json })}>
          Format JSON
        </button>
      )}
      {crlf && <span class="note">Its line ends are CR LF, and are saved like that.</span>}
      {too_long === text && <span class="note">More than {sizeText(hex_bytes_max)} aren't shown as digits.</span>}
    </div>
  );
}

interface FieldProps {
  draft: Draft;
  invalid: boolean;
  onDraft(draft: Draft): void;
}

function ValueField({ draft, invalid, onDraft }: FieldProps) {
  return useMemo(() => {
    if (draft.format === "large") {
      return (
        <p class="note">
          These are bytes and no text that this page could keep as it is. More than {sizeText(hex_bytes_max)} of them
          can't be edited here.
        </p>
      );
    }
    return (
      <>
        <label class="grow">
          <span class="sr">Value</span>
          <textarea
            rows={12}
            spellcheck={false}
            value={draft.text}
            aria-invalid={invalid}
            onInput={(event) => onDraft({ ...draft, text: event.currentTarget.value })}
          />
        </label>
        {invalid && <p class="bad">Pairs of hexadecimal digits are wanted here.</p>}
      </>
    );
  }, [draft, invalid]);
}

function Facts({ value, basis, bytes }: { value: Value | null; basis: Value | null; bytes: Bytes | null }) {
  const size = useMemo(() => (bytes ? bytesOf(bytes).length : 0), [bytes]);
  return (
    <span class="note">
      {basis ? `index ${basis.index} · ` : ""}
      {sizeText(size)}
      {value?.expire && (
        <>
          {" · expires in "}
          <Countdown expire={value.expire} />; saving without a ttl makes it permanent
        </>
      )}
    </span>
  );
}

function DiscardQuestion({ onKeep, onDiscard }: { onKeep(): void; onDiscard(): void }) {
  return (
    <Dialog title="Discard your changes?" onClose={onKeep}>
      <p>What you have typed has not been saved.</p>
      <footer class="dialog-foot">
        <button type="button" class="danger" onClick={onDiscard}>
          Discard
        </button>
        <button type="button" class="primary" autofocus onClick={onKeep}>
          Keep editing
        </button>
      </footer>
    </Dialog>
  );
}
