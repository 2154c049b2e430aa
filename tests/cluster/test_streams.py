"""Streams over WebSocket: what the conformance test doesn't say of every transport."""
import time

import cluster as harness
import metrics
from client import wait_until


def streams(cluster, path, **options):
    """The same stream on the leader and on one follower, each opened when it is asked for."""
    for node in (cluster.leader(), cluster.followers()[0]):
        yield node.stream(path, **options)


def test_a_handshake_does_not_name_libraries(cluster, name):
    for stream in streams(cluster, f"/v1/watch/{name}"):
        assert stream.socket.headers.get("server") == "cairn", stream.socket.headers
        stream.close()


def test_expiry_on_an_idle_cluster(cluster, name):
    """Nothing else is asked of the cluster meanwhile: the leader must wake up by itself."""
    opened = list(streams(cluster, f"/v1/events/{name}"))
    for stream in opened:
        stream.next()
    sent = time.monotonic()
    index = cluster.followers()[0].client().put(name, "x", ttl="1s").json["index"]
    acknowledged = time.monotonic()
    for stream in opened:
        assert stream.next()["type"] == "created"
    for stream in opened:
        event = stream.next(10 * harness.slowness)
        arrived = time.monotonic()
        assert event["type"] == "deleted" and event["expired"] is True, event
        assert event["index"] == index and event["value"] == "x" and event["deleted_index"] > index, event
        assert arrived >= sent + 1.0, "expired too early"
        assert arrived <= acknowledged + 1.0 + 1.0 * harness.slowness, \
            f"expired {arrived - acknowledged - 1.0:.2f} s late"


def test_many_streams_of_one_value(cluster, name):
    client = cluster.leader().client()
    opened = [n.stream(f"/v1/events/{name}") for n in cluster.nodes for _ in range(30)]
    for stream in opened:
        assert stream.next()["type"] == "subscribed"
    indexes = [client.put(name, str(i)).json["index"] for i in range(50)]
    for stream in opened:
        assert [stream.next()["index"] for _ in range(50)] == indexes
        stream.close()


def test_a_slow_event_reader_is_bounded(cluster, name):
    """It gets a gap, or is closed with 1013; it never gets a hole without being told."""
    follower = cluster.followers()[0]
    client = follower.client()
    slow = follower.stream(f"/v1/events/{name}", receive_buffer=4096)
    assert slow.next()["type"] == "subscribed"
    padding = "x" * 65536
    indexes = [client.put(name, f"{i}:{padding}").json["index"] for i in range(800)]
    seen, told = [], False
    while not seen or seen[-1] != indexes[-1]:
        message = slow.receive()
        if message is None:
            assert slow.close_code == 1013, slow.close_code
            told = True
            break
        if message["type"] == "gap":
            told = True
        elif message["type"] != "progress":
            seen.append(message["index"])
    assert told, "800 events of 64 KiB were queued for one reader"
    until_told = indexes[:len(seen)]
    assert slow.close_code is None or seen == until_told, "events are missing before the close"


def test_slow_readers_together_are_bounded(make_cluster, name):
    """Thirty that read nothing, each within its own bounds: those for whom the most waits are given up; who reads
    gets all, and so do those over HTTP once they read."""
    limit = 2 << 20
    node = make_cluster(size=1, options=("--max-stream-queue-bytes", str(limit))).nodes[0]
    client = node.client()
    client.put(f"{name}/0", "x" * 100)
    count, slow = 300, []
    for i in range(30):
        transport = ("websocket", "sse", "ndjson")[i % 3]
        slow.append(node.stream(f"/v1/events/{name}/?prefix=true", transport=transport, receive_buffer=4096))
        assert slow[-1].receive()["type"] == "subscribed"
    quick = node.stream(f"/v1/events/{name}/?prefix=true")
    quick.receive()
    most, indexes = 0, []
    for i in range(count):
        index = client.put(f"{name}/{i}", "x" * 50000).json["index"]
        indexes.append(index)
        event = quick.next(10.0 * harness.slowness)
        assert event["index"] == index, event
        if i % 10 == 0:
            families = metrics.of(node)
            most = max(most, families["cairn_queue_depth"].value(queue="stream_bytes"))
            assert families["cairn_queue_limit"].value(queue="stream_bytes") == limit
    # Beside it there may be what each socket is being sent: 64 KiB and a message.
    assert limit / 2 < most < limit + 30 * (120 << 10), most
    assert metrics.of(node)["cairn_stream_overflows_total"].value() >= 10
    for stream in slow[:3]:
        seen = []
        while len(seen) < count:
            message = stream.receive(10.0 * harness.slowness)
            if message is None:
                assert stream is slow[0] and stream.close_code == 1013, stream.close_code
                stream = node.stream(f"/v1/events/{name}/?prefix=true", cursor=stream.cursor)
                slow.append(stream)
            elif message["type"] not in ("progress", "subscribed"):
                seen.append(message["index"])
        assert seen == indexes
    for stream in (quick, *slow):
        stream.close()
    wait_until(lambda: metrics.of(node)["cairn_queue_depth"].value(queue="stream_bytes") == 0, 10,
               "nothing is left of streams that were closed")


def test_streams_are_closed_with_1001_at_shutdown(make_cluster, name):
    cluster = make_cluster()
    node = cluster.followers()[0]
    opened = [node.stream(f"/v1/{kind}/{name}") for kind in ("watch", "events")]
    for stream in opened:
        stream.next()
    finish = harness.in_background(node.terminate)
    for stream in opened:
        while stream.receive() is not None:
            pass
        assert stream.close_code == 1001, stream.close_code
    assert finish() == 0
