"""Records what clients of a cluster were told, and has it checked by the program check_history.

The checker is tests/checker/linearizability.h; it knows nothing of cairn. A line of the history is an Operation of
tests/checker/history.h as JSON. Use one RecordingClient per thread.
"""
import http.client
import json
import os
import subprocess
import tempfile
import threading
import time

import cluster as harness

UNDECIDED = 3


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.operations = []

    def add(self, operation):
        with self.lock:
            self.operations.append(operation)

    def count(self, *outcomes, kinds=None):
        with self.lock:
            return sum(op["outcome"] in outcomes and (kinds is None or op["kind"] in kinds) for op in self.operations)

    def check(self):
        """Raises AssertionError with the explanation when the history is not linearizable; keeps history and page then."""
        directory = tempfile.mkdtemp(prefix="cairn-history-")
        path, page = os.path.join(directory, "history.jsonl"), os.path.join(directory, "history.html")
        with self.lock, open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(op) + "\n" for op in self.operations)
        done = subprocess.run([program(), path, "--html", page], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60 * harness.slowness, check=False)
        output = done.stdout.decode("utf-8", "replace")
        assert done.returncode != UNDECIDED, f"undecided, see {path}:\n{output}"
        assert done.returncode == 0, f"exit status {done.returncode}, see {path} and {page}:\n{output}"
        for file in (path, page):
            os.unlink(file)
        os.rmdir(directory)
        return output


def program():
    """Meson builds it beside the tests: build/tests/check_history for build/server/cairn."""
    path = os.path.join(os.path.dirname(os.path.dirname(harness.binary)), "tests", "checker", "check_history")
    assert os.access(path, os.X_OK), f"no program at {path}"
    return path


class RecordingClient:
    """Operations on values through one node until told to move. Every one ends up in the history."""

    def __init__(self, history, number, nodes):
        self.history = history
        self.number = number
        self.nodes = nodes
        self.at = number
        self.connections = {}  # by node
        self.unexpected = []
        self.answer_seconds = 5.0

    def move(self):
        self.at += 1

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    @property
    def node(self):
        return self.nodes[self.at % len(self.nodes)]

    def get(self, name, local=False):
        query = "&consistency=local" if local else ""
        return self._do({"kind": "local_get" if local else "get", "name": name},
                        lambda client: client.get(name, f"?timeout=1s{query}"))

    def set(self, name, value, ttl_ms=0):
        ttl = {"ttl": f"{ttl_ms}ms"} if ttl_ms else {}
        return self._do({"kind": "set", "name": name, "value": value, "ttl_ns": ttl_ms * 1_000_000},
                        lambda client: client.put(name, value, query="?timeout=1s", **ttl))

    def create(self, name, value):
        return self._do({"kind": "create", "name": name, "value": value},
                        lambda client: client.put(name, value, query="?timeout=1s", headers={"If-None-Match": "*"}))

    def update(self, name, value, prev_index=0):
        match = f'"{prev_index}"' if prev_index else "*"
        return self._do({"kind": "update", "name": name, "value": value, "prev_index": prev_index},
                        lambda client: client.put(name, value, query="?timeout=1s", headers={"If-Match": match}))

    def delete(self, name, prev_index=0):
        headers = {"If-Match": f'"{prev_index}"'} if prev_index else None
        return self._do({"kind": "delete", "name": name, "prev_index": prev_index},
                        lambda client: client.delete(name, query="?timeout=1s", headers=headers))

    def _do(self, operation, request):
        node = self.node
        started = node.process
        operation.update(client=self.number, node=node.id, invoked_ns=time.monotonic_ns())
        try:
            if node not in self.connections:
                self.connections[node] = node.client(self.answer_seconds)
            answer = request(self.connections[node])
        except ConnectionRefusedError:
            operation.update(outcome="not_applied", returned_ns=time.monotonic_ns())  # nothing was sent
        except (OSError, http.client.HTTPException):
            operation.update(outcome="unknown")
        else:
            operation["returned_ns"] = time.monotonic_ns()
            self._note(operation, answer)
        # A node that was started anew may be behind what it showed before.
        same = started is not None and node.process is started
        operation["incarnation"] = started.pid if same else operation["invoked_ns"]
        self.history.add(operation)
        return operation

    def _note(self, operation, answer):
        applied = answer.headers.get("Cairn-Index")
        if answer.status in (200, 201):
            operation["outcome"] = "ok"
            _note_success(operation, answer)
        elif answer.status in (404, 412):
            problem = answer.json
            operation["outcome"] = {"NOT_FOUND": "not_found", "CONFLICT": "conflict",
                                    "ALREADY_EXISTS": "already_exists"}[problem["code"]]
            operation["index"] = problem.get("current_index", 0)
        elif answer.status in (429, 503, 504, 507):
            # A read that failed has no outcome to tell.
            operation["outcome"] = answer.json.get("outcome", "not_applied")
            applied = None
        else:
            self.unexpected.append(answer)
            operation["outcome"] = "unknown"
        if applied is not None:
            operation["applied_index"] = int(applied)


def _note_success(operation, answer):
    body = answer.json
    kind = operation["kind"]
    if kind in ("get", "local_get"):
        operation.update(index=body["index"], returned_value=body["value"])
    elif kind == "delete":
        operation.update(previous="present", previous_index=body["index"], previous_value=body["value"])
    else:
        operation["index"] = body["index"]
        operation["previous"] = "absent" if answer.status == 201 else "present"
        if "prev_value" in body:
            operation.update(previous_index=body["prev_value"]["index"], previous_value=body["prev_value"]["value"])
