// Where two texts differ, line by line. Pure, and of bounded cost: between what they begin and end with alike, more than
// `pairs_max` pairs of lines aren't compared, but are one difference.

/** A stretch of both texts: the same lines, or what stands in place of each other (one of them may be empty). */
export interface Stretch {
  same: boolean;
  one: string;
  other: string;
}

const pairs_max = 1_000_000;
const paired_lines_max = 200;

/** With their line ends. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** At [i, j]: how many lines the longest common row has of those from `i` and from `j` on. */
function commonLengths(one: string[], other: string[]): (i: number, j: number) => number {
  const width = other.length + 1;
  // The shorter side has no more lines than the root of `pairs_max`.
  const lengths = new Uint16Array((one.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = one[i] === other[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  return at;
}

export function diffLines(one: string, other: string): Stretch[] {
  if (one.endsWith("\n") || other.endsWith("\n")) return diffWholeLines(one, other);
  // Without an end of its own the last line would differ from the same one further up.
  const stretches = diffWholeLines(`${one}\n`, `${other}\n`);
  for (const side of ["one", "other"] as const) {
    const last = [...stretches].reverse().find((stretch) => stretch[side] !== "");
    if (last) last[side] = last[side].slice(0, -1);
  }
  return stretches.filter((stretch) => stretch.one || stretch.other);
}

function diffWholeLines(one: string, other: string): Stretch[] {
  const [ours, theirs] = [linesOf(one), linesOf(other)];
  const shorter = Math.min(ours.length, theirs.length);
  let head = 0;
  while (head < shorter && ours[head] === theirs[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && ours[ours.length - 1 - tail] === theirs[theirs.length - 1 - tail]) tail += 1;

  const stretches: Stretch[] = [];
  const add = (same: boolean, from_one: string, from_other: string) => {
    const last = stretches[stretches.length - 1];
    if (last?.same === same) {
      last.one += from_one;
      last.other += from_other;
    } else if (from_one || from_other) stretches.push({ same, one: from_one, other: from_other });
  };
  const alike = (lines: string[]) => add(true, lines.join(""), lines.join(""));
  alike(ours.slice(0, head));
  addBetween(ours.slice(head, ours.length - tail), theirs.slice(head, theirs.length - tail), add);
  alike(ours.slice(ours.length - tail));
  return stretches;
}

function addBetween(one: string[], other: string[], add: (same: boolean, one: string, other: string) => void): void {
  if (one.length * other.length > pairs_max) return add(false, one.join(""), other.join(""));
  const common = commonLengths(one, other);
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    const [mine, yours] = [one[i], other[j]];
    if (mine !== undefined && mine === yours) {
      add(true, mine, mine);
      i += 1;
      j += 1;
    } else if (yours === undefined || (mine !== undefined && common(i + 1, j) >= common(i, j + 1))) {
      add(false, mine ?? "", "");
      i += 1;
    } else {
      add(false, "", yours);
      j += 1;
    }
  }
  return undefined;
}

export interface Part {
  text: string;
  changed: boolean;
}

/** What of a stretch has changed: in each line where both sides have as many (and not very many), else as one. */
export function changedParts(text: string, other: string): Part[] {
  const [lines, others] = [linesOf(text), linesOf(other)];
  const paired = lines.length === others.length && lines.length <= paired_lines_max;
  const pairs = paired ? lines.map((line, i) => [line, others[i] ?? ""] as const) : [[text, other] as const];
  const parts: Part[] = [];
  const add = (piece: string, changed: boolean) => {
    const last = parts[parts.length - 1];
    if (last?.changed === changed) last.text += piece;
    else if (piece) parts.push({ text: piece, changed });
  };
  for (const [own, their] of pairs) {
    const [before, changed, after] = changedPart(own, their);
    // Where nothing is alike, nothing stands out.
    const stands_out = /\S/.test(before + after);
    add(before, false);
    add(changed, stands_out);
    add(after, false);
  }
  return parts;
}

/** `text` in three: what it begins and ends with like `other`, and between them what differs. */
export function changedPart(text: string, other: string): [string, string, string] {
  const shorter = Math.min(text.length, other.length);
  let head = 0;
  while (head < shorter && text[head] === other[head]) head += 1;
  if (isPairHead(text, head - 1)) head -= 1;
  let tail = 0;
  while (tail < shorter - head && text[text.length - 1 - tail] === other[other.length - 1 - tail]) tail += 1;
  if (tail > 0 && isPairHead(text, text.length - tail - 1)) tail -= 1;
  return [text.slice(0, head), text.slice(head, text.length - tail), text.slice(text.length - tail)];
}

/** Whether a character begins there that takes two places. */
function isPairHead(text: string, position: number): boolean {
  return /[\ud800-\udbff]/.test(text.charAt(position));
}

export function lineCount(text: string): number {
  return linesOf(text).length;
}
