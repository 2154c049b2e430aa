"""cairn verify and cairn dump on the directories that real nodes leave."""
import json
import os
import stat

import cluster as harness
from test_cli import content, refused, run


def stopped_node(make_cluster, name, snapshot=True, size=3):
    """Nodes with some values and a snapshot each, all stopped; the first one."""
    cluster = make_cluster(size)
    leader = cluster.leader()
    client = leader.client()
    for i in range(20):
        assert client.put(f"{name}/{i}", f"value {i}", ttl="1h" if i % 2 else None).status == 201
    cluster.wait_caught_up()
    if snapshot:
        for node in cluster.nodes:
            assert node.client().request("POST", "/v1/cluster/snapshot").status == 200
    for i in range(20, 30):
        assert client.put(f"{name}/{i}", f"value {i}").status == 201
    cluster.wait_caught_up()
    for node in cluster.nodes:
        node.terminate()
    return cluster.nodes[0], cluster


def verify(directory, *more):
    """Exit status and report; makes sure that nothing was touched and both forms agree."""
    before = content(directory)
    text = run("verify", "--data-dir", directory, *more)
    as_json = run("verify", "--json", "--data-dir", directory)
    assert content(directory) == before, "something was written"
    assert text.returncode == as_json.returncode, (text, as_json)
    assert not text.stderr and not as_json.stderr, (text, as_json)
    report = json.loads(as_json.stdout)
    assert report["sound"] == (text.returncode == 0), report
    return text.returncode, text.stdout, report


def dump(directory, *arguments, status=0):
    before = content(directory)
    result = run("dump", "--data-dir", directory, "--json", *arguments)
    assert result.returncode == status, result
    assert content(directory) == before, "something was written"
    return [json.loads(line) for line in result.stdout.splitlines()]


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def test_a_stopped_cluster_is_sound_and_its_nodes_agree(make_cluster, name):
    _, cluster = stopped_node(make_cluster, name)
    digests = set()
    for node in cluster.nodes:
        status, text, report = verify(node.data_dir)
        assert status == 0, text
        assert report["node_id"] == node.id and report["values"] == 30, report
        assert len(report["snapshots"]) == 1 and report["snapshot_index"] > 20, report
        assert report["last_index"] > report["snapshot_index"], report
        assert report["damage"] == [], report
        assert "\nsound: cluster " + report["cluster_id"] in text, text
        digests.add((report["snapshots"][0]["index"], report["snapshots"][0]["digest"]))
    # What is in a snapshot is committed: at the same index the same state.
    assert len(digests) == len({index for index, _ in digests}), digests
    # And a node still starts from what was looked at.
    cluster.start()
    assert cluster.leader().client().get(f"{name}/29").json["value"] == "value 29"


def test_a_flipped_byte_is_found_and_named(make_cluster, name):
    node, _ = stopped_node(make_cluster, name)
    entries = [r for r in dump(node.data_dir) if r["record"] == "entry"]
    _, _, report = verify(node.data_dir)
    segment = report["segments"][-1]["file"]
    flip(segment, entries[5]["offset"] + 60)
    status, text, report = verify(node.data_dir)
    assert status == 1 and len(report["damage"]) == 1, report
    assert report["damage"][0]["file"] == segment and report["damage"][0]["offset"] == entries[5]["offset"], report
    assert f"damaged: {segment}: " in text, text
    # What is before it is still shown.
    shown = dump(node.data_dir, status=1)
    assert [r for r in shown if r["record"] == "entry"] == entries[:5], shown
    assert shown[-1]["record"] == "damaged" and shown[-1]["file"] == segment, shown
    flip(segment, entries[5]["offset"] + 60)

    snapshot = report["snapshots"][0]["file"]
    flip(snapshot, 300)
    status, text, report = verify(node.data_dir)
    assert status == 1 and [d["file"] for d in report["damage"]] == [snapshot], report
    assert snapshot in text, text
    flip(snapshot, 300)

    identity = os.path.join(node.data_dir, "identity")
    flip(identity, 20)
    status, text, report = verify(node.data_dir)
    assert status == 1 and [d["file"] for d in report["damage"]] == [identity], report
    flip(identity, 20)
    assert verify(node.data_dir)[0] == 0


