"""What every stream promises, on every transport: each test runs once for each of them."""
import time

import cluster as harness
from client import StreamRefused, numeric, wait_until

MOSTLY_WAITS = True

MEBIBYTE = 1 << 20
# Of odd names: as it is, and as it stands in a path.
ODD_NAMES = ((' "\\', "%20%22%5C"), ("a%b", "a%25b"), ("ü/…/😀", "%C3%BC/%E2%80%A6/%F0%9F%98%80"), ("x?y#z", "x%3Fy%23z"),
             ("id: 1", "id:%201"))


def streams(cluster, path, transport, **options):
    """The same stream on the leader and on one follower, each opened when it is asked for."""
    for node in (cluster.leader(), cluster.followers()[0]):
        yield node.stream(path, transport=transport, **options)


def without_cursor(message):
    message = dict(message)
    assert message.pop("cursor"), message
    return message


def take(stream, count, timeout=10.0):
    """So many messages that tell of something, without acknowledgements."""
    taken = []
    while len(taken) < count:
        message = stream.next(timeout * harness.slowness)
        if message["type"] != "subscribed":
            taken.append(message)
    return taken


def push_out_of_history(client, name):
    """Each node keeps the last 64 MiB of events, and these are more."""
    for i in range(40):
        answer = client.request("PUT", f"/v1/raw/{name}", bytes([65 + i % 26]) * (MEBIBYTE - 1))
        assert answer.status in (200, 201), answer


def test_a_watch_begins_with_the_present(cluster, name, transport):
    client = cluster.leader().client()
    for stream in streams(cluster, f"/v1/watch/{name}", transport):
        first = stream.next()
        assert first["type"] == "value" and first["name"] == name and first["value"] is None, first
        stream.close()
    index = client.put(name, "x").json["index"]
    for stream in streams(cluster, f"/v1/watch/{name}", transport):
        first = without_cursor(stream.next())
        assert first == {"type": "value", "name": name, "value": "x", "index": index}, first
        stream.close()


def test_a_watch_follows_the_value(cluster, name, transport):
    client = cluster.followers()[0].client()
    for i, stream in enumerate(streams(cluster, f"/v1/watch/{name}", transport)):
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
        message = stream.next()
        assert message["value"] == str(i) and message["expire"].endswith("Z"), message
        message = stream.next(5 * harness.slowness)
        assert message["value"] is None and message["expired"] is True, message
        stream.close()


def test_events_of_a_life(cluster, name, transport):
    client = cluster.leader().client()
    opened = list(streams(cluster, f"/v1/events/{name}", transport))
    for stream in opened:
        first = stream.next()
        assert first["type"] == "subscribed" and set(first) == {"type", "cursor"}, first
    one = client.put(name, "one").json["index"]
    two = client.put(name, "two").json["index"]
    assert client.put(name, "no", headers={"If-None-Match": "*"}).status == 412
    three = client.put(name, b"\xff\x00", prev_index=two).json["index"]
    assert client.delete(name).status == 200
    last = client.put(name, "last", ttl="300ms").json["index"]
    for stream in opened:
        created, updated, again, deleted, anew, expired = (
            without_cursor(stream.next(5 * harness.slowness)) for _ in range(6))
        assert created == {"type": "created", "name": name, "value": "one", "index": one}, created
        assert updated == {"type": "updated", "name": name, "value": "two", "index": two,
                           "prev_value": {"value": "one", "index": one}}, updated
        assert again == {"type": "updated", "name": name, "value_base64": "/wA=", "index": three,
                         "prev_value": {"value": "two", "index": two}}, again
        deleted_index = deleted.pop("deleted_index")
        assert three < deleted_index < last
        assert deleted == {"type": "deleted", "name": name, "value_base64": "/wA=", "index": three,
                           "expired": False}, deleted
        assert anew.pop("expire") and anew == {"type": "created", "name": name, "value": "last", "index": last}, anew
        assert expired.pop("deleted_index") > last
        assert expired == {"type": "deleted", "name": name, "value": "last", "index": last, "expired": True}, expired
        stream.nothing(0.3)
        stream.close()


