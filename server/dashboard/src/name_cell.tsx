// A value's name in a list. Where it is too long its middle is cut: names under one prefix differ at their end.
import { visibleText } from "./bytes";

const tail_characters = 12;

export function NameCell({ name }: { name: string }) {
  const text = visibleText(name);
  const cut = Math.max(0, text.length - tail_characters);
  return (
    <span class="cell-name" role="gridcell" title={name}>
      <span class="head">{text.slice(0, cut)}</span>
      <span class="tail">{text.slice(cut)}</span>
    </span>
  );
}
