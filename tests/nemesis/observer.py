"""Watches who leads, from outside and all the time, and says afterwards what that was."""
import http.client
import threading
import time

import cluster as harness

INTERVAL_SECONDS = 0.1
FRESH_SECONDS = 0.7  # what a node said longer ago is no word of it


class Observer:
    def __init__(self, cluster):
        self.cluster = cluster
        self.samples = []  # (when, node, term, leader)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.watched = {}

    def watch(self):
        """Also those that have come since."""
        for node in self.cluster.nodes:
            if node.id not in self.watched:
                self.watched[node.id] = harness.in_background(lambda n=node: self._run(n))

    def stop(self):
        self.stopping.set()
        for finish in self.watched.values():
            finish()

    def leader(self):
        """Who was named last by most of those that spoke lately, or None."""
        now = time.monotonic()
        with self.lock:
            recent = [s for s in self.samples[-200:] if s[0] > now - FRESH_SECONDS]
        latest = {node: (term, leader) for _, node, term, leader in recent}
        named = max((t for t in latest.values() if t[1] and latest.get(t[1]) == t), default=None)
        return self.cluster.node(named[1]) if named else None

    def _run(self, node):
        while not self.stopping.is_set() and node not in self.cluster.removed:
            self.stopping.wait(INTERVAL_SECONDS)
            client = node.client(0.5 * harness.slowness)
            try:
                answer = client.request("GET", "/v1/cluster")
                if answer.status == 200:
                    with self.lock:
                        self.samples.append((time.monotonic(), node.id, answer.json["term"], answer.json["leader"]))
            except (OSError, http.client.HTTPException):
                pass  # a node that says nothing
            finally:
                client.close()

    def reigns(self):
        """(when first seen, term, leader) of every leader that named itself."""
        found = {}
        for when, node, term, leader in self.samples:
            if node == leader:
                found.setdefault((term, leader), when)
        return sorted((when, term, leader) for (term, leader), when in found.items())

    def leaderless(self, quorum):
        """Intervals in which no leader was named by a quorum that it is one of."""
        latest, intervals, since = {}, [], None
        for when, node, term, leader in sorted(self.samples):
            latest[node] = (when, term, leader)
            fresh = {n: (t, l) for n, (w, t, l) in latest.items() if w > when - FRESH_SECONDS}
            leads = any(fresh.get(leader) == (term, leader) and list(fresh.values()).count((term, leader)) >= quorum
                        for term, leader in set(fresh.values()) if leader)
            if not leads and since is None:
                since = when
            elif leads and since is not None:
                intervals.append((since, when))
                since = None
        return intervals
