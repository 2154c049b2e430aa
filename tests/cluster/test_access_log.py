"""The access log, request ids and traces."""
import json
import os
import signal

import cluster as harness
import metrics
from client import quoted, raw_exchange, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except OSError:
        return []


def logging_cluster(make_cluster, directory):
    """Three nodes, each with an access log."""
    cluster = make_cluster(options=("--log-format", "json"), start=False)
    for node in cluster.nodes:
        node.access_log = os.path.join(directory, f"access-{node.id}")
        node.start("--access-log", node.access_log)
    cluster.wait_ready()
    return cluster


def wait_for_line(node, request_id, **fields):
    def found():
        lines = [l for l in lines_of(node.access_log) if l["request_id"] == request_id
                 and all(l[k] == v for k, v in fields.items())]
        return lines and lines[0]

    return wait_until(found, 10, f"the line of {request_id} on node {node.id}")


def test_lines_ids_and_traces(make_cluster, directory, name):
    cluster = logging_cluster(make_cluster, directory)
    follower, leader = cluster.followers()[0], cluster.leader()
    client = follower.client()
    answer = client.put(name, "x", headers={"X-Request-Id": "mine-1", "traceparent": TRACEPARENT})
    assert answer.headers["x-request-id"] == "mine-1", answer.headers
    line = wait_for_line(follower, "mine-1")
    assert line["trace_id"] == TRACE and line["method"] == "PUT" and line["status"] == 201, line
    assert line["route"] == "/v1/values/{name}" and line["target"] == f"/v1/values/{quoted(name)}", line
    assert line["bytes"] == len(answer.body) and line["index"] == answer.json["index"], line
    assert line["node"] == follower.id and line["remote"].startswith("127.0.0.1:") and line["duration_ms"] > 0, line
    passed_on = wait_for_line(leader, "mine-1", method="FORWARD")
    assert passed_on["trace_id"] == TRACE and passed_on["remote"] == f"node {follower.id}", passed_on
    assert passed_on["index"] == line["index"] and passed_on["duration_ms"] <= line["duration_ms"] + 1, passed_on
    # One that we make, and ids and traces that count as none.
    answer = client.get(name, headers={"X-Request-Id": "not one", "traceparent": "00-" + "0" * 32 + "-1-01"})
    made = answer.headers["x-request-id"]
    assert made != "not one" and len(made) == 24, made
    assert "trace_id" not in wait_for_line(follower, made)
    # What could not be understood has a line, too, without what was sent.
    raw_exchange(follower.http_port, b"GET /secret\x01 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: any(l["status"] == 400 and l["target"] == "" for l in lines_of(follower.access_log)), 10, "a line")
    stream = follower.stream(f"/v1/watch/{name}")
    stream.next()
    wait_until(lambda: any(l["status"] == 101 for l in lines_of(follower.access_log)), 10, "the stream's line")
    stream.close()


def test_rotation_and_metrics(make_cluster, directory, name):
    cluster = logging_cluster(make_cluster, directory)
    node = cluster.nodes[0]
    client = node.client()
    client.put(name, "x", headers={"X-Request-Id": "before"})
    wait_for_line(node, "before")
    os.rename(node.access_log, node.access_log + ".1")
    node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(node.access_log), 10, "a new file")
    client.put(name, "y", headers={"X-Request-Id": "after"})
    wait_for_line(node, "after")
    assert not any(l["request_id"] == "before" for l in lines_of(node.access_log))
    families = metrics.of(node)
    assert families["cairn_access_log_lines_total"].value() >= 2
    assert families["cairn_access_log_dropped_total"].value() == 0
    for i in range(100):
        client.put(name, str(i), headers={"X-Request-Id": f"last-{i}"})
    assert node.terminate() == 0
    ids = {l["request_id"] for l in lines_of(node.access_log)}
    assert all(f"last-{i}" in ids for i in range(100)), "a clean stop loses no line"


def test_without_it_ids_come_back_only_when_sent(cluster, name):
    client = cluster.leader().client()
    assert "x-request-id" not in client.put(name, "x").headers
    assert "x-request-id" not in client.get(name, headers={"X-Request-Id": "not one"}).headers
    assert client.get(name, headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


def test_who_changes_the_cluster_is_in_the_log(cluster):
    leader = cluster.leader()
    answer = leader.client().request("POST", "/v1/cluster/snapshot", headers={"X-Request-Id": "who-1"})
    assert answer.status == 200 and answer.headers["x-request-id"] == "who-1", answer
    wait_until(lambda: 'POST "/v1/cluster/snapshot" from 127.0.0.1:' in leader.log_tail()
               and "request_id=who-1" in leader.log_tail(), 10, "the log says who")


def test_a_log_that_cant_be_opened_is_said_at_the_start(make_cluster, directory):
    cluster = make_cluster(size=1, start=False)
    node = cluster.nodes[0]
    node.start("--access-log", os.path.join(directory, "missing", "log"))
    assert node.process.wait(10 * harness.slowness) == 1
    node.process = None
    assert "access log" in node.log_tail(), node.log_tail()
