"""What nobody should send: refused with the right status, without a trace, and the cluster works on."""
import os
import re
import socket
import time

import cluster as harness
from client import raw_exchange, wait_until

MOSTLY_WAITS = True

MEBIBYTE = 1 << 20


def refused(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer
    assert answer.json["code"] == code and answer.json["status"] == status, answer
    return answer


def still_works(cluster, name):
    for node in cluster.nodes:
        assert node.running, f"node {node.id} ended"
        client = node.client()
        assert client.put(f"{name}/after", str(node.id)).status in (200, 201)
        assert client.get(f"{name}/after").json["value"] == str(node.id)


def test_bodies_that_are_not_the_message(cluster, name):
    client = cluster.followers()[0].client()
    json_type = {"Content-Type": "application/json"}
    bodies = [
        b"", b"{", b"nonsense", b"[]", b"null", b'"text"', b"{}", b'{"value":1}', b'{"value":null}',
        b'{"value":["x"]}', b'{"value":{"a":1}}', b'{"value":"x"} trailing', b'{"value":"x",}',
        b'{"value":"x","value_base64":"eA=="}', b'{"value_base64":"***"}', b'{"value_base64":"eA"}',
        b'{"value_base64":7}', b'{"value":"x","ttl":7}', b'{"value":"x","prev_index":-1}',
        b'{"value":"x","prev_index":1.5}', b'{"value":"x","prev_index":"seven"}',
        b'{"value":"x","prev_index":99999999999999999999999}', b'{"value":"\xff"}',
        b'{"value":"\\ud800"}', b"{'value':'x'}", b'{"value":"x', b"\x00\x01\x02",
        b"[" * 100000, b'{"a":' * 5000, b'{"value":"x","value":"y","prev_index":{}}',
    ]
    for body in bodies:
        answer = client.request("PUT", f"/v1/values/{name}", body, json_type)
        refused(answer, 400, "INVALID")
    refused(client.get(name), 404, "NOT_FOUND")
    still_works(cluster, name)


def test_bad_ttl(cluster, name):
    client = cluster.leader().client()
    for ttl in ("0s", "-1s", "0", "30", "s", "", "1.5.5s", "1e3s", "1 s", "s30", "nan", "inf", "0x10s",
                "1w", "99999999999999999999h", "1s1", "+5s", "0.0s"):
        refused(client.put(name, "x", ttl=ttl), 400, "INVALID")
    refused(client.request("PUT", f"/v1/raw/{name}?ttl=0s", b"x"), 400, "INVALID")
    refused(client.get(name), 404, "NOT_FOUND")


def test_bad_names(cluster, name):
    client = cluster.followers()[0].client()
    for target in ("", "a//b", "/a", "a/", "a/../b", "..", ".", "a/./b", "%2E%2E", "a/%2e%2e/b", "a%2F%2Fb",
                   "a%00b", "a%0Ab", "a%7Fb", "a%C2%85b", "a%", "a%4", "a%zz", "%FF", "%C3", "%ED%A0%80",
                   "%C0%AF", "x" * 513, "%F4%90%80%80"):
        for method, body in (("PUT", {"value": "x"}), ("GET", None), ("DELETE", None)):
            if target == "" and method == "GET":
                continue
            answer = client.request(method, f"/v1/values/{target}", body)
            assert answer.status in ((400, 404, 405) if target == "" else (400,)), (target, answer)
    for header in ("%2e%2e/%2e%2e/etc/passwd", "../../etc/passwd"):
        assert client.request("GET", f"/v1/values/{header}").status == 400
    still_works(cluster, name)


def test_bad_preconditions(cluster, name):
    client = cluster.leader().client()
    client.put(name, "x")
    for value in ("42", "W/\"42\"", '"x"', '"-1"', '"', '""', '"99999999999999999999999"', "*, *"):
        answer = client.put(name, "no", headers={"If-Match": value})
        assert answer.status in (400, 412), (value, answer)
    for headers in ({"If-Match": '"1"', "If-None-Match": "*"}, {"If-None-Match": '"1"'}):
        assert client.put(name, "no", headers=headers).status in (400, 412), headers
    assert client.put(name, "no", headers={"If-Match": '"1"'}, prev_index=2).status in (400, 412)
    assert client.get(name).json["value"] == "x"


def test_bad_queries(cluster, name):
    client = cluster.followers()[0].client()
    client.put(name, "x")
    for query in ("consistency=strong", "timeout=0s", "timeout=-1s", "timeout=x", "timeout=61s", "min_index=x",
                  "min_index=-1", "after=x", "wait=x"):
        refused(client.get(name, f"?{query}"), 400, "INVALID")
    for query in ("limit=0", "limit=-1", "limit=x", "prefix=%FF", "prefix=%"):
        refused(client.request("GET", f"/v1/values?{query}"), 400, "INVALID")


def test_unknown_paths_and_methods(cluster, name):
    client = cluster.followers()[0].client()
    for path in ("/v1", "/v1/", "/v2/values/x", "/v1/value/x", "/nothing", "/v1/values%2Fx", "/..", "//"):
        answer = client.request("GET", path)
        assert answer.status in (400, 404), (path, answer)
    for method, path in (("PATCH", f"/v1/values/{name}"), ("POST", f"/v1/raw/{name}"), ("PUT", "/v1/values"),
                         ("DELETE", "/livez"), ("PUT", "/v1/cluster"), ("BREW", f"/v1/values/{name}")):
        answer = client.request(method, path, b"{}", {"Content-Type": "application/json"})
        assert answer.status in (405, 501), (method, path, answer)
        if answer.status == 405:
            assert "GET" in answer.headers["Allow"], answer
            assert answer.json["code"] == "METHOD_NOT_ALLOWED"
    still_works(cluster, name)


def test_wrong_content_type(cluster, name):
    client = cluster.leader().client()
    for kind in ("text/html", "application/xml", "multipart/form-data"):
        for method in ("PUT", "POST"):
            answer = client.request(method, f"/v1/values/{name}", b'{"value":"x"}', {"Content-Type": kind})
            refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    fine = client.request("PUT", f"/v1/values/{name}", b'{"value":"x"}',
                          {"Content-Type": "application/json; charset=utf-8"})
    assert fine.status == 201, fine


def test_bodies_over_the_limit(cluster, name):
    node = cluster.followers()[0]
    problem = refused(node.client().put(name, "x" * (MEBIBYTE + 1)), 413, "TOO_LARGE").json
    assert str(MEBIBYTE) in problem["detail"], problem
    # Announced and never sent: refused by the announcement, not by waiting for it.
    head = f"PUT /v1/raw/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
    received, closed = raw_exchange(node.http_port, head)
    assert received.startswith(b"HTTP/1.1 413") and closed, (received, closed)
    # Chunked, it is cut off when it is too much.
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = f"PUT /v1/raw/{name} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    received, closed = raw_exchange(node.http_port, head + chunk * 128)
    assert closed and (not received or received.startswith(b"HTTP/1.1 413")), (received[:200], closed)
    refused(node.client().get(name), 404, "NOT_FOUND")
    still_works(cluster, name)


def test_heads_over_the_limit(cluster, name):
    port = cluster.followers()[0].http_port
    for request, statuses in (
            (b"GET /v1/values/" + b"x" * 70000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (b"414", b"431")),
            (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70000 + b"\r\n\r\n", (b"431",)),
            (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n", (b"431",))):
        received, closed = raw_exchange(port, request)
        assert closed and received[9:12] in statuses, (received[:200], closed)
    still_works(cluster, name)


def smuggled(name):
    """A whole request that hides in what some parser takes for a body."""
    return f"PUT /v1/raw/{name}/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".encode()


def test_framing_that_two_parsers_read_differently(cluster, name):
    node = cluster.followers()[0]
    target = f"PUT /v1/raw/{name}/first HTTP/1.1\r\n".encode()
    hidden = smuggled(name)
    length = str(len(hidden)).encode()
    bodies = [
        b"Host: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Host: localhost\r\nContent-Length: 0\r\nContent-Length: " + length + b"\r\n\r\n",
        b"Host: localhost\r\nContent-Length: 0, 0\r\n\r\n",
        b"Host: localhost\r\nContent-Length: +0\r\n\r\n",
        b"Host: localhost\r\nContent-Length: -1\r\n\r\n",
        b"Host: localhost\r\nContent-Length: 0x0\r\n\r\n",
        b"Host: localhost\r\nContent-Length: \r\n\r\n",
        b"Host: localhost\r\nContent-Length : 0\r\n\r\n",
        b"Host: localhost\r\n Content-Length: 0\r\n\r\n",
        b"Host: localhost\r\nX: y\r\n folded: z\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Host: local host\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\r\nX\x00: y\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\r\nX: y\x00z\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\nContent-Length: 0\n\n",
        b"Host: localhost\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
    ]
    requests = [target + b for b in bodies]
    requests.append(f"PUT /v1/raw/{name}/first HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\n\r\n".encode())
    requests.append(f"PUT /v1/raw/{name}/first  HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    requests.append(f"PUT /v1/raw/{name}/first HTTP/2.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    client = node.client()
    for request in requests:
        received, closed = raw_exchange(node.http_port, request + hidden)
        assert closed, ("the connection was not closed", request)
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", received)) <= 1, ("two answers", request, received)
        assert not received or received[9:10] in b"45", (request, received)
        for kind in ("first", "smuggled"):
            assert client.get(f"{name}/{kind}").status == 404, (kind, request)
    still_works(cluster, name)


def test_bytes_that_are_not_http(cluster, name):
    port = cluster.leader().http_port
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", os.urandom(4096), b"\r\n" * 1000 + b"x",
                 b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 1000):
        received, closed = raw_exchange(port, data, half_close=True)
        assert closed and b"HTTP/1.1 2" not in received, (data[:40], received[:200], closed)
    received, closed = raw_exchange(port, b"", half_close=True)
    assert received == b"" and closed
    still_works(cluster, name)


def test_expect_continue(cluster, name):
    port = cluster.followers()[0].http_port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"PUT /v1/raw/{name} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                           "Content-Length: 5\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(b"hello")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201")


def test_clients_that_send_slowly_hold_nobody_up(cluster, name):
    """Half a head and then nothing, on a hundred connections: others are served, and these are closed in time."""
    node = cluster.followers()[0]
    slow = [socket.create_connection(("127.0.0.1", node.http_port), timeout=5) for _ in range(100)]
    try:
        for i, connection in enumerate(slow):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " if i % 2 else
                               b"PUT /v1/raw/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nxx")
        client = node.client()
        for i in range(20):
            began = time.monotonic()
            assert client.put(name, str(i)).status in (200, 201)
            assert time.monotonic() - began < 1 * harness.slowness
        deadline = time.monotonic() + 40
        for connection in slow:
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                answer = connection.recv(1000)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer
            except ConnectionResetError:
                pass
            except socket.timeout:
                raise AssertionError("a silent client is still connected after 40 s") from None
    finally:
        for connection in slow:
            connection.close()
    still_works(cluster, name)


test_clients_that_send_slowly_hold_nobody_up.deadline_seconds = 90


def test_garbage_on_the_raft_port(cluster, name):
    term = cluster.leader().status()["term"]
    for node in cluster.nodes:
        for data in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00" * 64, b"\xff" * 64,
                     b"\xff\xff\xff\x7f" + b"x" * 1000, os.urandom(100000), b"\x00\x00\x00\x10"):
            raw_exchange(node.raft_port, data, timeout=1.0, half_close=True)
    # Connections that say nothing, or not enough, keep nothing busy.
    silent = [socket.create_connection(("127.0.0.1", n.raft_port)) for n in cluster.nodes for _ in range(20)]
    for i, connection in enumerate(silent):
        connection.sendall(b"\x10" * (i % 4))
    still_works(cluster, name)
    for connection in silent:
        connection.close()
    assert cluster.leader().status()["term"] == term, "garbage cost the leader its place"


def test_bad_websocket_handshakes(cluster, name):
    port = cluster.followers()[0].http_port
    base = f"GET /v1/watch/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for rest in ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
                 "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"):
        received, _ = raw_exchange(port, (base + rest + "\r\n").encode(), timeout=2.0)
        assert b"101 " not in received[:20] and received[9:10] == b"4", (rest, received)
    received, _ = raw_exchange(port, (base.replace(name, "a//b") + "Sec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode(), timeout=2.0)
    assert received.startswith(b"HTTP/1.1 400"), received
    still_works(cluster, name)


def test_bad_websocket_frames(cluster, name):
    node = cluster.followers()[0]
    for frame in (b"\x81\x02hi", b"\xc1\x80\x00\x00\x00\x00", b"\x83\x80\x00\x00\x00\x00", b"\x09\x80\x00\x00\x00\x00",
                  b"\x80\x80\x00\x00\x00\x00", b"\x81\xff\x40" + b"\x00" * 11, os.urandom(200)):
        stream = node.stream(f"/v1/watch/{name}")
        stream.next()
        stream.socket.sock.sendall(frame)

        def ended(s=stream):
            try:
                return s.receive(5.0) is None
            except Exception as error:  # pylint: disable=broad-except
                return "timed out" not in str(error)
        wait_until(ended, 10, f"the stream is closed after the frame {frame[:16]!r}")
    still_works(cluster, name)


def test_a_body_that_stops_is_answered(cluster):
    with socket.create_connection(("127.0.0.1", cluster.nodes[0].http_port)) as connection:
        connection.sendall(b"PUT /v1/raw/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        connection.settimeout(20 * harness.slowness)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ") and b'"outcome":"not_applied"' in answer, answer


def test_too_many_connections_are_told(make_cluster):
    node = make_cluster(size=1, options=("--max-connections", "5")).nodes[0]
    held, answer = [], b""
    while len(held) < 6 and not answer.startswith(b"HTTP/1.1 503 "):
        connection = socket.create_connection(("127.0.0.1", node.http_port))
        connection.settimeout(10)
        held.append(connection)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer, answer
    assert len(held) > 3, "refused although there was room"
    for connection in held:
        connection.close()
    wait_until(lambda: node.client().request("GET", "/livez").status == 200, 10 * harness.slowness,
               "there is room again")
