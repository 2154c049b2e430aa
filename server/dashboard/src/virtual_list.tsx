// A table of any length of which only the rows in sight are drawn, below its headings. Keyboard: arrows, page keys, Home,
// End, Enter.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Column {
  /** The class of its heading and of its cells. */
  cell: string;
  heading: string;
}

interface Props {
  label: string;
  /** Its class, which says how wide the columns are. */
  kind: string;
  columns: readonly Column[];
  count: number;
  /** -1: none, or one that isn't in the list. */
  selected: number;
  onSelect(position: number): void;
  onOpen(position: number): void;
  /** Its cells, with role="gridcell". */
  row(position: number): ComponentChildren;
  rowKey(position: number): string;
}

const margin_rows = 8;
const row_px = 38;
const head_px = 36;

/** The position of that row now, looked for from where it was; -1 when it is gone. Pure. */
export function findNear(count: number, from: number, is: (position: number) => boolean): number {
  for (let distance = 0; distance <= Math.max(from, count - from); distance += 1) {
    if (from + distance < count && is(from + distance)) return from + distance;
    if (from - distance >= 0 && from - distance < count && is(from - distance)) return from - distance;
  }
  return -1;
}

/** Rows that come and go above what somebody reads move it out of sight: scrolled by as much, it stays. */
function useSteady(box: { current: Element | null }, props: Props, top: number, moved: (top: number) => void): void {
  const { count, rowKey } = props;
  const held = useRef({ position: 0, key: "" });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || count === 0) return;
    const { position, key } = held.current;
    if (top > 0 && key) {
      const now = findNear(count, position, (candidate) => rowKey(candidate) === key);
      if (now >= 0 && now !== position) {
        element.scrollTop = top + (now - position) * row_px;
        held.current = { position: now, key };
        moved(element.scrollTop);
        return;
      }
    }
    const first = Math.min(count - 1, Math.floor(top / row_px));
    held.current = { position: first, key: rowKey(first) };
  });
}

export function VirtualList(props: Props) {
  const { count, selected } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useSteady(box, props, view.top, (top) => setView({ ...view, top }));
  // Where it was when it went: the keys go on from there.
  const last_selected = useRef(0);
  if (selected >= 0) last_selected.current = selected;

  const first = Math.max(0, Math.floor(view.top / row_px) - margin_rows);
  const last = Math.min(count, Math.ceil((view.top + view.height) / row_px) + margin_rows);
  const positions = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);

  const go = (position: number) => {
    const target = Math.max(0, Math.min(count - 1, position));
    props.onSelect(target);
    const element = box.current;
    if (!element) return;
    if (target * row_px < element.scrollTop) element.scrollTop = target * row_px;
    else if ((target + 1) * row_px > element.scrollTop + element.clientHeight - head_px) {
      element.scrollTop = (target + 1) * row_px - element.clientHeight + head_px;
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((view.height - head_px) / row_px) - 1);
    const at = last_selected.current;
    const moves: Record<string, number> = {
      ArrowDown: selected < 0 ? at : at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: count - 1,
    };
    const target = moves[event.key];
    if (target !== undefined) {
      event.preventDefault();
      go(target);
    } else if (event.key === "Enter" && selected >= 0 && selected < count) {
      event.preventDefault();
      props.onOpen(selected);
    }
  };
  const inSight = selected >= first && selected < last;
  const row_id = (position: number) => `${props.kind}-${position}`;
  return (
    <div
      class={`virtual ${props.kind}`}
      ref={box}
      role="grid"
      tabIndex={0}
      aria-label={props.label}
      aria-rowcount={count + 1}
      aria-activedescendant={inSight ? row_id(selected) : undefined}
      onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
      onKeyDown={onKeyDown}
    >
      <div class="virtual-head" role="row" aria-rowindex={1} style={{ height: `${head_px}px` }}>
        {props.columns.map(({ cell, heading }) => (
          <span key={cell} class={cell} role="columnheader">
            {heading}
          </span>
        ))}
      </div>
      <div class="virtual-all" role="rowgroup" style={{ height: `${count * row_px}px` }}>
        {positions.map((position) => (
          <div
            key={props.rowKey(position)}
            id={row_id(position)}
            class="virtual-row"
            role="row"
            aria-selected={position === selected}
            aria-rowindex={position + 2}
            style={{ top: `${position * row_px}px`, height: `${row_px}px` }}
            onClick={() => {
              props.onSelect(position);
              props.onOpen(position);
            }}
          >
            {props.row(position)}
          </div>
        ))}
      </div>
    </div>
  );
}
