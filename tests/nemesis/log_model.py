"""What the log of the cluster says, by a simple state machine of our own over what `cairn dump` shows of it.

Only of the program's description: see fsm/state_machine.h for the rules that are played here.
"""
import json
import subprocess
import zlib

_UNITS_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
RETENTION_NS = 600_000_000_000


class Broken(Exception):
    """The logs are not what they must be; says why."""


def duration_ns(text):
    """Of "1h2m3.5s" and the like."""
    total, number, unit = 0, "", ""
    for character in text + "0":
        if character.isdigit() or character == ".":
            if unit:
                total += round(float(number) * _UNITS_NS[unit])
                number = unit = ""
            number += character
        else:
            unit += character
    return total


def entries_of(program, data_dir):
    """By index, as they lie in the log of a node that doesn't run."""
    done = subprocess.run([program, "dump", "--data-dir", data_dir, "--json", "--values"], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"dump of {data_dir}: exit status {done.returncode}: {done.stderr.strip()}")
    entries, last = {}, 0
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["record"] == "log_start":
            entries, last = {}, record["index"] - 1
        elif record["record"] == "entry":
            index = record["index"]
            for replaced in range(index, last + 1):
                entries.pop(replaced, None)
            del record["offset"]
            entries[index], last = record, index
    return entries


def agreed(logs, applied):
    """The one log up to `applied`, from those of all nodes, of which some may have given up their beginning."""
    log = []
    for index in range(1, applied + 1):
        there = {node: entries[index] for node, entries in logs.items() if index in entries}
        if not there:
            begins = {node: min(entries, default=0) for node, entries in logs.items()}
            raise Broken(f"no node has entry {index} of {applied} any more; their logs begin at {begins}")
        first = next(iter(there.values()))
        if any(entry != first for entry in there.values()):
            raise Broken(f"the logs differ at {index}: {there}")
        log.append(first)
    return log


class Model:
    """Values by name: (bytes, index, deadline). `events` are those of names with the prefix."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.values = {}
        self.keys = {}  # by key: (time, fingerprint)
        self.keyed = []  # (entry, time, key, fingerprint), in order
        self.events = []
        self.time_ns = 0
        self.clock_changes = 0
        self._position = 0

    def apply(self, entry):
        self._position = 0
        self.time_ns = max(self.time_ns, entry["stamp_ns"])
        overdue = sorted((v[2], name) for name, v in self.values.items() if v[2] and v[2] <= self.time_ns)
        for _, name in overdue:
            self._remove("expired", name, entry["index"])
        if entry["kind"] != "command":
            return
        if entry["does"] == "clock":
            self.clock_changes += "utc_offset_ns" in entry
            return
        key = entry.get("idempotency_key")
        if key is not None:
            fingerprint = zlib.crc32(repr([entry.get(m) for m in (
                "name", "does", "value", "ttl", "prev_index", "create_only")]).encode())
            self.keyed.append((entry["index"], self.time_ns, key, fingerprint))
            known = self.keys.get(key)
            if known is not None and self.time_ns < known + RETENTION_NS:
                return
            self.keys[key] = self.time_ns
        self._carry_out(entry)

    def _carry_out(self, entry):
        name, there = entry["name"], self.values.get(entry["name"])
        wanted = entry.get("prev_index", 0)
        if entry["does"] == "set":
            if not (entry.get("create_only") and there):
                self._write(entry, there)
        elif there is None or wanted not in (0, there[1]):
            return
        elif entry["does"] == "update":
            self._write(entry, there)
        else:
            self._remove("deleted", name, entry["index"])

    def _write(self, entry, there):
        index, value = entry["index"], entry.get("value", "")
        deadline = self.time_ns + duration_ns(entry["ttl"]) if "ttl" in entry else 0
        self.values[entry["name"]] = (value, index, deadline)
        previous = {"previous_index": there[1], "previous_value": there[0]} if there else {}
        self._tell("updated" if there else "created", entry["name"], index, value, index, **previous)

    def _remove(self, kind, name, index):
        value, value_index, _ = self.values.pop(name)
        self._tell(kind, name, index, value, value_index)

    def _tell(self, kind, name, index, value, value_index, **more):
        if name.startswith(self.prefix):
            self.events.append({"record": "event", "kind": kind, "name": name, "index": index,
                                "position": self._position, "value": value, "value_index": value_index, **more})
        self._position += 1


def keyed_commands(model, done_at, answers):
    """Lines "keyed" of the recording: what came of each command with a key. `done_at`: the entries of which streams
    told that they did something. `answers`: by key what clients were told, in the order of their asking: (digest, index)."""
    firsts, lines = {}, []
    for index, time_ns, key, fingerprint in model.keyed:
        told = answers.get(key, [])
        line = {"record": "keyed", "index": index, "time_ns": time_ns, "key": key, "fingerprint": fingerprint}
        if key not in firsts or index in done_at:
            firsts.setdefault(key, index)
            line.update(result="applied", outcome=told[0][0] if told else 0)
        else:
            # Whichever entry's answer it was: none may be another than the first.
            other = next((t for t in told if t != told[0]), told[0] if told else (0, 0))
            line.update(result="replayed", outcome=other[0], first_index=other[1] or firsts[key])
        lines.append(line)
    return lines
