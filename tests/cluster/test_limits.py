"""More than the nodes can take: it is refused, memory stays bounded, and afterwards everything goes on."""
import http.client
import os
import socket
import threading
import time

import cluster as harness
import metrics
from client import Client, wait_until
from relay import Relay

MEBIBYTE = 1 << 20
VALUE = b"x" * MEBIBYTE


class Flood:
    """Many connections at once, each writing values of 1 MiB to one node as fast as it is answered."""

    def __init__(self, node, name, connections):
        self.node = node
        self.name = name
        self.lock = threading.Lock()
        self.answers = {}  # (status, code, outcome) to how many
        self.acknowledged = []
        self.faults = []
        self.stopping = threading.Event()
        self.finishers = [harness.in_background(lambda i=i: self._write(i)) for i in range(connections)]

    def _write(self, thread):
        client = Client(self.node.http_port, 20.0 * harness.slowness)
        number = 0
        while not self.stopping.is_set():
            number += 1
            written = f"{self.name}/{thread}/{number % 2}"
            try:
                answer = client.request("PUT", f"/v1/raw/{written}?timeout=3s", VALUE)
            except (OSError, http.client.HTTPException) as error:
                # An answer that came before the body was sent may get lost with the connection.
                with self.lock:
                    self.answers["none"] = self.answers.get("none", 0) + 1
                if not isinstance(error, (ConnectionError, http.client.HTTPException)):
                    self.faults.append(repr(error))
                continue
            self._note(written, answer)
            if answer.status == 503:
                time.sleep(0.05)  # a polite client would wait longer

    def _note(self, written, answer):
        with self.lock:
            if answer.status in (200, 201):
                key = answer.status
                self.acknowledged.append(written)
            else:
                problem = answer.json
                key = (answer.status, problem["code"], problem.get("outcome"))
                if answer.status == 503 and not answer.headers.get("Retry-After", "").isdigit():
                    self.faults.append(f"no Retry-After: {answer}")
                if problem["code"] == "OVERLOADED" and problem.get("outcome") != "not_applied":
                    self.faults.append(f"the outcome should be not_applied: {answer}")
                if answer.status not in (503, 504):
                    self.faults.append(f"not expected: {answer}")
            self.answers[key] = self.answers.get(key, 0) + 1

    def refused(self):
        """How many were told that nothing was written: there was no room, or nobody led."""
        with self.lock:
            return sum(self.answers.get((503, code, "not_applied"), 0) for code in ("OVERLOADED", "UNAVAILABLE"))

    def stop(self):
        self.stopping.set()
        for finish in self.finishers:
            finish(120.0)
        assert not self.faults, self.faults[:3]