def test_a_prefix(cluster, name, transport):
    client = cluster.leader().client()
    client.put(f"{name}/a", "before")
    for kind in ("watch", "events"):
        for stream in streams(cluster, f"/v1/{kind}/{name}/?prefix=true", transport):
            first = stream.next()
            if kind == "watch":
                assert (first["name"], first["value"]) == (f"{name}/a", "before"), first
            client.put(f"{name}/b", kind)
            client.put(f"{name}0", "beside")
            client.put(f"{name}/c", kind)
            got = take(stream, 2)
            assert [m["name"] for m in got] == [f"{name}/b", f"{name}/c"], got
            client.delete(f"{name}/b")
            client.delete(f"{name}/c")
            got = take(stream, 2)
            assert [m["name"] for m in got] == [f"{name}/b", f"{name}/c"], got
            stream.close()


def test_the_empty_prefix_and_one_that_selects_nothing(cluster, name, transport):
    client = cluster.leader().client()
    index = client.put(name, "x").json["index"]
    everything = cluster.followers()[0].stream("/v1/watch/?prefix=true", transport=transport)
    message = everything.next()
    while message["name"] != name:
        message = everything.next()
    assert message["index"] == index, message
    everything.close()
    # A client learns at once that it is subscribed, and from where.
    nothing = cluster.leader().stream(f"/v1/watch/{name}/none/?prefix=true", transport=transport)
    first = nothing.receive(5 * harness.slowness)
    assert first["type"] == "progress" and numeric(first["cursor"]) >= (index, 0), first
    client.put(f"{name}/none/now", "y")
    assert nothing.next()["value"] == "y"
    nothing.close()


def test_names_with_odd_characters(cluster, name, transport):
    client = cluster.leader().client()
    for number, (plain, encoded) in enumerate(ODD_NAMES):
        stream = cluster.followers()[0].stream(f"/v1/events/{name}/{encoded}", transport=transport)
        assert stream.next()["type"] == "subscribed"
        value = f"line\nend\r\n{number}\u2028\x00"
        assert client.put(f"{name}/{plain}", value).status == 201
        message = stream.next()
        assert (message["name"], message["value"]) == (f"{name}/{plain}", value), message
        stream.close()


def test_progress_within_ten_seconds(cluster, name, transport):
    opened = [cluster.followers()[0].stream(path, transport=transport) for path in (
        f"/v1/watch/{name}", f"/v1/events/{name}", f"/v1/watch/{name}/?prefix=true", f"/v1/events/{name}?cursor=999999999")]
    for stream in opened:
        stream.receive()
    began = time.monotonic()
    index = cluster.leader().client().put(f"{name}-other", "x").json["index"]
    for stream in opened:
        message = stream.receive(10.5 * harness.slowness)
        assert message["type"] == "progress", message
        assert numeric(message["cursor"]) >= (index, 0), message
        stream.close()
    assert time.monotonic() - began < 10.0 * harness.slowness


def test_a_slow_watcher_gets_the_newest_and_slows_nobody(cluster, name, transport):
    follower = cluster.followers()[0]
    client = follower.client()
    slow = follower.stream(f"/v1/watch/{name}", transport=transport, receive_buffer=4096)
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


def test_events_resume_on_each_node(cluster, name, transport):
    client = cluster.leader().client()
    for origin in cluster.nodes:
        client.delete(name)
        stream = origin.stream(f"/v1/events/{name}", transport=transport)
        assert stream.next()["type"] == "subscribed"
        for i in range(5):
            client.put(name, str(i))
        seen = [stream.next() for _ in range(3)]
        stream.close()
        for i in range(5, 10):
            client.put(name, str(i))
        for node in cluster.nodes:
            resumed = node.stream(f"/v1/events/{name}", transport=transport, cursor=seen[-1]["cursor"])
            rest = take(resumed, 7)
            assert [m["value"] for m in seen + rest] == [str(i) for i in range(10)], rest
            resumed.nothing(0.1)
            resumed.close()


