"""Snapshots: the log is trimmed, a member that is far behind gets one, restarts begin from one."""
import os
import time

import cluster as harness
from client import wait_until

SMALL = ("--snapshot-entries", "500")


def snapshots_of(node):
    directory = os.path.join(node.data_dir, "snapshot")
    return sorted(name for name in os.listdir(directory) if name.startswith("snapshot-"))


def fill(cluster, name, count, start=0):
    client = cluster.leader().client()
    for i in range(start, start + count):
        answer = client.put(f"{name}/{i % 300}", f"value {i}")
        assert answer.status in (200, 201), answer


def check_values(cluster, name, last):
    for node in cluster.nodes:
        client = node.client()
        for i in range(last - 300, last):
            got = client.get(f"{name}/{i % 300}")
            assert got.status == 200 and got.json["value"] == f"value {i}", (node.id, i, got)


def test_a_member_that_is_far_behind_gets_a_snapshot(make_cluster, name):
    cluster = make_cluster(options=SMALL)
    fill(cluster, name, 100)
    behind = cluster.followers()[0]
    behind.kill()
    fill(cluster, name, 2000, start=100)
    assert snapshots_of(cluster.leader()), "the leader took none"
    behind.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    assert "installed the leader's snapshot" in behind.log_tail(1000)
    check_values(cluster, name, 2100)
    # And it goes on from there like any other.
    fill(cluster, name, 50, start=2100)
    cluster.wait_caught_up()
    check_values(cluster, name, 2150)


def test_all_restart_from_snapshots(make_cluster, name):
    cluster = make_cluster(options=SMALL)
    fill(cluster, name, 1700)
    client = cluster.leader().client()
    kept = client.put(f"{name}/lease", "mine", ttl="3s")
    asked = time.monotonic()
    assert client.request("POST", "/v1/cluster/snapshot").status == 200
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    check_values(cluster, name, 1700)
    # Deadlines are in the snapshot: not gone before its time, and gone some time after.
    got = cluster.nodes[0].client().get(f"{name}/lease")
    if time.monotonic() - asked < 2.5:
        assert got.status == 200 and got.json["index"] == kept.json["index"], got
    wait_until(lambda: cluster.nodes[0].client().get(f"{name}/lease").status == 404, 10 * harness.slowness, "the lease expires")
    assert time.monotonic() - asked >= 3.0
    # Indexes never step back.
    again = cluster.leader().client().put(f"{name}/0", "later")
    assert again.json["index"] > kept.json["index"]


def test_a_stream_over_an_installed_snapshot_tells_of_the_gap(make_cluster, name):
    cluster = make_cluster(options=SMALL)
    client = cluster.leader().client()
    client.put(name, "first")
    behind = cluster.followers()[0]
    stream = behind.stream(f"/v1/watch/{name}")
    first = stream.next()
    assert first["value"] == "first", first
    cursor = first["cursor"]
    behind.kill()
    stream.close()
    fill(cluster, name + "-other", 2000)
    cluster.leader().client().put(name, "last")
    behind.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    assert "installed the leader's snapshot" in behind.log_tail(1000)
    resumed = behind.stream(f"/v1/watch/{name}?cursor={cursor}")
    assert resumed.next()["type"] == "gap"
    present = resumed.next()
    assert present["type"] == "value" and present["value"] == "last", present


def test_writing_goes_on_while_members_come_back_by_snapshot(make_cluster, name):
    cluster = make_cluster(options=("--snapshot-entries", "200"))
    writers = harness.Writers(cluster, name)
    for round in range(3):
        behind = cluster.followers()[round % 2]
        behind.kill()
        writers.wait_for(1200)
        behind.start()
        cluster.wait_ready()
    recorder = writers.stop()
    cluster.wait_caught_up()
    recorder.check(cluster)


test_writing_goes_on_while_members_come_back_by_snapshot.deadline_seconds = 120


def test_large_values_dont_wait_for_many_entries(make_cluster, name):
    """The log is trimmed by its bytes too, so what is overwritten doesn't pile up in memory."""
    cluster = make_cluster()
    client = cluster.leader().client()
    for i in range(160):
        answer = client.request("PUT", f"/v1/raw/{name}", bytes([i]) * 1_048_576)
        assert answer.status in (200, 201), answer
    wait_until(lambda: snapshots_of(cluster.leader()), 20 * harness.slowness, "a snapshot is taken")
    assert client.request("GET", f"/v1/raw/{name}").body == bytes([159]) * 1_048_576
