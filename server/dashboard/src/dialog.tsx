// A dialog of the browser's own (it keeps the focus and closes on Escape), and the question before anything is done.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface DialogProps {
  title: string;
  wide?: boolean;
  onClose(): void;
  children: ComponentChildren;
}

export function Dialog({ title, wide, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    if (dialog && !dialog.open) dialog.showModal();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id={heading}>{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  /** What will happen. */
  children: ComponentChildren;
  action: string;
  dangerous?: boolean;
  /** Does it; what it returns is told, what it throws is shown. */
  run(): Promise<string>;
  onClose(): void;
}

export function Confirm({ title, children, action, dangerous, run, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<{ text: string; bad: boolean } | null>(null);
  const go = async () => {
    setBusy(true);
    try {
      setResult({ text: await run(), bad: false });
    } catch (error) {
      setResult({ text: error instanceof Error ? error.message : String(error), bad: true });
    }
    setBusy(false);
  };
  const done = result !== null && !result.bad;
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">{children}</div>
      <p role="status" class={result?.bad ? "bad" : "good"}>
        {result?.text}
      </p>
      <footer class="dialog-foot">
        {!done && (
          <button type="button" class={dangerous ? "danger" : "primary"} disabled={busy} onClick={() => void go()}>
            {busy ? "…" : action}
          </button>
        )}
        <button type="button" onClick={onClose}>
          {done ? "Close" : "Cancel"}
        </button>
      </footer>
    </Dialog>
  );
}