def test_a_watch_resumes_on_each_node(cluster, name, transport):
    client = cluster.leader().client()
    client.put(name, "one")
    stream = cluster.nodes[0].stream(f"/v1/watch/{name}", transport=transport)
    cursor = stream.next()["cursor"]
    stream.close()
    for node in cluster.nodes:
        resumed = node.stream(f"/v1/watch/{name}", transport=transport, cursor=cursor)
        resumed.nothing(0.2)
        value = f"for {node.id}"
        client.put(name, value)
        message = resumed.next()
        assert message["value"] == value, message
        cursor = message["cursor"]
        resumed.close()


def test_refusals_are_ordinary_answers(cluster, name, transport):
    node = cluster.leader()
    evil = {"headers": {"Origin": "http://evil.example"}}
    for path, options, status in (
            (f"/v1/watch/{name}?cursor=x", {}, 400), (f"/v1/events/{name}?cursor=-1", {}, 400),
            (f"/v1/watch/{name}?cursor=1.2.3", {}, 400), (f"/v1/events/{name}?prefix=maybe", {}, 400),
            (f"/v1/events/{name}?nonsense=1", {}, 400), ("/v1/watch/", {}, 400), ("/v1/watch/a/../b", {}, 400),
            (f"/v1/watch/{name}", evil, 403), (f"/v1/events/{name}", evil, 403), (f"/v1/nothing/{name}", {}, 404)):
        try:
            node.stream(path, transport=transport, **options)
        except StreamRefused as refused:
            assert refused.status == status, (path, refused)
        else:
            raise AssertionError(f"{path} is let in")
    own = node.stream(f"/v1/watch/{name}", transport=transport,
                      headers={"Origin": f"http://127.0.0.1:{node.http_port}"})
    assert own.next()["value"] is None
    own.close()
    if transport == "sse":
        try:
            node.stream(f"/v1/watch/{name}", transport=transport, cursor="x")
        except StreamRefused as refused:
            assert refused.status == 400 and b"Last-Event-ID" in refused.body, refused
        else:
            raise AssertionError("a bad Last-Event-ID is let in")


def test_scenario_26_a_resume_after_more_than_history_keeps(cluster, name, transport):
    """Of a value that nobody touched there is nothing to tell, so there is no gap; otherwise the gap is told."""
    client = cluster.leader().client()
    for other in ("unchanged", "changed", "deleted"):
        client.put(f"{name}/{other}", "x")
    node = cluster.followers()[0]
    first = node.stream(f"/v1/watch/{name}/unchanged", transport=transport)
    cursor = first.next()["cursor"]
    first.close()
    index = client.put(f"{name}/changed", "y").json["index"]
    client.delete(f"{name}/deleted")
    push_out_of_history(client, f"{name}-other")
    cluster.wait_caught_up()
    for kind in ("watch", "events"):
        for at in cluster.nodes:
            unchanged = at.stream(f"/v1/{kind}/{name}/unchanged", transport=transport, cursor=cursor)
            first = unchanged.receive()
            assert first["type"] == ("progress" if kind == "watch" else "subscribed"), first
            unchanged.nothing(0.1)
            value = f"{kind} {at.id}"
            client.put(f"{name}/unchanged", value)
            message = unchanged.next()
            assert message["value"] == value, message
            cursor = unchanged.cursor
            unchanged.close()
    push_out_of_history(client, f"{name}-other")
    for kind in ("watch", "events"):
        changed = node.stream(f"/v1/{kind}/{name}/changed", transport=transport, cursor=str(index - 1))
        gap, value = take(changed, 2)
        assert gap["type"] == "gap" and (value["type"], value["index"]) == ("value", index), (gap, value)
        client.put(f"{name}/changed", "z")
        assert changed.next()["value"] == "z"
        index = client.put(f"{name}/changed", "again").json["index"]
        changed.close()
        push_out_of_history(client, f"{name}-other")
        deleted = node.stream(f"/v1/{kind}/{name}/deleted", transport=transport, cursor=str(1))
        gap, value = take(deleted, 2)
        assert gap["type"] == "gap" and value["value"] is None, (gap, value)
        deleted.close()


