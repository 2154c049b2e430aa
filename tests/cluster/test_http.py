"""HTTP as clients of all kinds speak it: OPTIONS and HEAD, CORS, targets, escapes, versions, bodies of any bytes."""
import json

from client import StreamRefused, open_stream, raw_exchange

ORIGIN = "https://app.example.com"


def ask(node, lines, body=b""):
    """One request as it is, with Connection: close. (status, headers as bytes, body)."""
    data = "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
    received, closed = raw_exchange(node.http_port, data, 20.0)
    assert closed, received
    head, _, rest = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, rest


def test_head_and_options_of_every_route(cluster, name):
    client = cluster.nodes[0].client()
    client.put(name, "x")
    for path in (f"/v1/values/{name}", f"/v1/raw/{name}", f"/v1/values?prefix={name}", "/v1/cluster", "/livez",
                 "/readyz", "/", "/v1/values/absent/" + name):
        got = client.request("GET", path)
        head = client.request("HEAD", path)
        assert head.status == got.status and head.body == b"", (path, head)
        assert head.headers["Content-Type"] == got.headers["Content-Type"], (path, head)
        if not path.startswith("/v1/cluster"):
            assert head.headers["Content-Length"] == str(len(got.body)), (path, head)
        assert head.headers.get("ETag") == got.headers.get("ETag"), (path, head)
    for path in (f"/v1/values/{name}", f"/v1/raw/{name}", "/v1/values", f"/v1/watch/{name}", f"/v1/events/{name}",
                 "/v1/cluster", "/v1/cluster/members", "/v1/cluster/members/1", "/v1/cluster/leader", "/livez", "/",
                 "/v1/cluster/snapshot", "/v1/cluster/backup", "/readyz"):
        answer = client.request("OPTIONS", path)
        assert answer.status == 204 and answer.body == b"" and "OPTIONS" in answer.headers["Allow"], (path, answer)
        refused = client.request("PATCH", path)
        assert refused.status == 405 and refused.headers["Allow"] == answer.headers["Allow"], (path, refused)
    status, head, _ = ask(cluster.nodes[0], ["OPTIONS * HTTP/1.1", "Host: localhost"])
    assert status == 204 and b"\r\nAllow: GET, HEAD, PUT, DELETE, POST, OPTIONS" in head, head


def test_cors_is_off(cluster, name):
    client = cluster.nodes[0].client()
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "OPTIONS", "PUT"):
        answer = client.request(method, f"/v1/values/{name}", {"value": "x"} if method == "PUT" else None, headers)
        assert not [h for h in answer.headers if h.lower().startswith("access-control")], answer
    assert answer.status == 403 and answer.json["code"] == "FORBIDDEN", answer


def test_cors_for_a_configured_origin(make_cluster, name):
    client = make_cluster(1, ["--allowed-origin", ORIGIN]).nodes[0].client()
    for origin, allowed in ((ORIGIN, True), ("https://other.example.com", False), ("null", False)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT",
                 "Access-Control-Request-Headers": "content-type, if-match"}
        answer = client.request("OPTIONS", f"/v1/values/{name}", None, asked)
        assert answer.status == 204 and answer.headers["Vary"] == "Origin", answer
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None), answer
        assert ("PUT" in answer.headers.get("Access-Control-Allow-Methods", "")) == allowed, answer
        answer = client.put(name, "x", headers={"Origin": origin})
        assert answer.status in ((200, 201) if allowed else (403,)), answer
        answer = client.get(name, headers={"Origin": origin})
        assert answer.status == 200, answer
        assert ("ETag" in answer.headers.get("Access-Control-Expose-Headers", "")) == allowed, answer


