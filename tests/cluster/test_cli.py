"""The program's flags, environment and settings file; what it refuses to start with."""
import hashlib
import os
import signal
import subprocess
import time

import cluster as harness
from client import Client, wait_until


def run(*arguments, environment=None, timeout=10.0):
    return subprocess.run([harness.binary, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env=harness.clean_environment(**(environment or {})),
                          timeout=timeout * harness.slowness)


def refused(result, *mentioned):
    """One clear line on stderr, exit status 2."""
    assert result.returncode == 2, result
    assert result.stdout == "", result
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0], result
    for word in mentioned:
        assert str(word) in lines[0], result


def content(directory):
    """Every file below the directory with a digest of its bytes."""
    found = {}
    for folder, _, files in os.walk(directory):
        for file in files:
            path = os.path.join(folder, file)
            with open(path, "rb") as opened:
                found[path] = hashlib.sha256(opened.read()).hexdigest()
    return found


class Running:
    """One process started by hand."""

    def __init__(self, *arguments, environment=None, cwd=None):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [harness.binary, "serve", *arguments], stdin=subprocess.DEVNULL, cwd=cwd,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=harness.clean_environment(**(environment or {})))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait_ready(self, port):
        def ready():
            assert self.process.poll() is None, f"ended with {self.process.returncode}"
            return Client(port, 2.0).request("GET", "/readyz").status == 200
        wait_until(ready, 10 * harness.slowness, f"ready on port {port}")

    def stop(self, with_signal=signal.SIGTERM):
        self.process.send_signal(with_signal)
        return self.process.wait(15 * harness.slowness)


def address(port):
    return f"127.0.0.1:{port}"


def test_version_and_help():
    version = run("--version")
    assert version.returncode == 0 and version.stdout.startswith("cairn ") and not version.stderr, version
    for arguments in (("--help",), ("serve", "--help")):
        result = run(*arguments)
        assert result.returncode == 0 and "serve" in result.stdout and not result.stderr, result
    text = run("serve", "--help").stdout
    for flag in ("id", "data-dir", "http", "raft", "initial-cluster", "heartbeat-ms", "election-timeout-ms",
                 "log-level", "lease-reads", "unsafe-no-fsync", "config"):
        assert f"--{flag}" in text, flag
        assert "CAIRN_" + flag.upper().replace("-", "_") in text, flag


def test_what_makes_no_sense_is_refused(directory):
    data = os.path.join(directory, "data")
    good = ("--data-dir", data, "--http", address(harness.free_port()), "--raft", address(harness.free_port()))
    refused(run("serve", *good, "--no-such-flag"), "--no-such-flag")
    refused(run("serve", *good, "stray"), "stray")
    refused(run("swerve"), "swerve")
    refused(run("serve", *good, "--id"), "id")
    for bad in ("", "nowhere", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":", "a b:80", "::1:80"):
        refused(run("serve", "--data-dir", data, "--http", bad), "http")
        refused(run("serve", "--data-dir", data, "--raft", bad), "raft")
    for flag, bad in (("--id", "0"), ("--id", "x"), ("--id", "-1"), ("--heartbeat-ms", "0"), ("--heartbeat-ms", "fast"),
                      ("--election-timeout-ms", "60"), ("--log-level", "loud"), ("--max-value-bytes", "0")):
        refused(run("serve", *good, flag, bad), flag.lstrip("-"))
    for bad in ("nonsense", "1=", "=127.0.0.1:1", "1=127.0.0.1:1,1=127.0.0.1:2", "1=127.0.0.1:1,2=127.0.0.1:1",
                "0=127.0.0.1:1", "x=127.0.0.1:1", "1=127.0.0.1:1,,2=127.0.0.1:2"):
        refused(run("serve", *good, "--initial-cluster", bad), "initial-cluster")
    refused(run("serve", *good, "--id", "4", "--initial-cluster", "1=127.0.0.1:1,2=127.0.0.1:2"), "4")
    assert os.listdir(directory) == [], "something was written"


