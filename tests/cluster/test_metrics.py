"""GET /metrics: that it is the format, that it counts what happened, and that the documentation lists it all."""
import concurrent.futures
import os
import re
import time

import cluster as harness
import metrics
from client import wait_until

OPERATING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "operating.md")


def documented():
    """{name: type} of the table under "## Metrics"."""
    with open(OPERATING, encoding="utf-8") as file:
        section = file.read().split("\n## Metrics\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(cairn_\w+)` \| (\w+) \| .+ \|$", section, re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows}), "a metric is listed twice"
    return dict(rows)


def use_everything(cluster, name):
    client = cluster.leader().client()
    client.put(name, "x")
    client.get(name)
    stream = cluster.leader().stream(f"/v1/watch/{name}")
    stream.next()
    client.put(name, "y")
    assert stream.next()["value"] == "y"
    return stream


def test_the_format_and_the_table(cluster, name):
    stream = use_everything(cluster, name)
    answer = cluster.leader().client().request("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers
    def all_links():
        families = metrics.of(cluster.leader())
        return "cairn_peer_round_trip_seconds" in families and "cairn_peer_reached" in families and families
    families = wait_until(all_links, 10 * harness.slowness, "every link was measured")
    stream.close()
    live = {family.name: family.type for family in families.values()}
    assert live == documented(), {
        "not documented": sorted(live.items() - documented().items()),
        "not there": sorted(documented().items() - live.items())}
    for family in families.values():
        if family.type == "counter":
            assert family.name.endswith("_total"), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name
        assert family.help.endswith("."), family.help


def test_no_label_is_a_clients(cluster, name):
    client = cluster.leader().client()
    client.put(name, "x")
    client.request("GET", f"/{name}")
    client.request(name.upper().replace("/", "").replace("-", "").replace("_", "")[:20] or "X", "/v1/values/a")
    text = client.request("GET", "/metrics").body.decode()
    metrics.parse(text)
    assert name not in text, "a value's name is a label"
    series = metrics.parse(text)["cairn_http_request_duration_seconds"].samples
    assert {labels["method"] for _, labels, _ in series} <= {"GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "other"}
    assert any(labels["route"] == "none" for _, labels, _ in series), "requests that found no route count, too"


def test_requests_and_writes_are_counted(cluster, name):
    leader = cluster.leader()
    client = leader.client()
    route = {"route": "/v1/values/{name}", "method": "PUT", "status": "2xx"}

    def figures():
        families = metrics.of(leader)
        return {
            "puts": families["cairn_http_request_duration_seconds"].total("_count", **route),
            "seconds": families["cairn_http_request_duration_seconds"].total("_sum", **route),
            "writes": families["cairn_writes_total"].value(result="ok"),
            "commits": families["cairn_commit_duration_seconds"].value("_count"),
            "commit seconds": families["cairn_commit_duration_seconds"].value("_sum"),
            "appends": families["cairn_disk_append_duration_seconds"].value("_count"),
            "reads": families["cairn_reads_total"].value(consistency="linearizable"),
            "local reads": families["cairn_reads_total"].value(consistency="local"),
            "conflicts": families["cairn_http_problems_total"].value(code="CONFLICT"),
            "applied": families["cairn_raft_applied_index"].value(),
            "bytes": families["cairn_values_bytes"].value(),
            "values": families["cairn_values"].value(),
        }

    before = figures()
    for i in range(20):
        assert client.put(name, "x" * 1000).status in (200, 201)
    for _ in range(7):
        client.get(name)
    for _ in range(3):
        client.get(name, "?consistency=local")
    assert client.put(name, "no", headers={"If-Match": '"1"'}).status == 412
    after = figures()
    grown = {key: after[key] - before[key] for key in before}
    assert grown["puts"] == 20 and grown["reads"] == 7 and grown["local reads"] == 3, grown
    assert grown["writes"] == 21 and grown["conflicts"] == 1, grown
    assert grown["commits"] >= 21 and 0 < grown["appends"], grown
    assert 0 < grown["commit seconds"] < grown["commits"] * 5, grown
    assert grown["seconds"] > 20 * 0.00001, grown
    assert grown["applied"] >= 21 and grown["values"] == 1, grown
    assert grown["bytes"] == 1000 + len(name.encode()), grown


def test_streams_are_counted(cluster, name):
    node = cluster.followers()[0]
    before = metrics.of(node)
    watch = node.stream(f"/v1/watch/{name}", transport="sse")
    events = node.stream(f"/v1/events/{name}", transport="ndjson")
    watch.next(), events.next()
    sockets = [node.stream(f"/v1/watch/{name}/others") for _ in range(2)]
    for stream in sockets:
        stream.next()
    client = node.client()
    for i in range(5):
        client.put(name, str(i))
        watch.next(), events.next()
    during = metrics.of(node)
    open_streams = {(kind, transport): during["cairn_streams"].value(kind=kind, transport=transport) -
                    before["cairn_streams"].value(kind=kind, transport=transport)
                    for kind in ("watch", "events") for transport in ("websocket", "sse", "ndjson")}
    assert {key: count for key, count in open_streams.items() if count} == {
        ("watch", "sse"): 1, ("events", "ndjson"): 1, ("watch", "websocket"): 2}, open_streams
    lag = during["cairn_stream_lag_seconds"]
    assert lag.value("_count") - before["cairn_stream_lag_seconds"].value("_count") == 10
    assert 0 < lag.value("_sum") < 30, lag.value("_sum")
    for stream in (watch, events, *sockets):
        stream.close()
    wait_until(lambda: metrics.of(node)["cairn_streams"].total() == before["cairn_streams"].total(),
               10, "closed streams are not counted")


def test_who_leads_is_seen(make_cluster, name):
    cluster = make_cluster()
    old = cluster.leader()
    before = {node.id: metrics.of(node)["cairn_raft_leader_changes_total"].value() for node in cluster.nodes}
    assert metrics.of(old)["cairn_raft_is_leader"].value() == 1
    assert metrics.of(old)["cairn_raft_role"].value(role="leader") == 1
    began = time.time()
    old.kill()
    rest = [node for node in cluster.nodes if node is not old]
    new = cluster.leader(among=rest)
    for node in rest:
        families = metrics.of(node)
        assert families["cairn_raft_leader_changes_total"].value() > before[node.id], node.id
        assert families["cairn_raft_leader_id"].value() == new.id
        assert families["cairn_raft_leader_since_timestamp_seconds"].value() >= began - 1
    assert metrics.of(new)["cairn_raft_elections_total"].value() >= 1
    survivor = [node for node in rest if node is not new][0]
    survivor.kill()
    wait_until(lambda: metrics.of(new)["cairn_raft_has_leader"].value() == 0, 10, "nobody leads")
    wait_until(lambda: all(metrics.of(new)["cairn_peer_heard"].value(peer=str(n.id)) == 0 for n in (old, survivor)),
               15 * harness.slowness, "it hears nobody")


def test_scrapes_while_writing(cluster, name):
    """Many scrapes at once: each is whole, and writes go on."""
    leader = cluster.leader()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        scrapes = [pool.submit(lambda: [metrics.of(leader) for _ in range(5)]) for _ in range(5)]
        client = leader.client()
        for i in range(50):
            assert client.put(name, str(i)).status in (200, 201)
        for scrape in scrapes:
            counts = [f["cairn_raft_applied_index"].value() for f in scrape.result()]
            assert counts == sorted(counts), counts


def test_process_figures_are_the_systems(cluster):
    node = cluster.nodes[0]
    families = metrics.of(node)
    resident = families["cairn_process_resident_memory_bytes"].value()
    assert 0.5 < resident / node.resident_bytes() < 2, resident
    fds = len(os.listdir(f"/proc/{node.process.pid}/fd"))
    assert abs(families["cairn_process_open_fds"].value() - fds) <= 10
    assert abs(families["cairn_process_start_time_seconds"].value()
               - families["cairn_started_timestamp_seconds"].value()) < 60


def test_server_timing(cluster, name):
    for node, wanted in ((cluster.leader(), ["queue", "commit", "total"]),
                         (cluster.followers()[0], ["queue", "forward", "commit", "total"])):
        client = node.client()
        began = time.monotonic()
        answer = client.put(name, "x")
        elapsed_ms = (time.monotonic() - began) * 1000
        parts = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
        assert list(parts) == wanted, parts
        times = {part: float(ms) for part, ms in parts.items()}
        assert 0 < times["commit"] <= times["total"] + 0.01 <= elapsed_ms + 0.02, (times, elapsed_ms)
        assert times["queue"] <= times["total"], times
        assert "server-timing" not in client.get(name).headers
