"""What is done to the cluster. Each fault is a method of Torment that does it, holds it, and undoes it.

The order and all choices come from one seed; what they meet depends on the machine. `injected` tells what was done
and from when to when.
"""
import contextlib
import http.client
import random
import threading
import time

import cluster as harness
import machine
import network as networks
from client import wait_until

FILL_SECONDS = 8.0
BIG_VALUE_BYTES = 1_000_000
# In a round: more than a segment of the log holds, and less than makes every node take a snapshot by itself and give up
# the log that streams are held against in the end.
BIG_VALUES_MAX = 110


class Fault:
    def __init__(self, name, method, leaves_majority=True, nodes_min=3, needs=None):
        self.name = name
        self.method = method
        self.leaves_majority = leaves_majority
        self.nodes_min = nodes_min
        self.needs = needs  # "clock", "disk"


FAULTS = (
    Fault("kill -9: a follower", "kill_follower"),
    Fault("kill -9: the leader", "kill_leader"),
    Fault("kill -9: two of five", "kill_two", nodes_min=5),
    Fault("kill -9: all", "kill_all", leaves_majority=False),
    Fault("SIGSTOP: a follower", "pause_follower"),
    Fault("SIGSTOP: the leader", "pause_leader"),
    Fault("SIGSTOP: all but one", "pause_most", leaves_majority=False),
    Fault("partition: the leader alone", "isolate_leader"),
    Fault("partition: a minority with the leader", "part_with_leader", nodes_min=5),
    Fault("partition: a minority of followers", "part_followers"),
    Fault("partition: nobody hears anybody", "part_all", leaves_majority=False),
    Fault("one-way cut: nobody hears the leader", "mute_leader"),
    Fault("one-way cut: the leader hears nobody", "deafen_leader"),
    Fault("one-way cut: single links", "cut_links"),
    Fault("full disk: of a follower", "fill_follower", needs="disk"),
    Fault("full disk: of the leader", "fill_leader", needs="disk"),
    Fault("wall clock: the leader's jumps", "jump_leader", needs="clock"),
    Fault("wall clock: everybody's jumps", "jump_all", needs="clock"),
    Fault("rolling restart", "rolling_restart"),
    Fault("rolling upgrade", "rolling_upgrade"),
    Fault("rolling downgrade", "rolling_downgrade"),
    Fault("leadership handed over", "transfer"),
    Fault("a member goes, another comes", "change_members", nodes_min=5),
    Fault("snapshot taken, log compacted", "snapshot"),
)


class Injected:
    def __init__(self, fault, began):
        self.fault = fault
        self.began = began
        self.ended = began
        self.until = began  # what is seen is counted to it up to here: the next one's beginning
        self.detail = ""


