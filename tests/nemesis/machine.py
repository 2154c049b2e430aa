"""The cluster that is tormented: nodes with a disk, a clock and a program of their own."""
import contextlib
import glob
import os
import shutil
import subprocess
import time

import cluster as harness
import test_full_disk
from client import wait_until

SMALL_DISK_MEBIBYTES = 300


class Clocks:
    """Wall clocks that can jump while a node runs: libfaketime, told by a file for each node."""

    def __init__(self, program):
        self.unavailable = None
        found = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
        self.library = found[0] if found else None
        if self.library is None:
            self.unavailable = "libfaketime is not installed"
        elif _is_sanitized(program):
            self.unavailable = "a sanitizer's build takes no preloaded library"
        elif not self._works():
            self.unavailable = "libfaketime is there and changes no clock"

    def environment(self, path):
        """The wall clock only: timers and log time go by clocks that nobody sets."""
        return {"LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_CACHE_DURATION": "1"}

    def _works(self):
        path = f"/tmp/cairn-nemesis-clock-{os.getpid()}"
        set_clock(path, -86400 * 365)
        try:
            done = subprocess.run(["date", "+%s"], env={**os.environ, **self.environment(path)}, capture_output=True,
                                  text=True, check=False)
        finally:
            os.unlink(path)
        return done.returncode == 0 and abs(int(done.stdout) - time.time() + 86400 * 365) < 3600


def set_clock(path, offset_seconds):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{offset_seconds:+d}\n")
    os.rename(path + ".new", path)


def _is_sanitized(program):
    with open(program, "rb") as file:
        content = file.read()
    return b"__asan_init" in content or b"__tsan_init" in content


class Machine(harness.Node):
    """A node, and what is around it."""

    def __init__(self, cluster, node_id):
        super().__init__(cluster, node_id)
        self.disk = None
        self.clock_path = os.path.join(cluster.directory, f"clock-{node_id}")
        self.is_old = False
        self.options = []
        self.started = []  # process ids
        if cluster.clocks.unavailable is None:
            set_clock(self.clock_path, 0)
            self.environment = cluster.clocks.environment(self.clock_path)

    def start(self, *options, **more):
        self.program = self.cluster.programs[1 if self.is_old else 0]
        super().start(*self.options, *options, **more)
        self.started.append(self.process.pid)

    def remove_clock_memory(self):
        """What libfaketime shares between processes and a killed one has no time to remove."""
        for pid in self.started:
            for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"/dev/shm/{name}")


class TormentedCluster(harness.Cluster):
    """`programs`: the newer and the older one. `network` is begun for its nodes."""

    def __init__(self, size, options, network, clocks, programs):
        super().__init__(0, options)
        self.network = network
        self.clocks = clocks
        self.programs = programs
        self.nodes = [Machine(self, i + 1) for i in range(size)]
        self.removed = []
        self.patient = None  # one that leads longer than it should, see run.py
        network.begin(self.nodes)
        self.initial_cluster = getattr(network, "initial_cluster", None) or ",".join(
            f"{n.id}={n.raft_address}" for n in self.nodes)

    def node(self, node_id):
        return next((n for n in self.nodes if n.id == node_id), None)

    def give_small_disks(self, count, choose):
        """Returns why not, or None."""
        try:
            for node in choose.sample(self.nodes, count):
                node.disk = test_full_disk.SmallDisk(node.data_dir, SMALL_DISK_MEBIBYTES)
        except PermissionError as error:
            return f"no file system can be mounted ({error})"
        return None

    def remove_member(self, node, via):
        answer = via.client(30.0).request("DELETE", f"/v1/cluster/members/{node.id}?timeout=20s")
        if answer.status != 200:
            return answer
        self.nodes.remove(node)
        self.removed.append(node)
        return answer

    def add_member(self, via):
        node = Machine(self, max(n.id for n in self.nodes + self.removed) + 1)
        self.network.add(node)
        node.joins = via
        node.start()
        self.nodes.append(node)
        return node

    def come_to_rest(self, timeout):
        """All faults are over: every node serves, and all of them show the same. Raises when that takes too long."""
        for node in self.nodes:
            if not node.running:
                node.process = None
                node.start()
        self.wait_ready(timeout=timeout)
        self.wait_caught_up(timeout)
        wait_until(lambda: len({self._list(n) for n in self.nodes}) == 1, timeout * harness.slowness,
                   "all nodes show the same list")

    @staticmethod
    def _list(node):
        shown, after = [], ""
        client = node.client(5.0)
        while True:
            answer = client.request("GET", f"/v1/values?prefix=n/&consistency=local&limit=1000{after}")
            page = answer.json
            shown += [(v["name"], v["value"], v["index"]) for v in page["values"]]
            if "next" not in page:
                client.close()
                return tuple(shown)
            after = f"&after={page['next']}"

    def stop(self):
        ended, self.nodes = self.nodes, self.nodes + self.removed
        try:
            super().stop()
        finally:
            for node in self.nodes:
                node.remove_clock_memory()
                if node.disk is not None:
                    node.disk.unmount()
            self.nodes = ended
            self.network.end()
            shutil.rmtree(self.directory, ignore_errors=True)