def test_over_killed_nodes_and_leaders(make_cluster, name, transport):
    """One reader, moved from node to node with its cursor while they are killed, sees each event once."""
    cluster = make_cluster()
    writers_node = cluster.nodes[2]
    values, seen = [], []

    def write(count):
        client = writers_node.client()
        for _ in range(count):
            value = str(len(values))
            wait_until(lambda v=value, c=client: c.put(name, v, headers={"Idempotency-Key": f"{name}-{v}"}).status
                       in (200, 201), 20 * harness.slowness, "a write succeeds")
            values.append(value)

    stream = cluster.nodes[0].stream(f"/v1/events/{name}", transport=transport)
    assert stream.next()["type"] == "subscribed"
    write(3)
    seen += take(stream, 2)
    # The serving node is killed: on at another.
    cluster.nodes[0].kill()
    write(3)
    stream.close()
    stream = cluster.nodes[1].stream(f"/v1/events/{name}", transport=transport, cursor=seen[-1]["cursor"])
    seen += take(stream, 2)
    cluster.nodes[0].start()
    cluster.wait_ready()
    # The leader goes while the stream stays, if it is another node's.
    leader = cluster.leader()
    stream.close()
    serving = next(n for n in cluster.nodes if n is not leader)
    writers_node = next(n for n in cluster.nodes if n not in (leader, serving))
    stream = serving.stream(f"/v1/events/{name}", transport=transport, cursor=seen[-1]["cursor"])
    leader.kill()
    write(3)
    seen += take(stream, len(values) - len(seen) - 1, 20.0)
    stream.close()
    leader.start()
    cluster.wait_ready()
    # All are killed, and begin again from their logs.
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    cluster.wait_ready()
    write(2)
    for node in cluster.nodes:
        resumed = node.stream(f"/v1/events/{name}", transport=transport, cursor=seen[-1]["cursor"])
        rest = take(resumed, len(values) - len(seen), 20.0)
        assert [m["value"] for m in seen + rest] == values, (node.id, seen, rest)
        resumed.nothing(0.1)
        resumed.close()


def test_exactly_where_the_log_was_trimmed(make_cluster, name, transport):
    cluster = make_cluster()
    client = cluster.leader().client()
    indexes = [client.put(name, str(i)).json["index"] for i in range(5)]
    cluster.wait_caught_up()
    for node in cluster.nodes:
        taken = node.client().request("POST", "/v1/cluster/snapshot")
        assert taken.status == 200, taken
        boundary = taken.json["index"]
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start()
    cluster.wait_ready()
    client = cluster.leader().client()
    last = client.put(name, "last").json["index"]
    cluster.wait_caught_up()
    assert indexes[-1] <= boundary < last
    for node in cluster.nodes:
        resumed = node.stream(f"/v1/events/{name}", transport=transport, cursor=str(boundary))
        (message,) = take(resumed, 1)
        assert (message["type"], message["index"]) == ("updated", last), message
        resumed.close()
        # Before it, what happened is not known any more, and that is said.
        resumed = node.stream(f"/v1/events/{name}", transport=transport, cursor=str(indexes[-1] - 1))
        gap, present = take(resumed, 2)
        assert gap["type"] == "gap" and present["index"] == last, (gap, present)
        resumed.close()


