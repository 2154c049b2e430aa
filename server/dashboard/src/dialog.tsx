// A dialog of the browser's own (it keeps the focus and closes on Escape), and the question before anything is done.
//
// It begins in the element with `autofocus`, else in its first field or its first button below. Where it was opened from
// gets the focus back.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { problemText } from "./api";

interface DialogProps {
  title: string;
  wide?: boolean;
  onClose(): void;
  /** Its content can be measured now. */
  onShown?(): void;
  children: ComponentChildren;
}

function focusOn(target: Element | null): void {
  if (target instanceof HTMLElement) target.focus();
}

export function Dialog({ title, wide, onClose, onShown, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    if (!dialog) return undefined;
    const opener = document.activeElement;
    dialog.showModal();
    onShown?.();
    const first = dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, textarea, .dialog-foot button");
    // A long text is read from its beginning.
    if (first instanceof HTMLTextAreaElement) first.setSelectionRange(0, 0);
    focusOn(first);
    return () => {
      dialog.close();
      // An outer dialog that goes at the same time is closed before this one.
      const usable = opener?.isConnected && opener !== document.body && opener.closest("dialog")?.open !== false;
      focusOn(usable ? opener : document.querySelector(".virtual") ?? document.querySelector("#main"));
    };
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
      onClose={(event) => {
        // A second Escape closes it whatever `cancel` says; whether it goes is the owner's decision.
        const dialog = event.currentTarget;
        if (!dialog.isConnected || dialog.open) return;
        dialog.showModal();
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
  /** It can't be done now. */
  disabled?: boolean;
  /** Does it; what it returns is told, what it throws is shown. */
  run(): Promise<string>;
  onClose(): void;
}

export function Confirm({ title, children, action, dangerous, disabled, run, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<{ text: string; bad: boolean } | null>(null);
  const go = async () => {
    setBusy(true);
    try {
      setResult({ text: await run(), bad: false });
    } catch (error) {
      setResult({ text: problemText(error), bad: true });
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
          <button
            type="button"
            class={dangerous ? "danger" : "primary"}
            disabled={busy || disabled}
            onClick={() => void go()}
          >
            {busy ? "Working …" : action}
          </button>
        )}
        <button type="button" autofocus={dangerous || disabled} onClick={onClose}>
          {done ? "Close" : "Cancel"}
        </button>
      </footer>
    </Dialog>
  );
}
