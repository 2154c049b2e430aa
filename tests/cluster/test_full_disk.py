"""A leader whose disk is full: a small file system of its own, really full."""
import ctypes
import os
import subprocess

import cluster as harness
from client import wait_until

CLONE_NEWNS = 0x00020000
MEBIBYTE = 1 << 20


class SmallDisk:
    """A tmpfs that only this process and its children see, so that nothing is left whatever happens."""

    def __init__(self, path, mebibytes):
        self.path = path
        os.makedirs(path, mode=0o700)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) != 0:
            raise PermissionError(f"unshare: {os.strerror(ctypes.get_errno())}")
        for command in (["mount", "--make-rprivate", "/"],
                        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", path]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PermissionError(f"{' '.join(command)}: {done.stderr.strip()}")
        self.filler = os.path.join(path, "something-else")

    def fill(self):
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * MEBIBYTE)
            except OSError:
                pass
        status = os.statvfs(self.path)
        assert status.f_bavail * status.f_frsize < MEBIBYTE, status

    def empty(self):
        os.unlink(self.filler)

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=True)


def test_scenario_7_a_full_disk_refuses_writes_and_nothing_else(make_cluster, name):
    cluster = make_cluster(size=1, start=False)
    node = cluster.nodes[0]
    try:
        disk = SmallDisk(node.data_dir, 300)
    except PermissionError as error:
        print(f"    SKIPPED, nothing was tested: no tmpfs can be mounted here ({error})")
        return
    try:
        check_full_disk(cluster, node, disk, name)
    finally:
        if node.running:
            node.kill()
        disk.unmount()


def check_full_disk(cluster, node, disk, name):
    cluster.start()
    client = node.client()
    for i in range(20):
        assert client.put(f"{name}/{i}", "x").status == 201
    wait_until(lambda: any(f.startswith("reserve-") for f in os.listdir(os.path.join(node.data_dir, "wal")))
               and free_bytes(disk) < 172 * MEBIBYTE, 20 * harness.slowness, "the next segment is made ahead")
    disk.fill()
    # What is there is used first; the first refusal comes when the last segment is begun, not when it is used up.
    big = "v" * (MEBIBYTE - 100)
    written = 0
    while True:
        answer = client.put(f"{name}/big", big)
        if answer.status == 507:
            break
        assert answer.status in (200, 201), answer
        written += 1
        assert written < 110, "no refusal although the segments must be full by now"
    assert written > 30, f"refused after {written} MiB"
    assert answer.json["code"] == "DISK_FULL" and answer.json["outcome"] == "not_applied", answer
    assert int(answer.headers["Retry-After"]) > 0
    check_degraded(node, name)

    # The same after a restart.
    node.kill()
    node.start()
    wait_until(lambda: answers_507(node, name), 15 * harness.slowness, "it leads again and still refuses")
    check_degraded(node, name + "/0")

    disk.empty()
    wait_until(lambda: node.client().put(f"{name}/big", big).status == 200, 10 * harness.slowness, "writes go on")
    cluster.wait_ready()
    for i in range(20, 40):
        assert node.client().put(f"{name}/{i}", "x").status == 201
    log = node.log_tail(1000)
    assert log.count("the disk is full") == 2, "not once, and once after the restart"
    assert "there is room for the next segment again" in log


def answers_507(node, name):
    return node.client().put(f"{name}/big", "y", query="?timeout=1s").status == 507


def free_bytes(disk):
    status = os.statvfs(disk.path)
    return status.f_bavail * status.f_frsize


def check_degraded(node, prefix):
    client = node.client()
    for i in range(5):
        answer = client.put(f"{prefix}/new{i}", "x", query="?timeout=2s")
        assert answer.status == 507, answer
        assert client.get(f"{prefix}/new{i}").status == 404
    assert client.request("PUT", "/v1/raw/new", b"x").status == 507
    assert client.post("new", {"set": {"value": "eA=="}}).status == 507
    assert client.request("GET", "/livez").status == 200
    ready = client.request("GET", "/readyz")
    assert ready.status == 503 and ready.json["detail"] == "the disk is full", ready
    values = client.request("GET", "/v1/values?limit=3&keys_only=true").json["values"]
    victim = [v["name"] for v in values if not v["name"].endswith("big")][0]
    assert client.get(victim).status == 200
    stream = node.stream(f"/v1/events/{victim}")
    assert stream.receive()["type"] == "subscribed"
    assert client.delete(victim).status == 200
    assert stream.receive()["type"] == "deleted"
    assert client.get(victim).status == 404
