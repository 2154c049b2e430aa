"""What was injected and what was seen, as tables."""


class Row:
    """One kind of fault, over all rounds."""

    def __init__(self, fault):
        self.fault = fault
        self.times = 0
        self.seconds = 0.0
        self.leaders = 0
        self.ok = self.refused = self.unknown = 0
        self.resumed = self.gaps = 0
        self.outage = 0.0
        self.leaderless = 0.0

    def cells(self):
        leaderless = f"{self.leaderless:.1f}" if self.fault.leaves_majority else f"({self.leaderless:.1f})"
        return [self.fault.name, self.times, f"{self.seconds:.0f}", self.leaders, self.ok, self.refused, self.unknown,
                self.resumed, self.gaps, f"{self.outage:.1f}", leaderless]


HEAD = ["fault", "times", "seconds", "new leaders", "ok", "refused", "unknown", "resumed", "gaps", "longest outage, s",
        "longest without leader, s"]


def overlap(interval, one):
    """How long it was within the time that is counted to this fault."""
    return max(0.0, min(interval[1], one.until) - max(interval[0], one.began))


def account(rows, injected, operations, reigns, leaderless, followers):
    """Adds one round to the rows. What is seen until the next fault begins is counted to the last one."""
    writes = sorted(o["returned_ns"] / 1e9 for o in operations
                    if o["outcome"] == "ok" and o["kind"] not in ("get", "local_get"))
    outages = list(zip(writes, writes[1:]))
    for one in injected:
        ended = one.until
        row = rows.setdefault(one.fault.name, Row(one.fault))
        row.times += 1
        row.seconds += one.ended - one.began
        row.leaders += sum(one.began <= when < ended for when, _, _ in reigns)
        for operation in operations:
            if one.began <= operation["invoked_ns"] / 1e9 < ended:
                outcome = operation["outcome"]
                row.unknown += outcome == "unknown"
                row.refused += outcome == "not_applied"
                row.ok += outcome not in ("unknown", "not_applied")
        row.resumed += sum(one.began <= when < ended for f in followers for when in f.resumed)
        row.gaps += sum(one.began <= when < ended for f in followers for when in f.gaps)
        row.outage = max([row.outage] + [overlap(o, one) for o in outages])
        row.leaderless = max([row.leaderless] + [overlap(i, one) for i in leaderless])


def markdown(rows, notes):
    lines = ["| " + " | ".join(HEAD) + " |", "|---" + "|---:" * (len(HEAD) - 1) + "|"]
    lines += ["| " + " | ".join(str(c) for c in row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"


def text(rows, notes):
    table = [HEAD] + [[str(c) for c in row.cells()] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(line, widths))) for line in table]
    return "\n".join(lines + [""] + list(notes))