def test_over_an_installed_snapshot(make_cluster, name, transport):
    """The serving node gets a snapshot while it is far behind: no reader is left without being told."""
    cluster = make_cluster(options=("--snapshot-entries", "200"))
    client = cluster.leader().client()
    first = client.put(f"{name}/changed", "first").json["index"]
    client.put(f"{name}/unchanged", "same")
    behind = cluster.followers()[0]
    paths = [f"/v1/watch/{name}/changed", f"/v1/events/{name}/changed", f"/v1/watch/{name}/unchanged"]
    cursors = []
    for path in paths:
        stream = behind.stream(path, transport=transport)
        cursors.append(stream.receive()["cursor"])
        stream.close()
    behind.kill()
    for i in range(900):
        assert client.put(f"{name}-other/{i % 300}", str(i)).status in (200, 201)
    last = client.put(f"{name}/changed", "last").json["index"]
    behind.start()
    cluster.wait_ready()
    cluster.wait_caught_up()
    assert "installed the leader's snapshot" in behind.log_tail(1000)
    assert first < last
    for path, cursor in zip(paths, cursors):
        resumed = behind.stream(path, transport=transport, cursor=cursor)
        if path.endswith("/unchanged"):
            resumed.nothing(0.3)
        else:
            messages = take(resumed, 1)
            if messages[0]["type"] == "gap":
                messages = take(resumed, 1)
            assert messages[0]["index"] == last, messages
        resumed.close()


def test_a_cursor_from_the_future_waits(make_cluster, name, transport):
    cluster = make_cluster()
    leader, (lagging, other) = cluster.leader(), cluster.followers()
    client = leader.client()
    client.put(name, "before")
    cluster.wait_caught_up()
    lagging.pause()
    try:
        seen = client.put(name, "seen elsewhere").json["index"]
        elsewhere = other.stream(f"/v1/watch/{name}", transport=transport)
        cursor = elsewhere.next()["cursor"]
        assert numeric(cursor) >= (seen, 0), cursor
        elsewhere.close()
    finally:
        lagging.resume()
    # It may still be behind: nothing that the reader has seen comes again, whatever it takes.
    streams_there = [lagging.stream(f"/v1/{kind}/{name}", transport=transport, cursor=cursor)
                     for kind in ("watch", "events")]
    ahead = lagging.stream(f"/v1/events/{name}", transport=transport, cursor=str(seen + 2))
    after = [client.put(name, str(i)).json["index"] for i in range(4)]
    watch, events = streams_there
    assert [m["index"] for m in take(events, 4)] == after
    message = watch.next()
    while message["index"] != after[-1]:
        assert message["index"] in after, message
        message = watch.next()
    expected = [index for index in after if index > seen + 2]
    assert [m["index"] for m in take(ahead, len(expected))] == expected
    for stream in (watch, events, ahead):
        stream.nothing(0.1)
        stream.close()


def test_a_clean_end_at_shutdown(make_cluster, name, transport):
    cluster = make_cluster()
    node = cluster.followers()[0]
    opened = [node.stream(f"/v1/{kind}/{name}", transport=transport) for kind in ("watch", "events")]
    for stream in opened:
        stream.next()
    index = cluster.leader().client().put(name, "x").json["index"]
    for stream in opened:
        assert stream.next()["index"] == index
    finish = harness.in_background(node.terminate)
    for stream in opened:
        while stream.receive() is not None:  # with a body that ends within a chunk or a message it raises
            pass
        assert stream.close_code == (1001 if transport == "websocket" else None), stream.close_code
        stream.close()
    assert finish() == 0
    resumed = cluster.leader().stream(f"/v1/events/{name}", transport=transport, cursor=opened[1].cursor)
    later = cluster.leader().client().put(name, "y").json["index"]
    assert take(resumed, 1)[0]["index"] == later
    resumed.close()


def test_a_slow_reader_of_events_misses_none(cluster, name, transport):
    """Over HTTP the node goes on from its history by itself; a WebSocket is closed with the cursor to go on from."""
    node = cluster.followers()[0]
    client = node.client()
    slow = node.stream(f"/v1/events/{name}", transport=transport, receive_buffer=4096)
    assert slow.next()["type"] == "subscribed"
    padding = "x" * 65536
    indexes = [client.put(name, f"{i}:{padding}").json["index"] for i in range(300)]
    seen = []
    while len(seen) < len(indexes):
        message = slow.receive()
        if message is None:
            assert transport == "websocket" and slow.close_code == 1013, slow.close_code
            slow = node.stream(f"/v1/events/{name}", transport=transport, cursor=slow.cursor)
        elif message["type"] not in ("progress", "subscribed"):
            seen.append(message["index"])
    assert seen == indexes
    slow.close()