class Peak:
    """The largest resident set that was seen, of each of some nodes."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.bytes = {node.id: 0 for node in nodes}
        self.stopping = threading.Event()
        self.finish = harness.in_background(self._watch)

    def _watch(self):
        while not self.stopping.wait(0.05):
            for node in self.nodes:
                self.bytes[node.id] = max(self.bytes[node.id], node.resident_bytes())

    def stop(self):
        self.stopping.set()
        self.finish()
        return self.bytes


def check_recovers(cluster, names):
    """Whatever the flood has left is written over and read everywhere, by every node."""
    cluster.wait_ready()
    cluster.wait_caught_up(60.0)
    for at, name in enumerate(names[:6]):
        client = cluster.nodes[at % 3].client()
        answer = client.put(name, "after")
        assert answer.status in (200, 201), answer
        assert cluster.nodes[(at + 1) % 3].client().get(name).json["value"] == "after"
    harness.check_same_everywhere(cluster, names[:6])


def flood(cluster, node, name, connections, watched, enough):
    """Runs until enough() is true of the flood; what the watched nodes needed at most, in MiB."""
    peak = Peak(watched)
    writing = Flood(node, name, connections)
    try:
        wait_until(lambda: enough(writing), 40.0 * harness.slowness, "refusals of the flood")
    finally:
        writing.stopping.set()
        print(f"    {dict(writing.answers)}")
    writing.stop()
    mebibytes = {i: n // MEBIBYTE for i, n in peak.stop().items()}
    print(f"    {dict(writing.answers)}; at most {mebibytes} MiB")
    return writing, mebibytes


def check_bounded(mebibytes, allowed):
    # Sanitizers need more memory as well as more time.
    assert max(mebibytes.values()) < allowed * harness.slowness, f"MiB of the nodes: {mebibytes}"


def test_large_writes_without_a_majority(make_cluster, name):
    """The leader takes what its bounds allow, says what became of it, and refuses the rest as not applied."""
    cluster = make_cluster()
    leader = cluster.leader()
    others = [n for n in cluster.nodes if n is not leader]
    for node in others:
        node.pause()
    try:
        writing, mebibytes = flood(cluster, leader, name, 400, [leader], lambda f: f.refused() >= 500)
    finally:
        for node in others:
            node.resume()
    check_bounded(mebibytes, 700)  # 400 MiB on the way, of which 256 are taken, and 64 kept
    assert not writing.acknowledged, "a majority was stopped"
    check_recovers(cluster, [f"{name}/{i}/1" for i in range(6)])


test_large_writes_without_a_majority.deadline_seconds = 180


def test_large_writes_while_a_follower_is_paused(make_cluster, name):
    """Two go on; what they keep for the third is bounded, and it catches up by a snapshot if need be."""
    cluster = make_cluster()
    leader = cluster.leader()
    paused, other = [n for n in cluster.nodes if n is not leader]
    paused.pause()
    try:
        writing, mebibytes = flood(cluster, other, name, 96, [leader, other], lambda f: len(f.acknowledged) >= 300)
    finally:
        paused.resume()
    # The values need 200 MiB, the log up to 200, the history 64, what is on its way 300; beside free memory.
    check_bounded(mebibytes, 2000)
    assert writing.acknowledged
    check_recovers(cluster, sorted(set(writing.acknowledged)))


test_large_writes_while_a_follower_is_paused.deadline_seconds = 180


def test_the_largest_values_there_may_be(make_cluster, name):
    """64 MiB each: they reach every node, also one that was away, from the log and by a snapshot."""
    # Each thread has a part of the bounds, which a single value passes nevertheless.
    cluster = make_cluster(options=("--max-value-bytes", str(64 * MEBIBYTE), "--gateway-threads", "8"))
    leader, away = cluster.leader(), cluster.followers()[0]
    away.kill()
    value = os.urandom(64 * MEBIBYTE)
    for i in range(2):
        answer = Client(leader.http_port, timeout=60).request("PUT", f"/v1/raw/{name}/{i}?timeout=30s", value)
        assert answer.status == 201, answer
    away.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    for node in cluster.nodes:
        for i in range(2):
            got = Client(node.http_port, timeout=60).request("GET", f"/v1/raw/{name}/{i}?consistency=local")
            assert got.status == 200 and got.body == value, (node.id, i, got.status, len(got.body))
    too_large = leader.client().request("PUT", f"/v1/raw/{name}/2", value + b"x")
    assert too_large.status == 413, too_large.status


test_the_largest_values_there_may_be.deadline_seconds = 120


def test_values_that_take_longer_than_an_election_timeout(make_cluster, name):
    """Each needs seconds to reach the others. Whoever leads stays, and it gets there, whichever node was asked."""
    cluster = make_cluster(start=False, options=("--max-value-bytes", str(24 * MEBIBYTE)))
    value = os.urandom(24 * MEBIBYTE)
    with Relay(cluster) as relay:
        cluster.start()
        relay.bytes_per_second = 10e6
        for node in (cluster.leader(), cluster.followers()[0]):
            client = Client(node.http_port, timeout=60)

            def is_written():
                # On a busy machine there may be a change of leader for other reasons.
                return client.request("PUT", f"/v1/raw/{name}?timeout=30s", value).status in (200, 201)

            assert any(is_written() for _ in range(3)), f"not by node {node.id}"
        relay.bytes_per_second = None
        cluster.wait_caught_up(30.0)
        for node in cluster.nodes:
            assert Client(node.http_port, timeout=60).request(
                "GET", f"/v1/raw/{name}?consistency=local").body == value


test_values_that_take_longer_than_an_election_timeout.deadline_seconds = 240


def test_values_larger_than_the_nodes_allow_now(make_cluster, name):
    """Of a size that is no round number. They stay, and reach a node that was away while the bound was lowered."""
    cluster = make_cluster(options=("--max-value-bytes", "20000001"))
    leader, away = cluster.leader(), cluster.followers()[0]
    away.kill()
    values = [os.urandom(size) for size in (9 * MEBIBYTE, 20000001)]
    for i, value in enumerate(values):
        answer = Client(leader.http_port, timeout=60).request("PUT", f"/v1/raw/{name}/{i}?timeout=30s", value)
        assert answer.status == 201, answer
    for node in cluster.nodes:
        if node.running:
            assert node.terminate() == 0
    cluster.options = []
    for node in cluster.nodes:
        node.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    for node in cluster.nodes:
        for i, value in enumerate(values):
            got = Client(node.http_port, timeout=60).request("GET", f"/v1/raw/{name}/{i}?consistency=local")
            assert got.status == 200 and got.body == value, (node.id, i, got.status, len(got.body))
    assert away.client().request("PUT", f"/v1/raw/{name}/0", values[0]).status == 413
    assert away.client().request("DELETE", f"/v1/raw/{name}/0").body == values[0]


test_values_larger_than_the_nodes_allow_now.deadline_seconds = 120


def test_memory_for_large_requests_and_answers(make_cluster, name):
    """All clients together get what is allowed; one of the largest values goes through every thread."""
    threads = 3
    node = make_cluster(size=1, options=(
        "--max-buffered-bytes", str(MEBIBYTE), "--gateway-threads", str(threads))).nodes[0]
    for _ in range(threads):
        answer = node.client().request("PUT", f"/v1/raw/{name}", VALUE)
        assert answer.status in (200, 201), answer
    asking = [socket.create_connection(("127.0.0.1", node.http_port), timeout=10) for _ in range(60)]
    try:
        for connection in asking:
            connection.sendall(f"GET /v1/raw/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 30)
        wait_until(lambda: metrics.of(node)["cairn_http_problems_total"].value(code="OVERLOADED") > 0,
                   20.0 * harness.slowness, "answers that nobody takes are held back")
        held = metrics.of(node)["cairn_http_buffered_bytes"].value()
        assert held < 35 * MEBIBYTE, held  # eight values for each thread, and answers that say why not
    finally:
        for connection in asking:
            connection.close()


def test_lists_are_bounded_in_bytes(cluster, name):
    """A page of large values ends early, says where to go on, and misses nothing."""
    client = cluster.leader().client()
    names = [f"{name}/{i:02}" for i in range(24)]
    for each in names:
        assert client.request("PUT", f"/v1/raw/{each}", VALUE).status == 201
    seen, after, pages = [], None, 0
    while True:
        target = f"/v1/values?prefix={name}/&limit=1000" + (f"&after={after}" if after else "")
        answer = client.request("GET", target)
        assert answer.status == 200 and len(answer.body) < 10 * MEBIBYTE, (answer.status, len(answer.body))
        pages += 1
        seen += [v["name"] for v in answer.json["values"]]
        after = answer.json.get("next")
        if after is None:
            break
    assert seen == names and pages == 3, (pages, seen)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_clients_cannot_take_all_files(make_cluster, name):
    """With few files allowed, clients get some of them; the log, the peers and the snapshots keep theirs."""
    cluster = make_cluster(options=["--snapshot-entries", "50"])
    follower = cluster.followers()[0]
    follower.terminate()
    follower.files_max = 256
    follower.start()
    cluster.wait_ready()
    first = follower.client()
    assert first.put(name, "before").status == 201
    sockets = []
    try:
        for _ in range(400):
            sockets.append(socket.create_connection(("127.0.0.1", follower.http_port), timeout=10))
        began, cpu = time.monotonic(), cpu_seconds(follower.process.pid)
        # Segments, snapshots and peers' connections are opened meanwhile.
        leader = cluster.leader()
        other = [n for n in cluster.nodes if n not in (leader, follower)][0]
        other.kill()
        for number in range(120):
            assert first.put(f"{name}/{number}", "x").status == 201
        assert first.request("POST", "/v1/cluster/snapshot").status == 200
        other.start()
        cluster.wait_ready()
        cluster.wait_caught_up()
        refused = [s for s in sockets if is_refused(s)]
        spent, passed = cpu_seconds(follower.process.pid) - cpu, time.monotonic() - began
        print(f"    {len(refused)} of {len(sockets)} connections refused; {spent:.1f} s of CPU in {passed:.1f} s")
        assert len(sockets) - len(refused) <= 128, "files are kept back"
        assert len(refused) < len(sockets) - 100, "but not all"
    finally:
        for each in sockets:
            each.close()
    wait_until(lambda: follower.client().get(name).status == 200, 10.0 * harness.slowness, "new connections again")


def is_refused(connection):
    """Whether it was told that there are too many, and closed."""
    connection.settimeout(0.05)
    try:
        return connection.recv(100).startswith(b"HTTP/1.1 503")
    except socket.timeout:
        return False
    except ConnectionError:
        return True


test_clients_cannot_take_all_files.deadline_seconds = 120