def test_members_pages_may_ask_each_other(cluster, name):
    """What the dashboard of one node needs of the others."""
    page, asked = cluster.nodes[0], cluster.nodes[1]
    for origin, allowed in ((f"http://127.0.0.1:{page.http_port}", True), (f"http://localhost:{page.http_port}", True),
                            (f"https://127.0.0.1:{page.http_port}", False), ("http://127.0.0.1:1", False)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Sec-Fetch-Site": "cross-site"}
        answer = asked.client().request("OPTIONS", f"/v1/values/{name}", None, headers)
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None), answer
        answer = asked.client().put(name, "x", headers={"Origin": origin})
        assert answer.status in ((200, 201) if allowed else (403,)), answer
        try:
            open_stream(asked.http_port, f"/v1/watch/{name}", headers={"Origin": origin}).close()
            assert allowed, origin
        except StreamRefused as refused:
            assert not allowed and refused.status == 403, (origin, refused)
    assert "Vary" not in asked.client().get(name).headers  # nothing of it for those who are no browsers


def test_a_node_says_where_it_is_found(make_cluster):
    node = make_cluster(1, ["--advertise-http", "node-1.example:8099"]).nodes[0]
    assert node.client().request("GET", "/v1/cluster").json["members"][0]["http"] == "node-1.example:8099"
    answer = node.client().request("GET", "/livez", headers={"Host": "node-1.example:8099"})
    assert answer.status == 200, answer


def test_targets_in_absolute_form(cluster, name):
    node = cluster.nodes[0]
    node.client().put(name, "x")
    for authority, host, expected in (("localhost", "localhost", 200), ("127.0.0.1:1", "evil.example.com", 200),
                                      ("evil.example.com", "localhost", 421), ("evil.example.com:8080", "127.0.0.1", 421)):
        status, head, _ = ask(node, [f"GET http://{authority}/v1/values/{name} HTTP/1.1", f"Host: {host}"])
        assert status == expected, (authority, host, head)
    for line in (f"GET http://localhost/v1/values/{name}", f"GET https://localhost/v1/values/{name}",
                 f"GET http://u@localhost/v1/values/{name}", "CONNECT localhost:80", "GET *", "GET localhost"):
        status, head, _ = ask(node, [f"{line} HTTP/1.1", *(["Host: localhost"] if "http://localhost" not in line else [])])
        assert status == 400, (line, head)


