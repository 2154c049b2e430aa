// A button that copies a line, and says that it did.
import { useState } from "preact/hooks";

async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages without https that aren't on localhost have no clipboard; the old way still works there.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}

export function CopyButton({ text, label = "Copy as curl" }: { text: () => string; label?: string }) {
  const [note, setNote] = useState("");
  const copy = async () => {
    try {
      await copyText(text());
      setNote("Copied");
    } catch {
      setNote("Not copied: the browser forbids it");
    }
    setTimeout(() => setNote(""), 2000);
  };
  return (
    <button type="button" class="quiet" title={text()} onClick={() => void copy()}>
      <span aria-live="polite">{note || label}</span>
    </button>
  );
}
