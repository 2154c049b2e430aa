// One value, to look at and to change by compare-and-set. When somebody else was faster, both versions are shown.
import { useEffect, useMemo, useState } from "preact/hooks";
import {
  ApiError,
  curlLine,
  deleteRequest,
  getRequest,
  idempotencyKey,
  putRequest,
  type ApiRequest,
  type Bytes,
  type Value,
} from "./api";
import { bytesOf, fromHex, prettyJson, sizeText, toBase64, toHex, visibleText } from "./bytes";
import { Conflict } from "./conflict";
import { connection, send } from "./connection";
import { CopyButton } from "./copy";
import { Confirm, Dialog } from "./dialog";
import { countdown } from "./format";
import { useNow, useStore } from "./store";

type Format = "text" | "hex";

/** Null when what was typed isn't what the format says. */
function parse(text: string, format: Format): Bytes | null {
  if (format === "text") return { value: text };
  const bytes = fromHex(text);
  return bytes ? { value_base64: toBase64(bytes) } : null;
}

function shown(value: Bytes, format: Format): string {
  return format === "hex" ? toHex(bytesOf(value)) : value.value ?? "";
}

async function read(name: string): Promise<Value | null> {
  try {
    return (await (await send(getRequest(name))).json()) as Value;
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 404) return null;
    throw error;
  }
}

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
    read(props.name).then(setLoaded, (error: Error) => setFailure(error.message));
  }, [props.name]);
  if (failure) {
    return (
      <Dialog title={props.name ?? ""} onClose={props.onClose}>
        <p class="bad">{failure}</p>
      </Dialog>
    );
  }
  if (loaded === undefined) return null;
  return <Editor {...props} loaded={loaded} />;
}

function Editor({ name, prefix, live, loaded, onClose }: Props & { loaded: Value | null }) {
  // The version that the edit began with: what If-Match speaks of.
  const [basis, setBasis] = useState<Value | null>(loaded);
  const [newName, setNewName] = useState(name ?? prefix);
  const [format, setFormat] = useState<Format>(loaded?.value_base64 !== undefined ? "hex" : "text");
  const [text, setText] = useState(loaded ? shown(loaded, loaded.value_base64 !== undefined ? "hex" : "text") : "");
  const [ttl, setTtl] = useState("");
  const [note, setNote] = useState<{ text: string; bad: boolean } | null>(null);
  const [busy, setBusy] = useState(false);
  const [theirs, setTheirs] = useState<Value | null | undefined>(undefined);
  const [deleting, setDeleting] = useState(false);
  const { base } = useStore(connection);
  const now = useNow(500);

  const target = name ?? newName;
  const bytes = parse(text, format);
  const request = (): ApiRequest => putRequest(target, bytes ?? {}, ttl, basis?.index ?? null);
  const changedElsewhere = basis !== null && live !== undefined && live.index > basis.index;

  const save = async (against: Value | null) => {
    if (!bytes) return;
    setBusy(true);
    setNote(null);
    const write = putRequest(target, bytes, ttl, against?.index ?? null);
    write.headers = { ...write.headers, "Idempotency-Key": idempotencyKey() };
    try {
      const answer = (await (await sendTwice(write)).json()) as { index: number };
      setBasis({ name: target, ...bytes, index: answer.index });
      setTheirs(undefined);
      if (name === null) onClose();
      else setNote({ text: `Written with index ${answer.index}.`, bad: false });
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 412) setTheirs(await read(target).catch(() => null));
      else setNote({ text: problemText(error), bad: true });
    }
    setBusy(false);
  };
  const takeTheirs = (value: Value | null) => {
    if (!value) return onClose();
    const their_format = value.value_base64 !== undefined ? "hex" : format;
    setFormat(their_format);
    setText(shown(value, their_format));
    setBasis(value);
    setTheirs(undefined);
    return undefined;
  };

  if (theirs !== undefined && bytes) {
    return (
      <Conflict
        name={target}
        mine={bytes}
        basis={basis}
        theirs={theirs}
        busy={busy}
        onOverwrite={() => void save(theirs)}
        onTakeTheirs={() => takeTheirs(theirs)}
        onEditOn={() => {
          setBasis(theirs);
          setTheirs(undefined);
        }}
        onClose={onClose}
      />
    );
  }
  const json = format === "text" ? prettyJson(text) : null;
  const expire = (live ?? basis)?.expire;
  return (
    <Dialog title={name === null ? "New value" : visibleText(name)} wide onClose={onClose}>
      <form
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          void save(basis);
        }}
      >
        {name === null && (
          <label>
            Name <input required value={newName} onInput={(event) => setNewName(event.currentTarget.value)} />
          </label>
        )}
        {changedElsewhere && live && (
          <p class="warn" role="status">
            It has changed since you opened it: index {live.index} now, yours is {basis.index}.{" "}
            <button type="button" onClick={() => setTheirs(live)}>
              Compare
            </button>
          </p>
        )}
        <FormatBar format={format} text={text} json={json} onFormat={setFormat} onText={setText} />
        <label class="grow">
          <span class="sr">Value</span>
          <textarea
            rows={12}
            spellcheck={false}
            value={text}
            aria-invalid={bytes === null}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        {bytes === null && <p class="bad">Pairs of hexadecimal digits are wanted here.</p>}
        <div class="bar">
          <label>
            ttl <input class="short" placeholder="none" value={ttl} onInput={(event) => setTtl(event.currentTarget.value)} />
          </label>
          <span class="note">
            {basis ? `index ${basis.index} · ` : ""}
            {sizeText(bytes ? bytesOf(bytes).length : 0)}
            {expire ? ` · expires in ${countdown(expire, now)}; saving without a ttl makes it permanent` : ""}
          </span>
        </div>
        <p role="status" class={note?.bad ? "bad" : "good"}>
          {note?.text}
        </p>
        <footer class="dialog-foot">
          <button type="submit" class="primary" disabled={busy || bytes === null}>
            {name === null ? "Create" : "Save"}
          </button>
          <CopyButton text={() => curlLine(base, request())} label="Copy save as curl" />
          {name !== null && <CopyButton text={() => curlLine(base, getRequest(name))} label="Copy get as curl" />}
          <span class="spacer" />
          {basis !== null && name !== null && (
            <button type="button" class="danger" onClick={() => setDeleting(true)}>
              Delete…
            </button>
          )}
        </footer>
      </form>
      {deleting && basis && <DeleteValue value={basis} base={base} onClose={() => setDeleting(false)} onGone={onClose} />}
    </Dialog>
  );
}

