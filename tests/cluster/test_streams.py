"""Watch and Events over WebSocket, on the leader and on followers."""
import time

import cluster as harness
from client import Stream, quoted


def streams(cluster, path, **options):
    """The same stream on the leader and on one follower, each opened when it is asked for."""
    for node in (cluster.leader(), cluster.followers()[0]):
        yield node.stream(path, **options)


def test_watch_begins_with_the_present(cluster, name):
    client = cluster.leader().client()
    for stream in streams(cluster, f"/v1/watch/{name}"):
        first = stream.next()
        assert first["type"] == "value" and first["name"] == name and first["value"] is None, first
    index = client.put(name, "x").json["index"]
    for stream in streams(cluster, f"/v1/watch/{name}"):
        first = stream.next()
        assert first["cursor"], first
        del first["cursor"]
        assert first == {"type": "value", "name": name, "value": "x", "index": index}, first


def test_watch_follows_the_value(cluster, name):
    client = cluster.followers()[0].client()
    for i, stream in enumerate(streams(cluster, f"/v1/watch/{name}")):
        stream.next()
        for value in ("one", "two", "three"):
            index = client.put(name, value).json["index"]
            message = stream.next()
            assert (message["value"], message["index"]) == (value, index), message
        failed = client.put(name, "no", headers={"If-Match": '"1"'})
        assert failed.status == 412
        assert client.delete(name).status == 200
        message = stream.next()
        assert message["value"] is None and message["index"] > index, message
        assert not message.get("expired"), message
        client.put(name, str(i), ttl="400ms")
        assert stream.next()["value"] == str(i)
        message = stream.next(5 * harness.slowness)
        assert message["value"] is None and message["expired"] is True, message


def test_events_of_a_life(cluster, name):
    client = cluster.leader().client()
    opened = list(streams(cluster, f"/v1/events/{name}"))
    for stream in opened:
        first = stream.next()
        assert first["type"] == "subscribed" and first["cursor"], first
    one = client.put(name, "one").json["index"]
    two = client.put(name, "two").json["index"]
    assert client.put(name, "no", headers={"If-None-Match": "*"}).status == 412
    three = client.put(name, "three", prev_index=two).json["index"]
    assert client.delete(name).status == 200
    for stream in opened:
        created, updated, again, deleted = (stream.next() for _ in range(4))
        for message in (created, updated, again, deleted):
            assert message.pop("cursor"), message
            assert message["name"] == name, message
        assert created == {"type": "created", "name": name, "value": "one", "index": one}, created
        assert updated == {"type": "updated", "name": name, "value": "two", "index": two,
                           "prev_value": {"value": "one", "index": one}}, updated
        assert again == {"type": "updated", "name": name, "value": "three", "index": three,
                         "prev_value": {"value": "two", "index": two}}, again
        deleted_index = deleted.pop("deleted_index")
        assert deleted_index > three
        assert deleted == {"type": "deleted", "name": name, "value": "three", "index": three, "expired": False}, deleted
        stream.nothing(0.3)


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


def test_bytes_that_are_not_text(cluster, name):
    stream = cluster.followers()[0].stream(f"/v1/events/{name}")
    stream.next()
    cluster.leader().client().put(name, b"\xff\x00")
    cluster.leader().client().put(name, "text")
    created, updated = stream.next(), stream.next()
    assert created["value_base64"] == "/wA=" and "value" not in created, created
    assert updated["prev_value"]["value_base64"] == "/wA=", updated


def test_prefix(cluster, name):
    client = cluster.leader().client()
    client.put(f"{name}/a", "before")
    for kind in ("watch", "events"):
        for stream in streams(cluster, f"/v1/{kind}/{name}/?prefix=true"):
            first = stream.next()
            if kind == "watch":
                assert (first["name"], first["value"]) == (f"{name}/a", "before"), first
            client.put(f"{name}/b", kind)
            client.put(f"{name}0", "beside")
            client.put(f"{name}/c", kind)
            got = [stream.next(), stream.next()]
            assert [m["name"] for m in got] == [f"{name}/b", f"{name}/c"], got
            client.delete(f"{name}/b")
            client.delete(f"{name}/c")
            got = [stream.next(), stream.next()]
            assert [m["name"] for m in got] == [f"{name}/b", f"{name}/c"], got


