"""Clients of the tormented cluster: what they ask, what they are told, and the streams that they follow.

Everything is recorded; what it means is the checkers' matter. Clients go on whatever the answer, on another node when
one doesn't answer well.
"""
import http.client
import random
import threading
import time
import zlib

import checker
import cluster as harness
import websocket
from client import StreamRefused, quoted

PREFIX = "n/"
HOT_NAMES = [f"{PREFIX}hot/{i}" for i in range(3)]
GENERATION_SECONDS = 6.0
GENERATION_NAMES = 5
FINAL_NAMES = [f"{PREFIX}end", HOT_NAMES[0]]  # one or the other is selected by every stream
SILENCE_SECONDS = 2.5
TRIES_MAX = 12


class RecordingClient(checker.RecordingClient):
    """Also with idempotency keys."""

    def __init__(self, history, number, nodes):
        super().__init__(history, number, nodes)
        # Some give up soon. Others wait for a node that stands still, and hear what it says when it goes on.
        self.answer_seconds = (6.0 if number % 3 else 1.3) * harness.slowness
        self.replayed = 0
        self.refused = {}  # by problem code, how often

    def keyed(self, kind, name, key, value="", prev_index=0):
        headers = {"Idempotency-Key": key}
        operation = {"kind": kind, "name": name, "idempotency_key": key}
        if kind == "create":
            headers["If-None-Match"] = "*"
        elif kind != "set" and (prev_index or kind == "update"):
            headers["If-Match"] = f'"{prev_index}"' if prev_index else "*"
            operation["prev_index"] = prev_index
        if kind == "delete":
            return self._do(operation, lambda c: c.delete(name, query="?timeout=1s", headers=headers))
        return self._do({**operation, "value": value},
                        lambda c: c.put(name, value, query="?timeout=1s", headers=headers))

    def _note(self, operation, answer):
        super()._note(operation, answer)
        self.replayed += answer.headers.get("Idempotency-Replayed") == "true"
        if answer.status >= 429:
            code = answer.json.get("code", str(answer.status))
            self.refused[code] = self.refused.get(code, 0) + 1


def digest(operation):
    """Of what a client was told."""
    return zlib.crc32(repr([operation.get(m) for m in (
        "outcome", "index", "previous", "previous_index", "previous_value")]).encode())


class Follower:
    """One stream, in a thread: cut again and again, and resumed on another node after the last cursor."""

    def __init__(self, number, nodes, seed, kind, name, prefix):
        self.number, self.nodes = number, nodes
        self.selection = {"record": "stream", "stream": number, "name": name, "prefix": prefix,
                          "watch": kind == "watch"}
        self.path = f"/v1/{kind}/{quoted(name)}?prefix={'true' if prefix else 'false'}"
        self.lines = []
        self.choose = random.Random(seed)
        self.at = number
        self.cursor = None
        self.seen_up_to = 0
        self.resumed = []  # when
        self.gaps = []
        self.problems = []
        self.stopping = threading.Event()
        self.finish = None

    def start(self):
        self.finish = harness.in_background(self._run)

    def _run(self):
        while not self.stopping.is_set():
            self.at += 1
            node = self.nodes[self.at % len(self.nodes)]
            cursor = {"cursor": self.cursor} if self.cursor else {}
            path = self.path + (f"&cursor={quoted(self.cursor)}" if self.cursor else "")
            try:
                stream = node.stream(path, timeout=2.0 * harness.slowness)
            except (OSError, StreamRefused, websocket.WebSocketException, http.client.HTTPException):
                self.stopping.wait(0.05)
                continue
            self._record({"type": "opened", "node": node.id, **cursor})
            if cursor:
                self.resumed.append(time.monotonic())
            try:
                self._follow(stream)
            except AssertionError as error:
                self.problems.append(f"stream {self.number} at node {node.id}: {error}")
            finally:
                self._record({"type": "closed"})
                _drop(stream)

    def _follow(self, stream):
        """Until it is cut, by the server, by silence, or because we have had enough of it."""
        left = self.choose.randint(50, 1500)
        heard = time.monotonic()
        while left > 0:
            try:
                message = stream.receive(0.3)
            except TimeoutError:
                if time.monotonic() - heard > SILENCE_SECONDS * harness.slowness or self.stopping.is_set():
                    return
                continue
            except (OSError, websocket.WebSocketException):
                return
            if message is None:
                return
            heard = time.monotonic()
            left -= 1
            self._take(message)

    def _take(self, message):
        message.pop("expire", None)
        if message["type"] == "gap":
            self.gaps.append(time.monotonic())
        self._record(message)
        self.cursor = message.get("cursor", self.cursor)
        self.seen_up_to = max(self.seen_up_to, int(self.cursor.partition(".")[0]))

    def _record(self, message):
        self.lines.append({"record": "message", "stream": self.number, **message})


def _drop(stream):
    """Without the closing handshake, for which a stopped node would let us wait."""
    try:
        stream.socket.shutdown()
    except (OSError, websocket.WebSocketException):
        pass


