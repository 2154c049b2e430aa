// A button that copies a line, and says that it did.
import { useMemo, useState } from "preact/hooks";

const title_characters = 300;

async function copyText(text: string, button: HTMLElement): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages without https that aren't on localhost have no clipboard; the old way still works there.
  const area = document.createElement("textarea");
  area.value = text;
  // Beside an open dialog nothing can be selected.
  (button.closest("dialog") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  button.focus();
  if (!copied) throw new Error("not copied");
  return undefined;
}

export function CopyButton({ text, label = "Copy as curl" }: { text: () => string; label?: string }) {
  const [note, setNote] = useState("");
  // The line may hold a whole value.
  const title = useMemo(() => {
    const line = text();
    return line.length > title_characters ? `${line.slice(0, title_characters)}…` : line;
  }, [text]);
  const copy = async (button: HTMLElement) => {
    try {
      await copyText(text(), button);
      setNote("Copied");
    } catch {
      setNote("Not copied: the browser forbids it");
    }
    setTimeout(() => setNote(""), 2000);
  };
  return (
    <button type="button" class="quiet" title={title} onClick={(event) => void copy(event.currentTarget)}>
      <span aria-live="polite">{note || label}</span>
    </button>
  );
}