def test_escapes(cluster, name):
    client = cluster.nodes[0].client()
    index = client.put(f"{name}/a b+c", "x").json["index"]
    for path in ("a%20b+c", "a%20b%2Bc", "%61%20b%2bc"):
        assert client.request("GET", f"/v1/values/{name}/{path}").json["index"] == index, path
    assert client.request("GET", f"/v1/values/{name}%2fa%20b+c").json["index"] == index  # a slash like any other
    for path in ("%00", "%0a", "%7f", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%ff", "%2e%2e", "%", "%1", "%zz"):
        answer = client.request("GET", f"/v1/values/{name}/{path}")
        assert answer.status == 400 and answer.json["code"] == "INVALID", (path, answer)
    assert client.request("GET", f"/v1/values/{name}/%2500").status == 404  # decoded once: a name with "%00" in it
    # In a query "+" is a space.
    for query, count in ((f"prefix={name}/a+b%2Bc", 1), (f"prefix={name}/a%20b%2Bc", 1), (f"prefix={name}/a+b+c", 0)):
        assert len(client.request("GET", f"/v1/values?{query}").json["values"]) == count, query


def test_bodies_of_any_bytes(make_cluster, name):
    limit = 70000
    client = make_cluster(1, ["--max-value-bytes", str(limit)]).nodes[0].client()
    every = bytes(range(256))
    for body in (b"", b"\0", every, every * 100, b"\r\n\r\n", b"x" * limit):
        answer = client.request("PUT", f"/v1/raw/{name}", body)
        assert answer.status in (200, 201), answer
        got = client.request("GET", f"/v1/raw/{name}")
        assert got.body == body and got.headers["Content-Length"] == str(len(body)), len(body)
        assert got.headers["ETag"] == answer.headers["ETag"], got
    answer = client.request("PUT", f"/v1/raw/{name}", b"y" * (limit + 1))
    assert answer.status == 413 and str(limit) in answer.json["detail"], answer
    assert client.request("GET", f"/v1/raw/{name}").body == b"x" * limit


def test_conditions_and_what_is_ignored(cluster, name):
    client = cluster.nodes[0].client()
    index = client.put(name, "x").json["index"]
    for tags, status in ((f'"{index}"', 304), (f'W/"{index}"', 304), (f'"1", "{index}"', 304), (f'"abc",, "{index}"', 304),
                         ("*", 304), ('"1"', 200), ('"1", W/"2"', 200), (f'"0{index}"', 200), ("1", 400), ('"', 400)):
        for kind in ("values", "raw"):
            for method in ("GET", "HEAD"):
                answer = client.request(method, f"/v1/{kind}/{name}", headers={"If-None-Match": tags})
                assert answer.status == status, (tags, method, answer)
                assert status == 400 or answer.headers["ETag"] == f'"{index}"', answer
    answer = client.request("GET", f"/v1/raw/{name}", headers={"Range": "bytes=0-0"})
    assert answer.status == 200 and answer.body == b"x", answer
    answer = client.request("GET", f"/v1/values/{name}", headers={"X-HTTP-Method-Override": "DELETE"})
    assert answer.status == 200 and client.get(name).status == 200, answer
    assert client.get(name, "?min_index=999999999&timeout=200ms").status == 504
    answer = client.post(name, {"update": {"value": "aGk="}})
    assert answer.headers["ETag"] == f'"{answer.json["update"]["index"]}"', answer


def test_versions_and_expectations(cluster, name):
    node = cluster.nodes[0]
    put = [f"PUT /v1/raw/{name} HTTP/1.1", "Host: localhost"]
    status, head, _ = ask(node, [*put, "Content-Length: 1", "Expect: magic"], b"x")
    assert status == 417, head
    for number, body in enumerate((b"x", b"x" * 300000)):
        data = "\r\n".join([*put, f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close", "", ""])
        received, _ = raw_exchange(node.http_port, data.encode(), 1.0)
        assert received == b"HTTP/1.1 100 Continue\r\n\r\n", (number, received)
    for lines, closes in ((["GET /livez HTTP/1.0"], True), (["GET /livez HTTP/1.0", "Connection: keep-alive"], False),
                          (["GET /livez HTTP/1.1", "Host: a.localhost", "Connection: close"], True)):
        received, closed = raw_exchange(node.http_port, "\r\n".join([*lines, "", ""]).encode(), 0.5)
        assert closed == closes and received.startswith(b"HTTP/1.1 "), (lines, received)
    for header in ("Idempotency-Key: a\r\nIdempotency-Key: a", "Host: localhost\r\nContent-Length: 1"):
        status, head, _ = ask(node, [*put, "Content-Length: 1", header], b"x")
        assert status == 400, head


def test_pipelined_mix_is_answered_in_order(cluster, name):
    head = "HTTP/1.1\r\nHost: localhost\r\n"
    expected, data = [], b""
    for number in range(20):
        target = f"/v1/raw/{name}/{number}"
        for line, body, status in ((f"PUT {target}", b"v%d" % number, 201), (f"GET {target}", b"", 200),
                                   ("GET /nothing", b"", 404), (f"DELETE {target}", b"", 200), (f"GET {target}", b"", 404),
                                   ("GET /livez", b"", 200), (f"OPTIONS {target}", b"", 204), (f"PATCH {target}", b"", 405)):
            data += f"{line} {head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            expected.append(status)
    data += f"GET /livez {head}Connection: close\r\n\r\n".encode()
    for node in cluster.nodes:
        received, closed = raw_exchange(node.http_port, data, 30.0)
        found = [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]]
        assert closed and found == [*expected, 200], found
        assert json.loads(received.rpartition(b"\r\n\r\n")[2]) == {"status": "ok"}, received[-200:]