class Workload:
    def __init__(self, cluster, seed, clients=6):
        self.cluster = cluster
        self.history = checker.History()
        self.names = set(HOT_NAMES)
        self.began = time.monotonic()
        self.stopping = threading.Event()
        self.clients = [RecordingClient(self.history, i, cluster.nodes) for i in range(clients)]
        self.seeds = [f"{seed}-client-{i}" for i in range(clients)]
        self.finishers = []
        self.readers = []
        selections = (("events", PREFIX, True), ("events", PREFIX, True), ("watch", PREFIX, True),
                      ("events", HOT_NAMES[0], False), ("watch", HOT_NAMES[0], False))
        self.followers = [Follower(i + 1, cluster.nodes, f"{seed}-stream-{i}", *s) for i, s in enumerate(selections)]

    def start(self):
        for follower in self.followers:
            follower.start()
        self.finishers = [harness.in_background(lambda c=c, s=s: self._run(c, random.Random(s)))
                          for c, s in zip(self.clients, self.seeds)]

    def read_at(self, node, over, readers=6):
        """Readers of what changes most, at this node only, until the event `over`. Returns what waits for their end."""
        first = 1000 + len(self.readers)
        added = [RecordingClient(self.history, first + i, [node]) for i in range(readers)]
        for client in added:
            client.answer_seconds = 6.0 * harness.slowness
        self.readers += added
        finishers = [harness.in_background(lambda c=c: self._read(c, over)) for c in added]
        return lambda: [finish() for finish in finishers]

    def _read(self, client, over):
        while not over.is_set():
            for name in HOT_NAMES:
                client.get(name)
            over.wait(0.02)
        client.close()

    def stop_clients(self):
        self.stopping.set()
        for finish in self.finishers:
            finish()

    def stop_at_once(self):
        self.stopping.set()
        for follower in self.followers:
            follower.stopping.set()

    def read_everything(self):
        """What is there at the end, for everybody to see, and a last write that ends every stream."""
        final = RecordingClient(self.history, len(self.clients), self.cluster.nodes)
        for name in sorted(self.names):
            final.move()
            operation = final.get(name)
            assert operation["outcome"] in ("ok", "not_found"), f"the last read of {name}: {operation}"
        ends = []
        for name in FINAL_NAMES:
            operation = final.set(name, f"end of {name}")
            assert operation["outcome"] == "ok", f"the last write of {name}: {operation}"
            ends.append(operation["index"])
        self.clients.append(final)
        final.close()
        return ends

    def stop_streams(self, ends):
        """Once they have seen the last writes. Returns what the checker is told of them."""
        lines = []
        end_of = dict(zip(FINAL_NAMES, ends))
        for follower in self.followers:
            goal = max(ends) if follower.selection["prefix"] else end_of[follower.selection["name"]]
            harness.wait_until(lambda f=follower, g=goal: f.seen_up_to >= g, 30.0 * harness.slowness,
                               f"stream {follower.number} has seen {goal}")
            follower.selection["complete_up_to"] = str(goal)
        for follower in self.followers:
            follower.stopping.set()
        for follower in self.followers:
            follower.finish()
            # It is complete as it was before we closed it.
            assert follower.lines.pop()["type"] == "closed"
            lines += [follower.selection, *follower.lines]
        return lines

    def done_at(self):
        """The entries of which a stream told that a command did something there."""
        return {message["deleted_index"] if message["type"] == "deleted" else message["index"]
                for follower in self.followers for message in follower.lines
                if message["type"] in ("created", "updated", "deleted") and not message.get("expired")}

    def answers_by_key(self):
        answers = {}
        for operation in sorted(self.history.operations, key=lambda o: o["invoked_ns"]):
            key = operation.get("idempotency_key")
            if key and operation["outcome"] not in ("unknown", "not_applied"):
                is_write = operation["outcome"] == "ok" and operation["kind"] != "delete"
                answers.setdefault(key, []).append((digest(operation), operation["index"] if is_write else 0))
        return answers

    def problems(self):
        return [f"client {c.number} got {answer}" for c in self.clients + self.readers for answer in c.unexpected[:3]] + \
            [p for f in self.followers for p in f.problems]

    def _run(self, client, choose):
        seen = {}
        number = 0
        while not self.stopping.is_set():
            number += 1
            # Some go from node to node, which is where stale reads would show.
            for _ in range(choose.randrange(3) if client.number % 2 else 0):
                client.move()
            done = self._one(client, choose, seen, f"{client.number}-{number}")
            if done["outcome"] in ("unknown", "not_applied"):
                client.move()
            self.stopping.wait(choose.uniform(0.002, 0.010))
        client.close()

    def _name(self, choose):
        if choose.random() < 0.5:
            return choose.choice(HOT_NAMES)
        generation = int((time.monotonic() - self.began) / GENERATION_SECONDS)
        name = f"{PREFIX}{generation}/{choose.randrange(GENERATION_NAMES)}"
        self.names.add(name)
        return name

    def _one(self, client, choose, seen, value):
        name = self._name(choose)
        kind = choose.choice(("get", "get", "get", "local_get", "set", "set", "create", "update", "update", "delete",
                              "keyed", "keyed"))
        if kind in ("get", "local_get"):
            done = client.get(name, local=kind == "local_get")
        elif kind == "set":
            done = client.set(name, value, ttl_ms=choose.choice((0, 0, 300, 1200)))
        elif kind == "create":
            done = client.create(name, value)
        elif kind == "update":
            done = client.update(name, value, seen.get(name, 0))
        elif kind == "delete":
            done = client.delete(name, choose.choice((0, seen.get(name, 0))))
        else:
            kind = choose.choice(("set", "create", "update", "delete"))
            done = self._until_answered(client, choose, kind, name, f"key-{value}", value, seen.get(name, 0))
        if done.get("index") and done["kind"] not in ("delete", "local_get"):
            seen[name] = done["index"]
        return done

    def _until_answered(self, client, choose, kind, name, key, value, prev_index):
        """Sent again, anywhere, until there is an answer; now and then once more although there is."""
        value = "" if kind == "delete" else value
        for _ in range(TRIES_MAX):
            done = client.keyed(kind, name, key, value, prev_index)
            answered = done["outcome"] not in ("unknown", "not_applied")
            if self.stopping.is_set() or (answered and choose.random() < 0.8):
                break
            client.move()
            self.stopping.wait(0 if answered else 0.02)
        return done