def test_the_environment_is_checked_like_flags(directory):
    data = os.path.join(directory, "data")
    refused(run("serve", "--data-dir", data, environment={"CAIRN_HTTP": "nowhere"}), "CAIRN_HTTP")
    refused(run("serve", "--data-dir", data, environment={"CAIRN_ID": "x"}), "CAIRN_ID")
    assert os.listdir(directory) == [], "something was written"


def test_the_settings_file_is_checked(directory):
    path = os.path.join(directory, "cairn.toml")
    for text, word in (("no-such-key = 1\n", "no-such-key"), ("id = \"x\"\n", "id"), ("http = 7\n", "http"),
                       ("id 1\n", "line 1"), ("id = 1\nid = 2\n", "id"), ("\x00", "line 1")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        refused(run("serve", "--config", path), word)
    refused(run("serve", "--config", os.path.join(directory, "none.toml")), "none.toml")
    assert os.listdir(directory) == ["cairn.toml"], "something was written"


def test_flag_beats_environment_beats_file(directory):
    ports = {kind: harness.free_port() for kind in ("flag", "environment", "file")}
    path = os.path.join(directory, "cairn.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# where clients connect\nhttp = \"{address(ports['file'])}\"\n"
                   f"raft = \"{address(harness.free_port())}\"\ndata-dir = \"{directory}/data\"\nid = 7\n")
    environment = {"CAIRN_HTTP": address(ports["environment"])}
    with Running("--config", path) as node:
        node.wait_ready(ports["file"])
        status = Client(ports["file"]).request("GET", "/v1/cluster").json
        assert status["node"] == 7, status
        assert node.stop() == 0
    with Running(environment={"CAIRN_CONFIG": path, **environment}) as node:
        node.wait_ready(ports["environment"])
        assert node.stop() == 0
    with Running("--config", path, "--http", address(ports["flag"]), environment=environment) as node:
        node.wait_ready(ports["flag"])
        assert node.stop() == 0


def test_one_node_needs_no_cluster_and_stops_cleanly(directory):
    port = harness.free_port()
    flags = ("--http", address(port), "--raft", address(harness.free_port()))
    for turn, with_signal in enumerate((signal.SIGTERM, signal.SIGINT)):
        with Running(*flags, cwd=directory) as node:
            node.wait_ready(port)
            client = Client(port)
            assert client.put(str(turn), "kept").status == 201
            client.put("last", str(turn))
            assert node.stop(with_signal) == 0
    assert os.path.isdir(os.path.join(directory, "cairn-data"))
    with Running(*flags, cwd=directory) as node:
        node.wait_ready(port)
        assert [Client(port).get(n).json["value"] for n in ("0", "1", "last")] == ["kept", "kept", "1"]


def start_and_stop_cluster(make_cluster, name):
    cluster = make_cluster()
    assert cluster.leader().client().put(name, "x").status == 201
    for node in cluster.nodes:
        node.terminate()
    return cluster


def restart_flags(cluster, node):
    return ["serve", "--data-dir", node.data_dir, "--http", address(node.http_port),
            "--raft", address(node.raft_port)]


def test_a_data_directory_of_another_cluster_is_refused(make_cluster, name):
    cluster = start_and_stop_cluster(make_cluster, name)
    node = cluster.nodes[0]
    before = content(node.data_dir)
    other = ",".join(f"{i}={address(harness.free_port())}" for i in (1, 2, 3))
    refused(run(*restart_flags(cluster, node), "--id", "1", "--initial-cluster", other), node.data_dir)
    assert content(node.data_dir) == before, "something was written"


def test_a_data_directory_of_another_node_is_refused(make_cluster, name):
    cluster = start_and_stop_cluster(make_cluster, name)
    node = cluster.nodes[0]
    before = content(node.data_dir)
    refused(run(*restart_flags(cluster, node), "--id", "2", "--initial-cluster", cluster.initial_cluster),
            node.data_dir)
    assert content(node.data_dir) == before, "something was written"


def test_the_data_directory_wins_after_the_first_start(make_cluster, name):
    """Started again with a list that has grown, or with none: the members stay those of the first start."""
    cluster = start_and_stop_cluster(make_cluster, name)
    founders = cluster.initial_cluster
    cluster.initial_cluster += f",4={address(harness.free_port())}"
    cluster.start()
    assert [m["id"] for m in cluster.leader().status()["members"]] == [1, 2, 3]
    assert cluster.leader().client().get(name).json["value"] == "x"
    for node in cluster.nodes:
        node.terminate()
    cluster.initial_cluster = founders
    for node in cluster.nodes:
        node.start(told_the_cluster=False)
    cluster.wait_ready()
    assert cluster.leader().client().get(name).json["value"] == "x"


def test_a_data_directory_in_use_is_refused(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    node.client().put(name, "x")
    second = run("serve", "--data-dir", node.data_dir, "--http", address(harness.free_port()),
                 "--raft", address(harness.free_port()))
    assert second.returncode not in (0, None) and second.stderr, second
    assert node.client().put(name, "y").status == 200


def test_a_port_in_use_is_said(make_cluster, directory):
    node = make_cluster(size=1).nodes[0]
    for flag, taken in (("--http", node.http_port), ("--raft", node.raft_port)):
        flags = {"--http": address(harness.free_port()), "--raft": address(harness.free_port())}
        flags[flag] = address(taken)
        result = run("serve", "--data-dir", os.path.join(directory, "data"),
                     *(word for pair in flags.items() for word in pair))
        assert result.returncode == 1, result
        assert result.stderr.count("cairn: ") == 1 and str(taken) in result.stderr, result
        assert os.listdir(directory) == [], "something was left"


def test_an_address_that_is_not_here_is_refused(directory):
    """Unknown, or another machine's: a first start that is told so pins nothing, and a corrected one founds its cluster."""
    data = os.path.join(directory, "data")
    good = {"--http": address(harness.free_port()), "--raft": address(harness.free_port())}
    for elsewhere in ("no-such-host.invalid:7000", "192.0.2.1:7000", "[2001:db8::1]:7000"):
        for flag in good:
            flags = {**good, flag: elsewhere}
            refused(run("serve", "--data-dir", data, *(word for pair in flags.items() for word in pair)), elsewhere)
        refused(run("serve", "--data-dir", data, "--http", good["--http"],
                    "--initial-cluster", f"1={elsewhere},2={address(harness.free_port())}"), elsewhere)
        assert os.listdir(directory) == [], "something was left"
    port = int(good["--http"].rpartition(":")[2])
    with Running("--data-dir", data, "--http", good["--http"], "--raft", good["--raft"]) as node:
        node.wait_ready(port)
        assert node.stop() == 0
    before = content(data)
    refused(run("serve", "--data-dir", data, "--http", "192.0.2.1:7000", "--raft", good["--raft"]), "192.0.2.1:7000")
    assert content(data) == before, "something was written"


def test_http_and_raft_at_one_place_by_two_names(directory):
    port = harness.free_port()
    result = run("serve", "--data-dir", os.path.join(directory, "data"), "--http", address(port), "--raft", f"localhost:{port}")
    assert result.returncode == 1 and str(port) in result.stderr, result
    assert os.listdir(directory) == [], "something was left"


def test_peers_whose_names_are_unknown_are_waited_for(directory):
    port = harness.free_port()
    peers = "2=no-such-host.invalid:7000,3=neither-this.invalid:7000"
    with Running("--data-dir", os.path.join(directory, "data"), "--http", address(port),
                 "--initial-cluster", f"1={address(harness.free_port())},{peers}") as node:
        def lives():
            assert node.process.poll() is None, f"ended with {node.process.returncode}"
            return Client(port, 2.0).request("GET", "/livez").status == 200
        wait_until(lives, 10 * harness.slowness, "answers")
        assert node.stop() == 0


def test_stopping_does_not_wait_for_idle_clients(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    client = node.client()
    client.put(name, "x")  # keeps its connection
    streams = [node.stream(f"/v1/watch/{name}") for _ in range(3)]
    for stream in streams:
        stream.next()
    began = time.monotonic()
    assert node.terminate() == 0
    assert time.monotonic() - began < 8 * harness.slowness
