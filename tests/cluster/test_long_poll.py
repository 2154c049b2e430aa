"""GET …?after=INDEX&wait=TIME: the answer comes when the value changes, on whichever node, else 304 at the end."""
import socket
import time

import cluster as harness
from client import Client, raw_exchange, wait_until


def poll(node, target):
    """A long poll under way, and how to end it: (status, headers, body, seconds)."""
    def ask():
        client = Client(node.http_port, 90.0)
        began = time.monotonic()
        answer = client.request("GET", target)
        client.close()
        return answer, time.monotonic() - began
    return harness.in_background(ask)


def in_flight(node):
    return node.applied()  # a round trip behind whatever was sent before


def test_a_change_on_any_node_answers(cluster, name):
    index = cluster.nodes[0].client().put(name, "one").json["index"]
    for writer in cluster.nodes:
        waiting = [poll(n, f"/v1/{kind}/{name}?after={index}&wait=60s{more}") for n in cluster.nodes
                   for kind in ("values", "raw") for more in ("", "&consistency=local&min_index=" + str(index))]
        for node in cluster.nodes:
            in_flight(node)
        index = writer.client().put(name, f"from {writer.id}").json["index"]
        for finish in waiting:
            answer, seconds = finish()
            assert answer.status == 200 and answer.headers["ETag"] == f'"{index}"', answer
            assert f"from {writer.id}".encode() in answer.body, answer
            assert int(answer.headers["Cairn-Index"]) >= index and seconds < 30, (answer, seconds)


def test_what_is_not_as_known_is_answered_at_once(cluster, name):
    for node in cluster.nodes:
        client = node.client()
        answer = client.get(name, "?after=7&wait=60s")
        assert answer.status == 404 and answer.json["code"] == "NOT_FOUND", answer
        assert answer.headers["Cairn-Consistency"] == "linearizable" and "Cairn-Index" in answer.headers, answer
    index = cluster.nodes[0].client().put(name, "x").json["index"]
    for node in cluster.nodes:
        assert node.client().get(name, "?after=0&wait=60s").json["index"] == index
        assert node.client().get(name, f"?after={index - 1}&wait=60s").json["index"] == index


def test_unchanged_at_the_end(cluster, name):
    index = cluster.nodes[0].client().put(name, "x").json["index"]
    for node in cluster.nodes:
        for target, tag in ((f"{name}?after={index}", f'"{index}"'), (f"{name}/absent?after=0", None)):
            for method in ("GET", "HEAD"):
                began = time.monotonic()
                answer = node.client().request(method, f"/v1/values/{target}&wait=400ms")
                assert answer.status == 304 and answer.body == b"", answer
                assert answer.headers.get("ETag") == tag and "Cairn-Index" in answer.headers, answer
                assert time.monotonic() - began >= 0.4


def test_created_deleted_expired(cluster, name):
    writer = cluster.nodes[0].client()
    waiting = [poll(n, f"/v1/values/{name}?after=0&wait=60s") for n in cluster.nodes]
    for node in cluster.nodes:
        in_flight(node)
    index = writer.put(name, "x").json["index"]
    assert [f()[0].json["index"] for f in waiting] == [index] * 3
    waiting = [poll(n, f"/v1/values/{name}?after={index}&wait=60s") for n in cluster.nodes]
    assert writer.delete(name).status == 200
    assert [f()[0].status for f in waiting] == [404] * 3
    index = writer.put(name, "x", ttl="500ms").json["index"]
    waiting = [poll(n, f"/v1/values/{name}?after={index}&wait=60s") for n in cluster.nodes]
    for finish in waiting:
        answer, seconds = finish()
        assert answer.status == 404 and seconds < 20, (answer, seconds)


def test_a_chain_of_polls_ends_at_the_last_value(cluster, name):
    """Values may be passed over, but never the last, and an index never comes twice or goes back."""
    count = 300
    last = f"value {count - 1}"
    index = cluster.nodes[0].client().put(name, "first").json["index"]

    def follow(node):
        client, known = node.client(90.0), index
        while True:
            answer = client.get(name, f"?after={known}&wait=60s")
            assert answer.status == 200 and answer.json["index"] > known, (known, answer)
            known = answer.json["index"]
            if answer.json["value"] == last:
                return known
    followers = [harness.in_background(lambda n=n: follow(n)) for n in cluster.nodes for _ in range(4)]
    client = cluster.nodes[1].client()
    for number in range(count):
        written = client.put(name, f"value {number}").json["index"]
    assert [f() for f in followers] == [written] * 12


def test_requests_behind_a_poll_wait(cluster, name):
    node = cluster.nodes[2]
    index = node.client().put(name, "x").json["index"]
    head = "HTTP/1.1\r\nHost: localhost\r\n"
    data = (f"GET /v1/values/{name}?after={index}&wait=300ms {head}\r\nGET /livez {head}\r\n"
            f"GET /v1/raw/{name} {head}Connection: close\r\n\r\n").encode()
    received, closed = raw_exchange(node.http_port, data, 20.0)
    statuses = [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [304, 200, 200] and closed and received.endswith(b"\r\n\r\nx"), received


def test_polls_whose_client_has_gone_take_no_connection(make_cluster, name):
    cluster = make_cluster(1, ["--max-connections", "20"])
    node = cluster.nodes[0]
    index = node.client().put(name, "x").json["index"]
    request = f"GET /v1/values/{name}?after={index}&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(5):
        sockets = [socket.create_connection(("127.0.0.1", node.http_port)) for _ in range(15)]
        for connection in sockets:
            connection.sendall(request)
        in_flight(node)
        for connection in sockets:
            connection.close()
        # All of them have to be gone before that many fit again.
        wait_until(lambda: all(c.request("GET", "/livez").status == 200 for c in
                               [node.client() for _ in range(15)]), 20 * harness.slowness, "the polls have ended")


def test_a_node_that_stops_ends_its_polls(make_cluster, name):
    cluster = make_cluster(3)
    follower = cluster.followers()[0]
    index = follower.client().put(name, "x").json["index"]
    sockets = [socket.create_connection(("127.0.0.1", follower.http_port), timeout=30) for _ in range(5)]
    for connection in sockets:
        connection.sendall(f"GET /v1/raw/{name}?after={index}&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    in_flight(follower)
    began = time.monotonic()
    assert follower.terminate() == 0
    assert time.monotonic() - began < 4 * harness.slowness
    for connection in sockets:
        status = int(connection.recv(4096).split()[1])
        assert status in (304, 503), status  # 304: it was still being confirmed
        connection.close()