interface FormatProps {
  format: Format;
  text: string;
  json: string | null;
  onFormat(format: Format): void;
  onText(text: string): void;
}

function FormatBar({ format, text, json, onFormat, onText }: FormatProps) {
  const asText = useMemo(() => textOf(text, format), [text, format]);
  const toggle = () => {
    if (format === "text") {
      onText(toHex(new TextEncoder().encode(text)));
      onFormat("hex");
    } else if (asText !== null) {
      onText(asText);
      onFormat("text");
    }
  };
  return (
    <div class="bar">
      <button type="button" disabled={format === "hex" && asText === null} onClick={toggle}>
        {format === "text" ? "Show as hex" : asText === null ? "Bytes, no text" : "Show as text"}
      </button>
      {json !== null && json !== text && (
        <button type="button" onClick={() => onText(json)}>
          Format JSON
        </button>
      )}
    </div>
  );
}

/** Hexadecimal digits as text, where they are valid UTF-8. */
function textOf(text: string, format: Format): string | null {
  if (format === "text") return text;
  const bytes = fromHex(text);
  if (!bytes) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

interface DeleteProps {
  value: Value;
  base: string;
  onClose(): void;
  onGone(): void;
}

function DeleteValue({ value, base, onClose, onGone }: DeleteProps) {
  const request = deleteRequest(value.name, value.index);
  return (
    <Confirm
      title={`Delete ${visibleText(value.name)}?`}
      action="Delete"
      dangerous
      onClose={onClose}
      run={async () => {
        await sendTwice({ ...request, headers: { ...request.headers, "Idempotency-Key": idempotencyKey() } });
        onGone();
        return "Deleted.";
      }}
    >
      <p>
        It is deleted only if its index is still {value.index}. All streams that follow it are told. <CopyButton
          text={() => curlLine(base, request)}
        />
      </p>
    </Confirm>
  );
}

/** A write with an idempotency key may be sent again when nobody knows what became of it: it is applied once. */
async function sendTwice(request: ApiRequest): Promise<Response> {
  try {
    return await send(request);
  } catch (error) {
    if (error instanceof ApiError && error.problem.status !== 503 && error.problem.status !== 504) throw error;
    await new Promise((done) => setTimeout(done, 1200));
    return send(request);
  }
}

function problemText(error: unknown): string {
  if (error instanceof ApiError) {
    const unknown = error.problem.outcome === "unknown" ? " It may or may not have been written." : "";
    return error.message + unknown;
  }
  return "No answer: it may or may not have been written.";
}