def test_events_resume_on_another_node(cluster, name):
    client = cluster.leader().client()
    stream = cluster.nodes[0].stream(f"/v1/events/{name}")
    assert stream.next()["type"] == "subscribed"
    for i in range(5):
        client.put(name, str(i))
    seen = [stream.next() for _ in range(3)]
    stream.close()
    for i in range(5, 10):
        client.put(name, str(i))
    for node in cluster.nodes:
        resumed = node.stream(f"/v1/events/{name}?cursor={quoted(seen[-1]['cursor'])}")
        rest = []
        while len(rest) < 7:
            message = resumed.next()
            if message["type"] != "subscribed":
                rest.append(message)
        assert [m["value"] for m in seen + rest] == [str(i) for i in range(10)], rest
        resumed.nothing(0.2)
        resumed.close()


def test_a_watch_resumes_on_another_node(cluster, name):
    client = cluster.leader().client()
    client.put(name, "one")
    stream = cluster.nodes[0].stream(f"/v1/watch/{name}")
    cursor = stream.next()["cursor"]
    stream.close()
    for node in cluster.nodes:
        resumed = node.stream(f"/v1/watch/{name}?cursor={quoted(cursor)}")
        resumed.nothing(0.2)
        value = f"for {node.id}"
        client.put(name, value)
        message = resumed.next()
        assert message["value"] == value, message
        cursor = message["cursor"]
        resumed.close()


def test_many_streams_of_one_value(cluster, name):
    client = cluster.leader().client()
    opened = [n.stream(f"/v1/events/{name}") for n in cluster.nodes for _ in range(30)]
    for stream in opened:
        assert stream.next()["type"] == "subscribed"
    indexes = [client.put(name, str(i)).json["index"] for i in range(50)]
    for stream in opened:
        assert [stream.next()["index"] for _ in range(50)] == indexes
        stream.close()


def test_a_slow_watcher_gets_the_newest_and_slows_nobody(cluster, name):
    follower = cluster.followers()[0]
    client = follower.client()
    slow = follower.stream(f"/v1/watch/{name}", receive_buffer=4096)
    assert slow.next()["value"] is None
    padding = "x" * 65536
    writes, slowest = 400, 0.0
    for i in range(writes):
        began = time.monotonic()
        last = client.put(name, f"{i}:{padding}").json["index"]
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2 * harness.slowness, f"a write took {slowest:.2f} s"
    seen = []
    while not seen or seen[-1] != last:
        seen.append(slow.next()["index"])
    assert seen == sorted(set(seen)), "indexes must only grow"
    assert len(seen) < writes, "what the slow watcher had not read was queued without a bound"
    slow.close()


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


def test_streams_go_on_over_a_change_of_leader(make_cluster, name):
    cluster = make_cluster()
    leader, (first, second) = cluster.leader(), cluster.followers()
    stream = first.stream(f"/v1/events/{name}")
    assert stream.next()["type"] == "subscribed"
    before = leader.client().put(name, "before").json["index"]
    leader.kill()
    cluster.leader(among=[first, second])
    after = second.client().put(name, "after").json["index"]
    created, updated = stream.next(), stream.next()
    assert (created["value"], created["index"]) == ("before", before), created
    assert (updated["value"], updated["index"]) == ("after", after), updated
    # A cursor from before resumes on a node that was down meanwhile, once it has caught up.
    leader.start()
    cluster.wait_ready()
    resumed = Stream(leader.http_port, f"/v1/events/{name}?cursor={quoted(created['cursor'])}")
    message = resumed.next()
    while message["type"] == "subscribed":
        message = resumed.next()
    assert message["index"] == after, message
