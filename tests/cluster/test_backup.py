"""Backups and what is made of them; a survivor that becomes a new cluster."""
import base64
import os
import re
import shutil
import socket
import struct
import subprocess
import time

import cluster as harness
from client import wait_until
from test_cli import content, refused, run

LEAP = 1_000_000_000_000


def crc32c(data):
    """Bit by bit, and not by the program's own."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
        table.append(crc)
    crc = 0xffffffff
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def take_backup(node, path, query=""):
    answer = node.client(60.0).request("GET", "/v1/cluster/backup" + query)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/octet-stream", answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    with open(path, "wb") as file:
        file.write(answer.body)
    return answer


def restore(file, node, *where, status=0):
    result = run("restore", file, "--data-dir", node.data_dir, "--id", str(node.id), *where, timeout=60.0)
    assert result.returncode == status, result
    return result


def recover(node, *arguments, status=0):
    result = run("recover", "--data-dir", node.data_dir, *arguments, timeout=60.0)
    assert result.returncode == status, result
    return result


def sound(node):
    result = run("verify", "--data-dir", node.data_dir, timeout=60.0)
    assert result.returncode == 0, result


def new_cluster(make_cluster, file, size):
    """A cluster of its own, every node restored from the file, running."""
    cluster = make_cluster(size=size, start=False)
    for node in cluster.nodes:
        result = restore(file, node, "--initial-cluster", cluster.initial_cluster)
        assert f"restored as node {node.id}" in result.stdout, result
        sound(node)
    return cluster.start()


def test_all_that_was_acknowledged_before_is_in_the_restored_cluster(make_cluster, name, directory):
    cluster = make_cluster()
    client = cluster.leader().client()
    kept = client.put(f"{name}/key", "once", headers={"Idempotency-Key": f"{name}-1"})
    assert kept.status == 201
    assert client.put(f"{name}/lease", "mine", ttl="20s").status == 201
    writers = harness.Writers(cluster, name)
    writers.wait_for(300)
    recorder = writers.recorder
    for node, path in ((cluster.followers()[0], "a"), (cluster.leader(), "b")):
        with recorder.lock:
            before = list(recorder.acknowledged)
        answer = take_backup(node, os.path.join(directory, path))
        assert int(answer.headers["Cairn-Index"]) >= max(index for _, _, index in before), answer.headers
        assert answer.headers["Cairn-Consistency"] == "linearizable"
        expected = base64.b64encode(struct.pack(">I", crc32c(answer.body))).decode()
        assert answer.headers["Repr-Digest"] == f"crc32c=:{expected}:", answer.headers
        assert re.fullmatch(r'attachment; filename="cairn-[0-9a-f]{16}-\d+\.backup"',
                            answer.headers["Content-Disposition"]), answer.headers
        writers.wait_for(100)
    index = int(answer.headers["Cairn-Index"])
    old_id = cluster.leader().status()["cluster_id"]
    writers.stop().check(cluster)
    highest = max(i for _, _, i in recorder.acknowledged)

    restored = new_cluster(make_cluster, os.path.join(directory, "b"), 3)
    assert restored.leader().status()["cluster_id"] != old_id
    for node in restored.nodes:
        client = node.client()
        for value_name, value, value_index in before:
            got = client.get(value_name, "?consistency=local")
            assert got.status == 200 and got.json["value"] == value and got.json["index"] == value_index, got
    client = restored.leader().client()
    # What the key did is known.
    again = client.put(f"{name}/key", "once", headers={"Idempotency-Key": f"{name}-1"})
    assert again.headers["Idempotency-Replayed"] == "true", again
    assert again.json["index"] == kept.json["index"], again
    # Time stood still meanwhile, and goes on; indexes are larger than any that the old cluster gave out.
    assert client.get(f"{name}/lease").status == 200
    written = client.put(f"{name}/after", "x")
    assert written.json["index"] > index + LEAP > highest, written
    wait_until(lambda: client.get(f"{name}/lease").status == 404, 30 * harness.slowness, "the lease expires")
    # They go on from what they have, also after a crash of all.
    for node in restored.nodes:
        node.kill()
    for node in restored.nodes:
        node.start()
    restored.wait_ready()
    assert restored.leader().client().get(f"{name}/after").json["index"] == written.json["index"]


test_all_that_was_acknowledged_before_is_in_the_restored_cluster.deadline_seconds = 120


def test_a_stream_of_the_old_cluster_hears_of_the_gap(make_cluster, name, directory):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    file = os.path.join(directory, "file")
    node.client().put(name, "in the backup")
    take_backup(node, file)
    stream = node.stream(f"/v1/watch/{name}")
    node.client().put(name, "later")
    assert [stream.next()["value"], stream.next()["value"]][1] == "later"
    cursor = stream.cursor
    node.kill()
    restored = new_cluster(make_cluster, file, 1)
    resumed = restored.nodes[0].stream(f"/v1/watch/{name}?cursor={cursor}")
    assert resumed.next()["type"] == "gap"
    assert resumed.next()["value"] == "in the backup"


def test_a_damaged_backup_is_refused_before_anything_is_written(make_cluster, name, directory):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    for i in range(20):
        node.client().put(f"{name}/{i}", "v" * 1000)
    file = os.path.join(directory, "file")
    whole = take_backup(node, file).body
    target = make_cluster(size=1, start=False).nodes[0]
    for label, damaged in (("cut", whole[:-1]), ("empty", b""), ("cut early", whole[:100]), ("longer", whole + b"x"),
                           *((f"flipped {at}", whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
                             for at in (3, 40, 200, len(whole) // 2, len(whole) - 20))):
        with open(file, "wb") as opened:
            opened.write(damaged)
        result = restore(file, target, status=1)
        assert len(result.stderr.splitlines()) == 1 and file in result.stderr and not result.stdout, (label, result)
        assert not os.path.exists(target.data_dir), label
    refused(run("restore", os.path.join(directory, "none"), "--data-dir", target.data_dir), "none")
    assert not os.path.exists(target.data_dir)
    with open(file, "wb") as opened:
        opened.write(whole)
    # Wrong usage, and a directory that is not new.
    refused(restore(file, target, "--initial-cluster", "7=127.0.0.1:1", status=2), "id 1")
    assert not os.path.exists(target.data_dir)
    before = content(os.path.join(node.data_dir, "wal"))
    node.terminate()
    refused(restore(file, node, status=2), node.data_dir)
    assert content(os.path.join(node.data_dir, "wal")).keys() == before.keys()
    restore(file, target)
    sound(target)


def test_restored_nodes_agree_and_differ_from_all_others(make_cluster, name, directory):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    node.client().put(name, "x")
    files = [os.path.join(directory, label) for label in "ab"]
    take_backup(node, files[0])
    node.client().put(name, "y")
    take_backup(node, files[1])

    def restored_id(file, members):
        target = make_cluster(size=1, start=False).nodes[0]
        text = restore(file, target, "--initial-cluster", members).stdout
        return re.search(r"restored as node 1 of cluster ([0-9a-f]{16})", text).group(1)

    one, other = "1=127.0.0.1:16001,2=127.0.0.1:16002", "1=127.0.0.1:16001,2=127.0.0.1:16003"
    ids = [restored_id(files[0], one), restored_id(files[1], one), restored_id(files[0], other)]
    assert len({*ids, node.status()["cluster_id"]}) == 4, ids
    assert restored_id(files[0], one) == ids[0]


def test_a_backup_without_a_majority(make_cluster, name, directory):
    """Only of what the node has itself, and only if that is asked for."""
    cluster = make_cluster()
    cluster.leader().client().put(name, "x")
    cluster.wait_caught_up()
    for node in cluster.nodes[1:]:
        node.kill()
    node = cluster.nodes[0]
    wait_until(lambda: node.status()["leader"] == 0, 15 * harness.slowness, "there is no leader")
    answer = node.client().request("GET", "/v1/cluster/backup?timeout=2s")
    assert answer.status in (503, 504), answer
    file = os.path.join(directory, "file")
    assert take_backup(node, file, "?consistency=local").headers["Cairn-Consistency"] == "local"
    restored = new_cluster(make_cluster, file, 1)
    assert restored.nodes[0].client().get(name).json["value"] == "x"


def test_requests_that_are_refused(cluster):
    client = cluster.nodes[0].client()
    for target, status in (("/v1/cluster/backup?limit=3", 400), ("/v1/cluster/backup/x", 404)):
        assert client.request("GET", target).status == status
    answer = client.request("POST", "/v1/cluster/backup")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, OPTIONS", answer
    # The connection can be used after a backup.
    first = client.request("GET", "/v1/cluster/backup")
    second = client.request("GET", "/v1/cluster/backup")
    assert first.status == second.status == 200
    assert client.request("GET", "/livez").status == 200


def fill(node, name, mebibytes):
    client = node.client()
    for i in range(mebibytes):
        assert client.request("PUT", f"/v1/raw/{name}/{i}", os.urandom(1 << 20)).status == 201


def begin_download(port):
    """A connection that has the head of a backup and takes no more than its buffers hold."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.settimeout(30.0 * harness.slowness)
    connection.connect(("127.0.0.1", port))
    connection.sendall(b"GET /v1/cluster/backup?timeout=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = connection.recv(4096)
    assert received.startswith(b"HTTP/1.1 200"), received
    return connection


def open_snapshots(node):
    folder = f"/proc/{node.process.pid}/fd"
    found = 0
    for number in os.listdir(folder):
        try:
            found += "/snapshot/snapshot-" in os.readlink(os.path.join(folder, number))
        except OSError:
            pass  # closed meanwhile
    return found


def test_a_large_state_is_streamed(make_cluster, name, directory):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    fill(node, name, 96)
    file = os.path.join(directory, "file")
    node.client(60.0).request("POST", "/v1/cluster/snapshot?timeout=60s")
    before = node.resident_bytes()
    peak = [0]
    finish = harness.in_background(lambda: subprocess.run(
        ["curl", "-sS", "--fail", "-o", file, f"http://127.0.0.1:{node.http_port}/v1/cluster/backup"],
        check=True, timeout=60 * harness.slowness))
    while not os.path.exists(file) or os.path.getsize(file) < 96 << 20:
        peak[0] = max(peak[0], node.resident_bytes())
        time.sleep(0.005)
    finish()
    print(f"    {os.path.getsize(file) >> 20} MiB; resident {before >> 20} MiB before, at most {peak[0] >> 20} MiB during")
    # A sanitizer keeps what was freed for a while.
    assert peak[0] - before < (24 << 20) * (8 if harness.slowness >= 4 else 1), (before, peak[0])
    restored = new_cluster(make_cluster, file, 1)
    for i in (0, 95):
        target = f"/v1/raw/{name}/{i}"
        assert restored.nodes[0].client().request("GET", target).body == node.client().request("GET", target).body


def test_aborted_downloads_free_everything_and_their_number_is_bounded(make_cluster, name):
    cluster = make_cluster(size=1, options=("--gateway-threads", "2"))
    node = cluster.nodes[0]
    fill(node, name, 16)
    first, second = begin_download(node.http_port), begin_download(node.http_port)
    assert open_snapshots(node) == 2
    client = node.client(30.0)
    answer = client.request("GET", "/v1/cluster/backup")
    assert (answer.status, answer.json["code"]) == (503, "OVERLOADED") and answer.headers["Retry-After"], answer
    # Writing goes on, and newer snapshots take the place of the one that is being sent.
    for i in range(4):
        assert client.put(f"{name}/more/{i}", "x").status == 201
        assert client.request("POST", "/v1/cluster/snapshot?timeout=30s").status == 200
    first.close()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    received = b""
    while not received.endswith(b"CAIRNEND"):
        part = second.recv(1 << 20)
        assert part, "the download ended early"
        received += part
    assert len(received) > 15 << 20
    second.close()
    wait_until(lambda: open_snapshots(node) == 0, 20 * harness.slowness, "the files are closed")
    assert client.request("GET", "/v1/cluster/backup").status == 200


def test_a_node_that_stops_ends_the_download(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    fill(node, name, 16)
    connection = begin_download(node.http_port)
    assert node.terminate(30.0) == 0
    total = 0
    try:
        while part := connection.recv(1 << 20):
            total += len(part)
    except ConnectionResetError:
        pass
    assert total < 16 << 20


def test_a_survivor_becomes_a_new_cluster(make_cluster, name):
    cluster = make_cluster()
    writers = harness.Writers(cluster, name, count=4)
    writers.wait_for(300)
    cluster.leader().client().request("POST", "/v1/cluster/snapshot")
    writers.wait_for(100)
    recorder = writers.stop()
    cluster.wait_caught_up()
    survivor, old, lost = cluster.nodes
    old_id = survivor.status()["cluster_id"]
    lost.kill()
    shutil.rmtree(lost.data_dir)
    old.kill()
    # Not while it runs, and not without being told to.
    refused(recover(survivor, "--yes", status=2), "another process")
    survivor.kill()
    before = content(survivor.data_dir)
    result = recover(survivor, status=2)
    assert "nothing was changed" in result.stderr and "Lost is" in result.stdout, result
    assert "Nodes 2, 3 can't come back" in result.stdout, result
    assert content(survivor.data_dir) == before, "something was written"
    result = recover(survivor, "--yes")
    assert "Done." in result.stdout, result
    sound(survivor)
    aside = os.path.join(survivor.data_dir, "before-recovery-1")
    assert sorted(os.listdir(aside)) == ["identity", "snapshot", "wal"]
    old_content = {path.replace(aside, survivor.data_dir): digest for path, digest in content(aside).items()}
    lock = os.path.join(survivor.data_dir, "lock")
    assert old_content == {path: digest for path, digest in before.items() if path != lock}

    survivor.start(told_the_cluster=False)
    cluster.wait_ready([survivor])
    status = survivor.status()
    assert status["cluster_id"] != old_id and [m["id"] for m in status["members"]] == [1], status
    recorder.check(Only(survivor))
    written = survivor.client().put(f"{name}/after", "x")
    assert written.json["index"] > LEAP + max(i for _, _, i in recorder.acknowledged), written

    # The old member is refused, whoever calls whom.
    old.start()
    wait_until(lambda: "another cluster" in old.log_tail(4000), 20 * harness.slowness, "the old member is told")
    assert survivor.status()["leader"] == 1 and len(survivor.status()["members"]) == 1
    assert not old.ready()
    old.kill()
    answer = survivor.client().request("POST", "/v1/cluster/members", {"id": 2, "raft": f"127.0.0.1:{old.raft_port}"})
    assert answer.status == 409, answer

    # It grows again, and outlives what it was.
    for new in (4, 5):
        cluster.join(new)
    wait_until(lambda: {m["id"]: m["role"] for m in survivor.status()["members"]} ==
               {1: "voter", 4: "voter", 5: "voter"}, 30 * harness.slowness, "two voters have joined")
    survivor.kill()
    rest = Only(cluster.node(4), cluster.node(5))
    recorder.check(rest)
    assert rest.nodes[0].client().put(f"{name}/last", "x").json["index"] > written.json["index"]


test_a_survivor_becomes_a_new_cluster.deadline_seconds = 120


class Only:
    """Some nodes of a cluster, for Recorder.check()."""

    def __init__(self, *nodes):
        self.nodes = nodes

    def wait_caught_up(self):
        for node in self.nodes:
            wait_until(node.ready, 20 * harness.slowness, f"node {node.id} is ready")
        goal = max(node.applied() for node in self.nodes)
        for node in self.nodes:
            wait_until(lambda n=node: n.applied() >= goal, 20 * harness.slowness, f"node {node.id} has applied {goal}")


def test_recovering_what_can_not_be_recovered(make_cluster, name, directory):
    refused(run("recover", "--data-dir", os.path.join(directory, "none")), "none")
    refused(run("recover", "--data-dir", directory), "not a data directory")
    assert os.listdir(directory) == []
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    for i in range(20):
        node.client().put(f"{name}/{i}", "x" * 500)
    node.kill()
    log = os.path.join(node.data_dir, "wal")
    path = os.path.join(log, min(entry for entry in os.listdir(log) if entry.startswith("segment-")))
    with open(path, "r+b") as file:
        file.seek(4096 + 800)
        byte = file.read(1)[0]
        file.seek(4096 + 800)
        file.write(bytes([byte ^ 1]))
    before = content(node.data_dir)
    result = recover(node, "--yes", status=1)
    assert "damaged: " in result.stdout and path in result.stdout, result
    assert content(node.data_dir) == before


def test_recovering_twice(make_cluster, name):
    """Also with another address; each time the indexes leap, and nothing is lost."""
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    index = node.client().put(name, "0").json["index"]
    for round_number in (1, 2):
        node.kill()
        node.raft_port = harness.free_port()
        recover(node, "--yes", "--raft", f"127.0.0.1:{node.raft_port}")
        node.start(told_the_cluster=False)
        cluster.wait_ready()
        assert node.status()["members"][0]["raft"].endswith(f":{node.raft_port}"), node.status()
        client = node.client()
        assert client.get(name).json == {"name": name, "value": str(round_number - 1), "index": index}
        again = client.put(name, str(round_number)).json["index"]
        assert again > index + LEAP
        index = again
        assert os.path.isdir(os.path.join(node.data_dir, f"before-recovery-{round_number}"))
