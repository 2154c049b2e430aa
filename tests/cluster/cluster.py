"""Starts and torments real cairn processes.

A Cluster owns its processes, ports and data directories, ends only what it started, and keeps every node's log.
Waiting is always for a condition, with a deadline.
"""
import ctypes
import http.client
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from client import Client, open_stream, wait_until

binary = None  # set by run.py
slowness = 1.0  # how much slower than a release build things may be (sanitizers)

_libc = ctypes.CDLL(None, use_errno=True)
_reserved_ports = set()
_ports = (15000, 30999)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def use_part_of_ports(part, parts):
    """Of those that free_port() takes: so that processes that run beside each other don't take the same one."""
    global _ports  # pylint: disable=global-statement
    first, last = _ports
    size = (last - first + 1) // parts
    _ports = (first + part * size, first + (part + 1) * size - 1)


def free_port():
    """A port below the ephemeral range, so that no outgoing connection takes it between now and its use."""
    for _ in range(1000):
        port = random.randint(*_ports)
        if port in _reserved_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _reserved_ports.add(port)
        return port
    raise RuntimeError("no free port")


def clean_environment(**more):
    """This environment without CAIRN_… variables, which are options of the program."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    return {**kept, **more}


class Node:
    def __init__(self, cluster, node_id):
        self.cluster = cluster
        self.id = node_id
        self.host = "127.0.0.1"
        self.program = None  # where it isn't `binary`
        self.environment = {}
        self.enter = None  # called in the new process: where it is to live
        self.http_port = free_port()
        self.raft_port = free_port()
        self.data_dir = os.path.join(cluster.directory, f"data-{node_id}")
        self.log_path = os.path.join(cluster.directory, f"log-{node_id}")
        self.process = None
        self.joins = None  # the node of a running cluster that it asks to be taken in
        self.files_max = None  # how many files it may have open

    def start(self, *options, told_the_cluster=True):
        assert self.process is None, f"node {self.id} runs already"
        command = [
            self.program or binary, "serve", "--id", str(self.id), "--data-dir", self.data_dir,
            "--http", f"{self.host}:{self.http_port}", *self.cluster.options, *options]
        if self.joins is not None:
            command += ["--raft", self.raft_address, "--join", f"{self.joins.host}:{self.joins.http_port}"]
        elif told_the_cluster:
            command += ["--raft", self.raft_address,
                        "--initial-cluster", self.cluster.initial_cluster]
        with open(self.log_path, "ab") as log:
            log.write(f"--- {' '.join(command)}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(**self.environment),
                preexec_fn=self._prepare, start_new_session=True)

    def _prepare(self):
        _die_with_parent()
        if self.enter is not None:
            self.enter()
        if self.files_max is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files_max, self.files_max))

    @property
    def raft_address(self):
        return f"{self.host}:{self.raft_port}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL: nothing is flushed, nobody is told."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def terminate(self, timeout=15.0):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout * slowness)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"node {self.id} still runs {timeout * slowness} s after SIGTERM") from None
        self.process = None
        return status

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def client(self, timeout=15.0):
        return Client(self.http_port, timeout, self.host)

    def stream(self, path, **options):
        return open_stream(self.http_port, path, host=self.host, **options)

    def ready(self):
        client = self.client(2.0)
        try:
            return client.request("GET", "/readyz").status == 200
        finally:
            client.close()

    def status(self):
        client = self.client(5.0)
        try:
            answer = client.request("GET", "/v1/cluster")
            return answer.json if answer.status == 200 else None
        finally:
            client.close()

    def applied(self):
        return self.status()["applied_index"]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def log_tail(self, lines=40):
        try:
            with open(self.log_path, "rb") as file:
                return b"\n".join(file.read().splitlines()[-lines:]).decode("utf-8", "replace")
        except OSError:
            return ""


class Cluster:
    def __init__(self, size=3, options=()):
        self.directory = tempfile.mkdtemp(prefix="cairn-test-")
        self.options = list(options)
        self.nodes = [Node(self, i + 1) for i in range(size)]
        self.initial_cluster = ",".join(f"{n.id}={n.raft_address}" for n in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        self.wait_ready()
        return self

    def wait_ready(self, nodes=None, timeout=15.0):
        for node in nodes or self.nodes:
            wait_until(lambda n=node: self._alive(n) and n.ready(), timeout * slowness, f"node {node.id} is ready")

    @staticmethod
    def _alive(node):
        assert node.running, f"node {node.id} ended by itself with {node.process and node.process.poll()}"
        return True

    def join(self, node_id):
        """Starts another node, which asks a running one to be taken in; waits until it serves."""
        assert node_id == len(self.nodes) + 1
        node = Node(self, node_id)
        node.joins = next(n for n in self.nodes if n.running)
        self.nodes.append(node)
        node.start()
        self.wait_ready([node])
        return node

    def node(self, node_id):
        return self.nodes[node_id - 1]

    def leader(self, among=None, timeout=10.0):
        """The node that all running nodes (of `among`) name as their leader and that says so itself."""
        candidates = list(among or [n for n in self.nodes if n.running])

        def agreed():
            named = {(s["leader"], s["term"]) for s in (n.status() for n in candidates) if s}
            if len(named) != 1:
                return None
            leader = self.node(named.pop()[0]) if min(named)[0] else None
            return leader if leader in candidates else None

        return wait_until(agreed, timeout * slowness, "the nodes agree on a leader")

    def followers(self):
        leader = self.leader()
        return [n for n in self.nodes if n.running and n is not leader]

    def wait_caught_up(self, timeout=15.0):
        """All running nodes have applied what the furthest of them had when this was called."""
        running = [n for n in self.nodes if n.running]
        goal = max(wait_until(n.status, timeout * slowness, "status")["applied_index"] for n in running)
        for node in running:
            wait_until(lambda n=node: n.applied() >= goal, timeout * slowness,
                       f"node {node.id} has applied {goal}")

    def stop(self):
        """Ends everything at once; for the end of a test. Raises when a sanitizer had something to say."""
        for node in self.nodes:
            if node.process is not None:
                if node.running:
                    node.process.kill()
                node.process.wait()
                node.process = None
        reports = [n for n in self.nodes if any(
            mark in n.log_tail(4000) for mark in ("Sanitizer:", "runtime error:"))]
        logs = "".join(n.log_tail(200) for n in reports)
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not reports, f"sanitizer report of node {', '.join(str(n.id) for n in reports)}:\n{logs}"


def openapi_document():
    """What a node of this program says that it does."""
    cluster = Cluster(1)
    try:
        cluster.start()
        return cluster.nodes[0].client().request("GET", "/openapi.json").json
    finally:
        cluster.stop()


def check_same_everywhere(cluster, names):
    """Every node's own state, read locally, is the same once they have caught up."""
    cluster.wait_caught_up()
    for name in names:
        answers = {(a.status, a.body) for a in (
            n.client().get(name, "?consistency=local") for n in cluster.nodes if n.running)}
        assert len(answers) == 1, f"the nodes differ on {name}: {answers}"