def test_a_torn_tail_is_sound(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    for i in range(5):
        assert node.client().put(f"{name}/{i}", f"value {i}").status == 201
    node.kill()
    _, _, before = verify(node.data_dir)
    segment = before["segments"][-1]
    # The end of the last append never got to the disk; what lay there before is still there.
    with open(segment["file"], "r+b") as file:
        file.seek(segment["end_offset"] - 8)
        file.write(b"\xaa" * 8)
    status, text, report = verify(node.data_dir)
    assert status == 0, text
    assert "torn tail" in text, text
    assert report["segments"][-1]["tail"] == "torn", report
    assert report["last_index"] == before["last_index"] - 1, report
    assert "behind_it" in dump(node.data_dir)[-1]
    cluster.start()  # as it says
    assert node.client().get(f"{name}/3").json["value"] == "value 3"


def test_a_running_node_is_refused(make_cluster, name):
    node = make_cluster(size=1).nodes[0]
    assert node.client().put(name, "x").status == 201
    for command in ("verify", "dump"):
        refused(run(command, "--data-dir", node.data_dir), node.data_dir, "running")
    node.kill()
    assert run("verify", "--data-dir", node.data_dir).returncode == 0


def test_what_is_no_data_directory_is_refused(directory):
    for command in ("verify", "dump"):
        refused(run(command, "--data-dir", directory), directory)
        refused(run(command, "--data-dir", os.path.join(directory, "none")), "none")
        refused(run(command, "--no-such-flag"), "--no-such-flag", f"cairn {command} --help")
        refused(run(command, environment={"CAIRN_DATA_DIR": "/no/such"}), "/no/such")
    assert os.listdir(directory) == [], "something was written"


def test_dump_shows_what_was_written(make_cluster, name):
    node = make_cluster(size=1).nodes[0]
    client = node.client()
    first = client.put(f"{name}/ä", "a secret", ttl="90s").json["index"]
    client.request("PUT", f"/v1/raw/{name}/bytes", b"\xff\x00\xfe")
    client.request("DELETE", f"/v1/values/{name}/bytes")
    assert client.request("POST", "/v1/cluster/snapshot").status == 200
    node.terminate()
    records = dump(node.data_dir)
    named = [r for r in records if r.get("name", "").startswith(name)]
    assert [(r["does"], r["name"], r.get("value_bytes")) for r in named] == [
        ("set", f"{name}/ä", 8), ("set", f"{name}/bytes", 3), ("delete", f"{name}/bytes", None)], named
    assert named[0]["index"] == first and named[0]["ttl"] == "1m30s" and named[0]["term"] >= 1, named
    assert any(r["record"] == "hard_state" and r["voted_for"] == 1 for r in records), records
    assert records[-1]["record"] == "end of the log", records
    # Values only when asked for.
    plain = run("dump", "--data-dir", node.data_dir).stdout
    assert name in plain and "secret" not in plain and "secret" not in json.dumps(records)
    shown = [r for r in dump(node.data_dir, "--values") if r.get("name", "").startswith(name)]
    assert shown[0]["value"] == "a secret" and shown[1]["value_base64"] == "/wD+", shown
    only = dump(node.data_dir, "--from", str(first), "--to", str(first))
    assert [r["index"] for r in only if r["record"] == "entry"] == [first], only
    values = dump(node.data_dir, "--snapshot", "--values")
    assert values[0]["record"] == "snapshot" and values[0]["configuration"]["voters"] == [1], values
    assert [(v["name"], v["index"], v["value"]) for v in values[1:]] == [(f"{name}/ä", first, "a secret")], values
    assert values[1]["deadline_ns"] > 0


def test_a_directory_that_nothing_may_be_written_to(make_cluster, name):
    node, _ = stopped_node(make_cluster, name, snapshot=False)
    paths = [node.data_dir] + [os.path.join(folder, entry) for folder, folders, files in os.walk(node.data_dir)
                               for entry in folders + files]
    kept = {path: os.stat(path).st_mode for path in paths}
    for path in paths:
        os.chmod(path, stat.S_IMODE(kept[path]) & ~0o222)
    try:
        assert verify(node.data_dir)[0] == 0
        # Also without the lock file, as a backup may be.
        os.chmod(node.data_dir, kept[node.data_dir])
        os.remove(os.path.join(node.data_dir, "lock"))
        os.chmod(node.data_dir, stat.S_IMODE(kept[node.data_dir]) & ~0o222)
        assert verify(node.data_dir)[0] == 0
    finally:
        os.chmod(node.data_dir, kept[node.data_dir])
        for path in paths[1:]:
            if os.path.exists(path):
                os.chmod(path, kept[path])


def test_damage_that_a_node_would_refuse_is_damage(make_cluster, name):
    """The two agree: what verify calls damaged doesn't start, where nobody else has it."""
    node, _ = stopped_node(make_cluster, name, size=1)
    _, _, report = verify(node.data_dir)
    flip(report["segments"][0]["file"], 4096 + 20)
    status, text, report = verify(node.data_dir)
    assert status == 1, text
    started = run("serve", "--data-dir", node.data_dir, "--id", str(node.id),
                  "--http", f"127.0.0.1:{harness.free_port()}", "--raft", f"127.0.0.1:{harness.free_port()}")
    assert started.returncode == 1, started
    assert report["damage"][0]["what"] in started.stderr, (started, report)