class Torment:
    def __init__(self, cluster, observer, load, seed, unavailable):
        """`unavailable`: by what faults need, why it isn't there."""
        self.cluster = cluster
        self.load = load
        self.observer = observer
        self.choose = random.Random(f"{seed}-faults")
        self.unavailable = unavailable
        self.injected = []
        self.readers = []  # (event that ends them, what waits for that)
        self.big_values_left = BIG_VALUES_MAX
        self.was_full = 0  # answers 507 to the writes that fill a log
        # One node keeps its whole log, which is what the streams are held against in the end.
        self.keeper = self.choose.choice(cluster.nodes)

    def possible(self):
        return [f for f in FAULTS if len(self.cluster.nodes) >= f.nodes_min and f.needs not in self.unavailable]

    def run(self, ends, speak):
        """Each possible fault once, in some order, and then any, until it is time. One that has begun is ended."""
        ahead = []
        while time.monotonic() < ends:
            if not ahead:
                ahead = self.possible()
                self.choose.shuffle(ahead)
            fault = ahead.pop()
            one = Injected(fault, time.monotonic())
            self.injected.append(one)
            try:
                getattr(self, fault.method)(one)
            finally:
                self._undo()
                one.ended = one.until = time.monotonic()
            speak(f"{one.ended - one.began:5.1f} s  {fault.name}{': ' if one.detail else ''}{one.detail}")
            self._wait_for_leader()
            one.until = time.monotonic()

    def stop_at_once(self):
        for over, _ in self.readers:
            over.set()

    # Processes.

    def kill_follower(self, one):
        self._kill(one, [self._follower()])

    def kill_leader(self, one):
        self._kill(one, [self._leader()])

    def kill_two(self, one):
        self._kill(one, self.choose.sample(self.cluster.nodes, 2))

    def kill_all(self, one):
        self._kill(one, list(self.cluster.nodes))

    def pause_follower(self, one):
        self._pause(one, [self._follower()])
        self._hold()

    def pause_leader(self, one):
        leader = self._leader()
        self._pause(one, [leader])
        self._hold()  # others have time to elect another
        self._hold_and_read_at(leader)

    def pause_most(self, one):
        spared = self.choose.choice(self.cluster.nodes)
        self._pause(one, [n for n in self.cluster.nodes if n is not spared])
        self._hold()

    # Networks.

    def isolate_leader(self, one):
        leader = self._believing_leader()
        self._part(one, [leader], self._others([leader]))
        if self.cluster.network.cuts_clients and self.choose.random() < 0.5:
            one.detail += ", from clients too"
            self._cut_both_ways(leader.id, networks.CLIENTS)
        self._hold_and_read_at(leader)

    def part_with_leader(self, one):
        leader = self._believing_leader()
        minority = [leader, self.choose.choice(self._others([leader]))]
        self._part(one, minority, self._others(minority))
        self._hold_and_read_at(leader)

    def part_followers(self, one):
        leader = self._leader()
        minority = self.choose.sample(self._others([leader]), (len(self.cluster.nodes) - 1) // 2)
        self._part(one, minority, self._others(minority))
        self._hold()

    def part_all(self, one):
        nodes = self.cluster.nodes
        self._part(one, nodes, nodes)
        self._hold()

    def mute_leader(self, one):
        leader = self._believing_leader()
        self._cut(one, [(leader, other) for other in self._others([leader])])
        self._hold_and_read_at(leader)

    def deafen_leader(self, one):
        leader = self._believing_leader()
        self._cut(one, [(other, leader) for other in self._others([leader])])
        self._hold_and_read_at(leader)

    def cut_links(self, one):
        pairs = [(a, b) for a in self.cluster.nodes for b in self.cluster.nodes if a is not b]
        # Less than would leave somebody without a majority that he can speak with.
        self._cut(one, self.choose.sample(pairs, len(self.cluster.nodes) // 2))
        self._hold()

    # Disks and clocks.

    def fill_follower(self, one):
        small = [n for n in self.cluster.nodes if n.disk]
        node = self.choose.choice(small)
        if self._leader() is node:
            self._hand_over(self._others([node])[0])
        self._fill(one, node)

    def fill_leader(self, one):
        node = self.choose.choice([n for n in self.cluster.nodes if n.disk])
        self._hand_over(node)
        self._fill(one, node)

    def jump_leader(self, one):
        self._jump(one, [self._leader()])

    def jump_all(self, one):
        self._jump(one, self.cluster.nodes)

    # What operators do.

    def rolling_restart(self, one):
        self._roll(one, lambda _: None)

    def rolling_upgrade(self, one):
        self._roll(one, lambda n: setattr(n, "is_old", False))

    def rolling_downgrade(self, one):
        self._roll(one, lambda n: setattr(n, "is_old", True))

    def transfer(self, one):
        target = self._follower()
        one.detail = f"to node {target.id}"
        self._hand_over(target)
        self._hold()

    def change_members(self, one):
        node = self.choose.choice([n for n in self.cluster.nodes if n is not self.keeper and not n.disk])
        via = self._others([node])[0]
        answer = self.cluster.remove_member(node, via)
        if answer.status != 200:
            one.detail = f"refused: {answer.json.get('detail')}"
            return
        wait_until(lambda: node.process.poll() is not None, 20 * harness.slowness, f"node {node.id} ends")
        node.process = None
        new = self.cluster.add_member(via)
        one.detail = f"node {node.id} goes, node {new.id} comes"
        wait_until(lambda: self._role(new) == "voter", 30 * harness.slowness, f"node {new.id} votes")
        self.observer.watch()

    def snapshot(self, one):
        node = next(n for n in self.cluster.nodes if n is not self.keeper)
        one.detail = f"node {node.id}"
        answer = self._request(node, "POST", "/v1/cluster/snapshot")
        if answer is None or answer.status != 200:
            one.detail += f": {answer}"
        self._hold()

    # How.

    def _leader(self):
        return self.observer.leader() or self.choose.choice(self.cluster.nodes)

    def _believing_leader(self):
        """Half of the time the node that gives up last."""
        patient = self.cluster.patient
        if patient in self.cluster.nodes and self.choose.random() < 0.5:
            self._hand_over(patient)
            return patient
        return self._leader()

    def _others(self, some):
        return [n for n in self.cluster.nodes if n not in some]

    def _follower(self):
        return self.choose.choice(self._others([self._leader()]))

    def _hold(self):
        time.sleep(self.choose.uniform(0.6, 2.2))

    def _hold_and_read_at(self, leader):
        """Its clients go on asking, who can't know that it may lead no more."""
        over = threading.Event()
        self.readers.append((over, self.load.read_at(leader, over)))
        self._hold()

    def _kill(self, one, nodes):
        one.detail = _named(nodes)
        for node in nodes:
            node.kill()
        self._hold()
        for node in self.choose.sample(nodes, len(nodes)):
            node.start()

    def _pause(self, one, nodes):
        one.detail = _named(nodes)
        for node in nodes:
            node.pause()

    def _cut(self, one, pairs):
        one.detail = ", ".join(f"{a.id} → {b.id}" for a, b in pairs)
        for a, b in pairs:
            self.cluster.network.cut(a.id, b.id)

    def _cut_both_ways(self, a, b):
        self.cluster.network.cut(a, b)
        self.cluster.network.cut(b, a)

    def _part(self, one, some, others):
        one.detail = f"{_named(some)} | {_named(others)}"
        for a in some:
            for b in others:
                if a is not b:
                    self._cut_both_ways(a.id, b.id)

    def _fill(self, one, node):
        """Full, and then written to until the log needs a new segment: only that shows that there is no room."""
        one.detail = f"node {node.id}"
        node.disk.fill()
        noticed = self._says_full(node)
        ends = time.monotonic() + FILL_SECONDS * harness.slowness
        refused = written = 0
        while time.monotonic() < ends and self.big_values_left > 0 and not refused:
            answer = self._request(self._leader(), "PUT", "/v1/raw/big", b"b" * BIG_VALUE_BYTES)
            if answer is None:
                time.sleep(0.05)
                continue
            if answer.status == 507 and self._leader() is not node:
                time.sleep(0.05)  # another one's disk was full a moment ago
                continue
            refused += answer.status == 507
            written += answer.status in (200, 201)
            self.big_values_left -= 1
        one.detail += f", {written} MB written" + (", then 507" if refused else "")
        self.was_full += refused
        self._hold()
        one.detail += ", noticed" if self._says_full(node) > noticed else ", not noticed"

    @staticmethod
    def _says_full(node):
        with open(node.log_path, encoding="utf-8", errors="replace") as file:
            return file.read().count("the disk is full")

    def _jump(self, one, nodes):
        """They stay where they have come to."""
        told = []
        for node in nodes:
            offset = self.choose.choice((-1, 1)) * self.choose.choice((5, 600, 86400, 86400 * 400))
            machine.set_clock(node.clock_path, offset)
            told.append(f"node {node.id} {offset:+d} s")
        one.detail = ", ".join(told)
        self._hold()

    def _roll(self, one, change):
        one.detail = _named(self.cluster.nodes)
        for node in list(self.cluster.nodes):
            status = node.terminate(timeout=20.0)
            assert status == 0, f"node {node.id} ended with {status} when told to stop"
            change(node)
            node.start()
            self.cluster.wait_ready([node], timeout=30.0)

    def _hand_over(self, target):
        self._request(target, "POST", "/v1/cluster/leader", b'{"id":%d}' % target.id)

    @staticmethod
    def _request(node, method, path, body=None):
        """None when there is no answer."""
        client = node.client(6.0 * harness.slowness)
        headers = {"Content-Type": "application/json"} if path.startswith("/v1/cluster") and body else None
        try:
            return client.request(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            client.close()

    def _role(self, node):
        status = node.status()
        return next((m["role"] for m in status["members"] if m["id"] == node.id), "") if status else ""

    def _undo(self):
        self.cluster.network.heal()
        for node in self.cluster.nodes:
            if node.running:
                node.resume()
            if node.disk is not None:
                with contextlib.suppress(FileNotFoundError):
                    node.disk.empty()
        readers, self.readers = self.readers, []
        for over, finish in readers:
            over.set()
            finish()

    def _wait_for_leader(self):
        for node in self.cluster.nodes:
            assert node.running, f"node {node.id} ended by itself with {node.process and node.process.poll()}"
        wait_until(self.observer.leader, 30 * harness.slowness, "there is a leader again")


def _named(nodes):
    return f"node{'s' if len(nodes) > 1 else ''} {', '.join(str(n.id) for n in nodes)}"