def in_background(work):
    """Runs work() in a thread; the function returned waits for its end, and gives its value or raises its error."""
    outcome = {}

    def run():
        try:
            outcome["value"] = work()
        except BaseException as error:  # pylint: disable=broad-except
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def finish(timeout=60.0):
        thread.join(timeout * slowness)
        assert not thread.is_alive(), f"still running after {timeout * slowness} s"
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    return finish


class Recorder:
    """What clients were told, from many threads, write by write."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged = []  # (name, value, index)
        self.not_applied = []  # names: refused with the promise that nothing was written
        self.unknown = 0
        self.unexpected = []
        self.successes = []  # (began, ended), monotonic

    def acknowledge(self, name, value, index, began):
        with self.lock:
            self.acknowledged.append((name, value, index))
            self.successes.append((began, time.monotonic()))

    def refuse(self, name, answer):
        """An answer that is no acknowledgement, or None when there was none."""
        with self.lock:
            if answer is None:
                self.unknown += 1
                return
            problem = answer.json
            outcome = problem.get("outcome")
            if answer.status in (503, 504) and outcome == "unknown":
                self.unknown += 1
            elif answer.status in (429, 503, 504) and outcome == "not_applied":
                self.not_applied.append(name)
            else:
                self.unexpected.append(answer)

    def first_success_after(self, moment):
        """When the first write that began after the moment was acknowledged, or None."""
        with self.lock:
            return min((ended for began, ended in self.successes if began > moment), default=None)

    def check(self, cluster):
        """Everything acknowledged is there, on every node; nothing that was refused is."""
        assert not self.unexpected, self.unexpected[:3]
        cluster.wait_caught_up()
        for node in cluster.nodes:
            if not node.running:
                continue
            client = node.client()
            for name, value, index in self.acknowledged:
                got = client.get(name, "?consistency=local")
                assert got.status == 200, f"acknowledged, and not there on node {node.id}: {name} at {index}"
                assert (got.json["value"], got.json["index"]) == (value, index), (name, index, got)
            for name in self.not_applied:
                got = client.get(name, "?consistency=local")
                assert got.status == 404, f"refused as not applied, and there on node {node.id}: {got}"


class Writers:
    """Threads that write values of unique names, each through one node until that fails, then through the next."""

    def __init__(self, cluster, prefix, count=8):
        self.cluster = cluster
        self.prefix = prefix
        self.recorder = Recorder()
        self.stopping = threading.Event()
        self.finishers = [in_background(lambda i=i: self._write(i)) for i in range(count)]

    def _write(self, thread):
        number = 0
        at = thread
        client = self._client(at)
        while not self.stopping.is_set():
            number += 1
            name, value = f"{self.prefix}/{thread}/{number}", f"{thread}-{number}"
            began = time.monotonic()
            try:
                answer = client.put(name, value, query="?timeout=1s")
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status == 201:
                self.recorder.acknowledge(name, value, answer.json["index"], began)
                continue
            self.recorder.refuse(name, answer)
            at += 1
            client = self._client(at)
            time.sleep(0.01)

    def _client(self, at):
        return self.cluster.nodes[at % len(self.cluster.nodes)].client(5.0)

    def wait_for(self, writes, timeout=20.0):
        """Until so many more writes were acknowledged."""
        goal = len(self.recorder.acknowledged) + writes
        wait_until(lambda: len(self.recorder.acknowledged) >= goal, timeout * slowness, f"{writes} writes acknowledged")

    def gap_after(self, moment):
        """Seconds from the moment until a write that began later was acknowledged."""
        wait_until(lambda: self.recorder.first_success_after(moment), 20.0 * slowness, "writes succeed again")
        return self.recorder.first_success_after(moment) - moment

    def stop(self):
        self.stopping.set()
        for finish in self.finishers:
            finish()
        return self.recorder
