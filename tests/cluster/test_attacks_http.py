"""Attacks over HTTP on running nodes: who is slow, greedy, or means something else than it says. The list is in tests/attacks.md."""
import http.client
import re
import socket
import time

import cluster as harness
from client import raw_exchange, wait_until

MOSTLY_WAITS = True

MEBIBYTE = 1 << 20
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n")


def statuses(received):
    return [int(status) for status in ANSWER.findall(received)]


def request(line, *headers, host="localhost", body=b""):
    head = [f"{line} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def connect(node, source="127.0.0.1", receive_buffer=None):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.bind((source, 0))
    connection.settimeout(10.0 * harness.slowness)
    connection.connect(("127.0.0.1", node.http_port))
    return connection


def drain(connection, limit):
    """What comes until the server closes, which it has to do within the limit."""
    received, deadline = b"", time.monotonic() + limit
    try:
        while True:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            chunk = connection.recv(1 << 16)
            if not chunk:
                return received
            received += chunk
    except ConnectionError:
        return received
    except socket.timeout:
        raise AssertionError(f"still open after {limit} s: {received[:200]}") from None


def drip(connection, data, pause, limit):
    """Sends byte by byte until the server answers or closes; what it said, and how long that took."""
    began = time.monotonic()
    connection.settimeout(pause)
    for byte in data:
        assert time.monotonic() - began < limit, f"still taken after {limit} s"
        try:
            connection.sendall(bytes([byte]))
            received = connection.recv(1 << 16)
        except socket.timeout:
            continue
        except ConnectionError:
            received = b""
        return received, time.monotonic() - began
    raise AssertionError("everything was sent")


def serves(node, name):
    client = node.client()
    assert client.put(f"{name}/after", "x").status in (200, 201)
    assert client.get(f"{name}/after").json["value"] == "x"
    client.close()


# --- What two programs could read differently.

SMUGGLING = [
    # What the head says beside Host, and what it has to be answered.
    ("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 501),
    ("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", 501),
    ("Transfer-Encoding: gzip\r\n", 501),
    ("Transfer-Encoding: xchunked\r\n", 501),
    ("Transfer-Encoding: identity\r\n", 501),
    ("Transfer-Encoding: chunked, identity\r\n", 400),
    ("Transfer-Encoding: identity, chunked\r\n", 400),
    ("Transfer-Encoding: \x0bchunked\r\n", 400),
    ("Transfer-Encoding: \"chunked\"\r\n", 400),
    ("Transfer-Encoding:\r\n", 400),
    ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    ("Host: localhost\r\nContent-Length: 0\r\n", 400),
    ("Content-Length: 0\r\nX: a\r\n b\r\n", 400),
    ("Content-Length: 5, 5\r\n", 400),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    ("Content-Length: +5\r\n", 400),
    ("Content-Length: 5 5\r\n", 400),
    ("Content-Length: 18446744073709551621\r\n", 400),
    ("Content-Length : 5\r\n", 400),
    ("Content-Length\t: 5\r\n", 400),
    ("Content-Length: 0\nX: y\r\n", 400),
    ("Content-Length: 0\rX: y\r\n", 400),
    ("X: a\x00b\r\nContent-Length: 0\r\n", 400),
    ("X\x00: b\r\nContent-Length: 0\r\n", 400),
    (": b\r\nContent-Length: 0\r\n", 400),
]
BAD_CHUNKS = [
    b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"+5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    b'5;a="\n"\r\nhello\r\n0\r\n\r\n', b'5;a="\0"\r\nhello\r\n0\r\n\r\n', b'5\r\nhello\r\n0;a="\n"\r\n\r\n',
]


def check_refused(node, name, attack, expected):
    """The attack with a request behind it: one answer, the end of the connection, and nothing was done."""
    hidden = request(f"PUT /v1/raw/{name}/hidden", "Content-Length: 1", body=b"x")
    received, closed = raw_exchange(node.http_port, attack + hidden, timeout=10.0 * harness.slowness)
    assert closed, ("still open", attack, received)
    assert len(statuses(received)) == 1 and statuses(received)[0] in expected, (attack, received)
    client = node.client()
    for kind in ("open", "hidden"):
        assert client.get(f"{name}/{kind}").status == 404, (kind, attack)
    client.close()


def test_the_smuggling_table(cluster, name):
    node = cluster.followers()[0]
    for fields, status in SMUGGLING:
        attack = f"PUT /v1/raw/{name}/open HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode("latin-1")
        check_refused(node, name, attack, (status,))
    line = f"PUT /v1/raw/{name}/open"
    for attack, status in ((request(line, "Content-Length: 0", host=None), 400),
                           (request(line, "Content-Length: 0", host=""), 400),
                           (request(line, "Content-Length: 0", host="a@b"), 400),
                           (request(line, "Content-Length: 0", host="localhost/x"), 400),
                           (request(line, "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
                           (request(line, "Content-Length: 0").replace(b" HTTP/1.1", b" HTTP/1.1 "), 400),
                           (request(line, "Content-Length: 0").replace(b" /v1", b"\t/v1"), 400),
                           (request(line, "Content-Length: 0").replace(b"\r\nHost", b"\nHost"), 400)):
        check_refused(node, name, attack, (status,))
    serves(node, name)


def test_bad_chunks(cluster, name):
    node = cluster.followers()[0]
    for chunks in BAD_CHUNKS:
        check_refused(node, name, request(f"PUT /v1/raw/{name}/open", "Transfer-Encoding: chunked", body=chunks), (400,))
    serves(node, name)


def test_nothing_behind_an_error_is_served(cluster, name):
    """Whatever the error that ends a connection is, what was sent behind it in the same breath is not looked at."""
    node = cluster.followers()[0]
    too_large = str(1 << 40)
    for attack, status in ((b"GET / HTTP/1.1\r\n\r\n", 400),
                           (request("GET /" + "x" * 9000), 414),
                           (request("GET /", "X: " + "y" * 9000), 431),
                           (request(f"PUT /v1/raw/{name}/open", f"Content-Length: {too_large}"), 413),
                           (request(f"PUT /v1/raw/{name}/open", "Expect: the-unexpected", "Content-Length: 0"), 417),
                           (request("GET /").replace(b"1.1", b"3.0"), 505)):
        check_refused(node, name, attack, (status,))
    # An error of one request only is no reason to end the connection.
    received, _ = raw_exchange(node.http_port, request("GET /nothing") + request("GET /livez", "Connection: close"))
    assert statuses(received) == [404, 200], received


# --- Slow, idle and many.

def test_slow_heads(make_cluster):
    node = make_cluster(size=1, options=("--header-timeout-ms", "600")).nodes[0]
    limit = 5.0 * harness.slowness
    with connect(node) as connection:
        received, seconds = drip(connection, request("GET /livez", "X: " + "y" * 1000), 0.1, limit)
        assert not received or statuses(received) == [408], received
        assert seconds > 0.5, f"given up after {seconds} s"
    with connect(node) as silent:
        assert drain(silent, limit) == b""
    with connect(node) as again:  # each head has its own time, the second as well
        again.sendall(request("GET /livez"))
        assert statuses(again.recv(1 << 16)) == [200]
        received, _ = drip(again, request("GET /livez", "X: " + "y" * 1000), 0.1, limit)
        assert not received or statuses(received) == [408], received


def test_slow_bodies(make_cluster, name):
    node = make_cluster(size=1, options=("--body-timeout-ms", "600", "--min-bytes-per-second", "1000000")).nodes[0]
    for framing, body in (("Content-Length: 100000", b"x" * 1000),
                          ("Transfer-Encoding: chunked", b"1\r\nx\r\n" * 1000)):
        with connect(node) as connection:
            connection.sendall(request(f"PUT /v1/raw/{name}", framing))
            received, seconds = drip(connection, body, 0.1, 5.0 * harness.slowness)
            assert not received or statuses(received) == [408], received
            assert seconds > 0.5, f"given up after {seconds} s"
    assert node.client().get(name).status == 404


def test_slow_readers(make_cluster, name):
    """Who asks for much and reads nothing is cut off, and the node keeps little of it."""
    node = make_cluster(size=1, options=("--write-timeout-ms", "600", "--min-bytes-per-second", "10000000")).nodes[0]
    assert node.client().request("PUT", f"/v1/raw/{name}", b"x" * MEBIBYTE).status == 201
    before = node.resident_bytes()
    asking = [connect(node, receive_buffer=4096) for _ in range(20)]
    try:
        for connection in asking:
            connection.sendall(request(f"GET /v1/raw/{name}") * 50)
        wait_until(lambda: count_connections(node) == 0, 10.0 * harness.slowness, "slow readers are cut off")
        grown = (node.resident_bytes() - before) // MEBIBYTE
        assert grown < 150 * harness.slowness, f"{grown} MiB for 20 readers of which each could have one answer"
    finally:
        for connection in asking:
            connection.close()
    serves(node, name)


def count_connections(node):
    """Established TCP connections of clients that this node has, from the system's table."""
    port, count = f":{node.http_port:04X}", 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for row in file.readlines()[1:]:
            fields = row.split()
            count += fields[1].endswith(port) and fields[3] == "01"
    return count


def test_idle_hoards(make_cluster):
    """Whichever thread has them."""
    node = make_cluster(size=1, options=("--idle-timeout-ms", "600", "--gateway-threads", "3")).nodes[0]
    hoard = [connect(node) for _ in range(100)]
    try:
        for connection in hoard:
            connection.sendall(request("GET /livez"))
            assert statuses(connection.recv(1 << 16)) == [200]
        for connection in hoard:
            assert drain(connection, 10.0 * harness.slowness) == b""
    finally:
        for connection in hoard:
            connection.close()


def test_connection_floods_from_one_address(make_cluster, name):
    """One address gets what is allowed, also as WebSockets; others are served, and it is again once it lets go."""
    node = make_cluster(size=1, options=("--max-connections", "40", "--max-connections-per-address", "10")).nodes[0]
    source = "127.0.0.9"
    streams = [node.stream(f"/v1/watch/{name}", source=source) for _ in range(4)]
    held = [connect(node, source) for _ in range(20)]
    try:
        served, refused = 0, 0
        for connection in held:
            connection.sendall(request("GET /livez"))
            answer = drain_one(connection)
            served += statuses(answer) == [200]
            refused += statuses(answer) == [503] or answer == b""
            assert statuses(answer) != [503] or b"Retry-After: " in answer, answer
        assert (served, refused) == (6, 14), "ten in all, four of which are streams"
        serves(node, name)
        held[0].close()
        streams[0].close()

        def again():
            with connect(node, source) as connection:
                connection.sendall(request("GET /livez"))
                return statuses(drain_one(connection)) == [200]
        wait_until(again, 10.0 * harness.slowness, "there is room again")
    finally:
        for connection in held:
            connection.close()
        for stream in streams:
            stream.close()


def drain_one(connection):
    """One answer of a few bytes, or nothing when the connection was cut off."""
    try:
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


def test_a_flood_of_connections_leaves_others_their_pace(cluster, name):
    node = cluster.followers()[0]
    client = node.client()
    for round_ in range(5):
        for _ in range(200):
            connect(node).close()
        began = time.monotonic()
        assert client.put(name, str(round_)).status in (200, 201)
        assert time.monotonic() - began < 2 * harness.slowness


# --- Too large.

def test_heads_at_the_limit(make_cluster):
    """The options say what is let through, to the byte."""
    node = make_cluster(size=1, options=("--max-header-bytes", "1024")).nodes[0]

    def status(data):
        received, closed = raw_exchange(node.http_port, data)
        return (statuses(received) or [0])[0], closed

    line = "GET /livez"
    rest = len("Host: localhost\r\nConnection: close\r\nX: \r\n")
    assert status(request(line, "Connection: close", "X: " + "y" * (1024 - rest))) == (200, True)
    assert status(request(line, "Connection: close", "X: " + "y" * (1025 - rest))) == (431, True)
    target = "/v1/values/" + "y" * (1024 - len("/v1/values/"))
    assert status(request("GET " + target, "Connection: close")) == (400, True)  # too long a name, but read
    assert status(request("GET " + target + "y", "Connection: close")) == (414, True)
    fields = [f"X{i}: y" for i in range(62)]
    assert status(request(line, "Connection: close", *fields)) == (200, True)
    assert status(request(line, "Connection: close", "One: more", *fields)) == (431, True)


def test_bodies_are_refused_before_they_are_sent(cluster, name):
    """Who asks first is told at once, and never told to go on."""
    node = cluster.followers()[0]
    received, closed = raw_exchange(node.http_port, request(f"PUT /v1/raw/{name}", "Expect: 100-continue",
                                                            f"Content-Length: {1 << 40}"))
    assert statuses(received) == [413] and closed, received
    # Chunks are counted as they come.
    with connect(node) as connection:
        connection.sendall(request(f"PUT /v1/raw/{name}", "Transfer-Encoding: chunked"))
        sent = 0
        try:
            while sent < 64 * MEBIBYTE:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass
        assert sent < 32 * MEBIBYTE, f"{sent} bytes of a value were taken"
    assert node.client().get(name).status == 404


# --- Whom a request is for, and who sends it.

def paths(name):
    return ["/", "/v1/values", f"/v1/values/{name}", f"/v1/raw/{name}", "/v1/cluster", "/v1/cluster/backup", "/livez", "/readyz",
            "/metrics", "/openapi.json", "/assets/x.js", "/nothing", f"/v1/watch/{name}", "/v1/events", "/v1/stream"]


def test_names_that_somebody_points_here(cluster, name):
    """DNS rebinding: on every path, whatever is there, a host that isn't this node's is refused before anything else."""
    node = cluster.followers()[0]
    client = node.client()
    client.put(name, "secret")
    for host in ("evil.example", f"evil.example:{node.http_port}", "localhost.evil.example", "127.0.0.1.evil.example",
                 "2130706433", "0x7f000001", "metadata.google.internal"):
        for path in paths(name):
            for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
                answer = client.request(method, path, headers={"Host": host})
                assert answer.status == 421 and b"secret" not in answer.body, (host, method, path, answer)
    for host in ("localhost", f"127.0.0.1:{node.http_port}", f"[::1]:{node.http_port}", "LOCALHOST."):
        assert client.request("GET", f"/v1/raw/{name}", headers={"Host": host}).body == b"secret", host
    assert client.get(name).json["value"] == "secret"


def test_targets_that_name_another_host(cluster, name):
    node = cluster.followers()[0]
    evil = (f"PUT http://evil.example/v1/raw/{name}/open", f"PUT http://localhost@evil.example/v1/raw/{name}/open",
            f"PUT https://evil.example:443/v1/raw/{name}/open", "CONNECT evil.example:443", "GET evil.example:443",
            f"PUT //evil.example/v1/raw/{name}/open", f"PUT http:/v1/raw/{name}/open", f"PUT \\v1\\raw\\{name}\\open",
            f"PUT ftp://localhost/v1/raw/{name}/open", f"PUT file:///v1/raw/{name}/open", "GET *", "PUT v1/raw/x")
    for line in evil:
        received, _ = raw_exchange(node.http_port, request(line, "Content-Length: 1", "Connection: close", body=b"x"))
        assert len(statuses(received)) == 1 and statuses(received)[0] in (400, 403, 404, 405, 421, 501), (line, received)
    # What the target says counts, whatever Host says; and the other way round nobody is fooled either.
    received, _ = raw_exchange(node.http_port, request("GET http://localhost/livez", "Connection: close", host="evil.example"))
    assert statuses(received) != [200] or b'"ok"' in received, received
    assert node.client().get(f"{name}/open").status == 404


def test_other_versions_and_protocols(cluster):
    node = cluster.followers()[0]
    for data, expected in ((b"GET /livez\r\n\r\n", [400]), (b"GET /livez HTTP/0.9\r\n\r\n", [505]),
                           (b"GET /livez HTTP/1.2\r\nHost: localhost\r\n\r\n", [505]),
                           (b"GET /livez http/1.1\r\nHost: localhost\r\n\r\n", [400]),
                           (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9, [505]),
                           (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), [400]),
                           (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", [400]), (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", [400]),
                           (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", [400])):
        received, closed = raw_exchange(node.http_port, data, half_close=True)
        assert closed and statuses(received) == expected, (data[:40], received)
    received, closed = raw_exchange(node.http_port, b"GET /livez HTTP/1.0\r\n\r\n")
    assert closed and statuses(received) == [200], received


def test_writes_from_other_sites(cluster, name):
    """CSRF: what a page of another site can send without asking (and with), is refused, whatever the type of the body."""
    node = cluster.followers()[0]
    client = node.client()
    client.put(name, "mine")
    own = f"http://127.0.0.1:{node.http_port}"
    foreign = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "file://"},
               {"Origin": own + ".evil.example"}, {"Origin": own.replace("127.0.0.1", "127.0.0.2")},
               {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
               {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}]
    types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json",
             "application/x-protobuf", None]
    writes = [("POST", f"/v1/values/{name}"), ("PUT", f"/v1/values/{name}"), ("PUT", f"/v1/raw/{name}"),
              ("DELETE", f"/v1/values/{name}"), ("POST", "/v1/cluster/snapshot"), ("POST", "/v1/cluster/leader"),
              ("POST", "/v1/cluster/members"), ("DELETE", "/v1/cluster/members/1")]
    members = len(node.status()["members"])
    for who in foreign:
        for kind in types:
            for method, path in writes:
                headers = {**who, **({"Content-Type": kind} if kind else {})}
                answer = client.request(method, path, b'{"value":"theirs"}', headers)
                assert answer.status == 403, (headers, method, path, answer)
                assert "Access-Control-Allow-Origin" not in answer.headers, answer
    assert client.get(name).json["value"] == "mine" and len(node.status()["members"]) == members
    # A page may read nothing here either, and its browser is not told that it might ask.
    preflight = client.request("OPTIONS", f"/v1/values/{name}", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type"})
    for answer in (preflight, client.get(name, headers={"Origin": "https://evil.example"})):
        assert not [h for h in answer.headers if h.lower().startswith("access-control-allow")], answer
    for who in ({"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert client.put(name, "mine", headers=who).status == 200, who


def test_a_simple_request_is_no_json(cluster, name):
    """The types that a form has are not taken for a message."""
    client = cluster.followers()[0].client()
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        answer = client.request("POST", f"/v1/values/{name}", b'{"set":{"value":"eA=="}}', {"Content-Type": kind})
        assert answer.status == 415, (kind, answer)
    assert client.get(name).status == 404


def test_methods_are_not_overridden(cluster, name):
    client = cluster.followers()[0].client()
    client.put(name, "x")
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert client.get(name, headers={header: "DELETE"}).json["value"] == "x"
        assert client.get(name, "?_method=DELETE", {header: "DELETE"}).status in (200, 400)
    assert client.get(name).json["value"] == "x"


# --- What a client says does not get where it doesn't belong.

def test_nothing_gets_into_an_answers_head(cluster, name):
    """CRLF and friends in names, queries and headers: no header of the answer is a client's."""
    node = cluster.followers()[0]
    evil = "%0d%0aInjected:%20yes%0d%0a%0d%0aHTTP/1.1%20200%20OK"
    for line, headers in ((f"GET /v1/values/{name}{evil}", ()), (f"PUT /v1/raw/{name}{evil}", ("Content-Length: 0",)),
                          (f"GET /v1/values?prefix={evil}", ()), (f"GET /v1/values?after={evil}&x={evil}", ()),
                          (f"GET /{evil}", ()), (f"GET /v1/watch/{evil}", ()), (f"GET /v1/values/{name}?{evil}=1", ()),
                          ("GET /livez", ("Origin: https://x\r\n Injected: yes",)),
                          ("GET /livez", ("X: \x85Injected: yes", "Accept: \u00ff")),
                          ("GET /v1/values/x", ("If-None-Match: \"1\", \x01",)),
                          ("GET /v1/values/x", ("traceparent: 00-\rInjected: yes",)),
                          ("PUT /v1/raw/x", ("Content-Type: text/html\x00Injected", "Content-Length: 0")),
                          ("PUT /v1/values/x", ("Content-Type: text/html; Injected: yes", "Content-Length: 0"))):
        received, _ = raw_exchange(node.http_port, request(line, *headers, "Connection: close"))
        head = received.split(b"\r\n\r\n")[0]
        assert len(statuses(received)) == 1, (line, received)
        assert not re.search(rb"(?i)[\r\n]injected", head), (line, received)
        assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", head), (line, received)
        assert re.search(rb"[^\r]\n", head) is None and re.search(rb"\r[^\n]", head) is None, (line, received)


def test_nothing_gets_a_line_of_its_own_in_the_log(make_cluster):
    """Names, hosts, targets and handshakes that would end a line of the log and begin another."""
    node = make_cluster(size=1, options=("--log-level", "debug")).nodes[0]
    forged = "2026-01-01T00:00:00.000Z FORGED"
    for text in (f"%0a{forged}", f"%0d%0a{forged}", f"%1b[2J%0a{forged}", f"%E2%80%A8{forged}", f"%C2%85{forged}"):
        for line in (f"PUT /v1/raw/{text}", f"GET /v1/values?prefix={text}", f"GET /v1/watch/{text}"):
            raw_exchange(node.http_port, request(line.replace(" FORGED", "%20FORGED"), "Content-Length: 0",
                                                 "Connection: close"))
    for data in (f"\n{forged}\n", f"GET /livez HTTP/1.1\r\nHost: \n{forged}\n\r\n\r\n", f"GET /\x1b[2J\n{forged} HTTP/1.1\r\n\r\n",
                 f"GET /livez HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\x0b{forged}\r\n\r\n"):
        for port in (node.http_port, node.raft_port):
            raw_exchange(port, data.encode(), timeout=1.0, half_close=True)
    with open(node.log_path, "rb") as file:
        log = file.read()
    assert len(log) > 100 and not re.search(rb"(?m)^.{0,4}2026-01-01T00:00:00.000Z FORGED", log), log
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", log), "a control character in the log"


def test_paths_lead_to_no_file(cluster):
    node = cluster.followers()[0]
    for path in ("/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/../../../../etc/passwd", "/..\\..\\etc\\passwd",
                 "/assets/..%2f..%2fetc%2fpasswd", "/assets/../../etc/passwd", "/assets/%00", "/index.html%00.js", "/.git/config",
                 "/%5c..%5c..%5cetc%5cpasswd", "/..;/etc/passwd", "//etc/passwd", "/.", "/./etc/passwd", "/%252e%252e/etc/passwd",
                 "/proc/self/environ", "/v1/raw/..%2f..%2fetc%2fpasswd", "/v1/cluster/backup/../../etc/passwd", "/etc/passwd"):
        received, _ = raw_exchange(node.http_port, request(f"GET {path}", "Connection: close"))
        assert statuses(received) in ([400], [404]), (path, received)
        assert b"root:" not in received and b"PATH=" not in received, (path, received)


def test_a_value_is_no_page(cluster, name):
    """What anybody stores is never run by a browser that is led to it, and the page that is ours is framed by itself only."""
    client = cluster.followers()[0].client()
    client.request("PUT", f"/v1/raw/{name}", b"<script>alert(1)</script>", {"Content-Type": "text/html"})
    for path in (f"/v1/raw/{name}", f"/v1/values/{name}"):
        answer = client.request("GET", path, headers={"Accept": "text/html"})
        assert answer.status == 200 and "html" not in answer.headers["Content-Type"], answer
        if path.startswith("/v1/raw"):
            assert answer.headers["X-Content-Type-Options"] == "nosniff", answer
            assert "sandbox" in answer.headers.get("Content-Security-Policy", ""), answer
    page = client.request("GET", "/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy, policy
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy, policy
    assert "Set-Cookie" not in page.headers


# --- Small things that mean two things.

def test_what_is_said_twice(cluster, name):
    node = cluster.followers()[0]
    client = node.client()
    client.put(name, "x")
    for query in ("?consistency=local&consistency=linearizable", "?timeout=1s&timeout=2s"):
        assert client.get(name, query).status == 400, query
    for headers in (("Idempotency-Key: a", "Idempotency-Key: b"), ("Content-Type: application/json", "Content-Type: text/plain"),
                    ("Origin: https://a.example", "Origin: https://b.example"), ("Expect: 100-continue", "Expect: 100-continue")):
        received, _ = raw_exchange(node.http_port, request(f"PUT /v1/raw/{name}", *headers, "Content-Length: 1",
                                                           "Connection: close", body=b"y"))
        assert statuses(received) == [400], (headers, received)
    assert client.get(name).json["value"] == "x"


def test_ranges_are_whole(cluster, name):
    client = cluster.followers()[0].client()
    client.request("PUT", f"/v1/raw/{name}", b"0123456789")
    for ranges in ("bytes=0-1", "bytes=-1", "bytes=5-", "bytes=0-0,1-1,2-2", "bytes=99-", "nonsense", "bytes=" + "0-," * 1000):
        answer = client.request("GET", f"/v1/raw/{name}", headers={"Range": ranges})
        assert answer.status == 200 and answer.body == b"0123456789", (ranges, answer)


def test_conditions_that_are_none(cluster, name):
    client = cluster.followers()[0].client()
    index = client.put(name, "x").json["index"]
    for field in ("If-Match", "If-None-Match"):
        for value in (f'W/"{index}"', f'"{index}", "{index + 1}"', '"18446744073709551616"', '"' + "9" * 300 + '"', f'"{index}',
                      f"{index}", '"-1"', "*, *", '""', ",", "W/*", f'"0{index}"', f'"{index}" x', "\u00ff"):
            answer = client.put(name, "no", headers={field: value})
            assert answer.status in (400, 412), (field, value, answer)
            assert client.get(name, headers={field: value}).status in (200, 304, 400, 412), (field, value)
    assert client.get(name).json["index"] == index


def test_a_client_that_goes_leaves_nothing(cluster, name):
    """Cut off in the middle of everything, many times: no connection is left behind."""
    node = cluster.followers()[0]
    client = node.client()
    client.put(name, "x" * 10000)
    pieces = request(f"PUT /v1/raw/{name}", "Content-Length: 5000") + b"x" * 4999
    for i in range(100):
        connection = connect(node)
        if i % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.sendall(pieces[:1 + i * 51] if i % 4 < 2 else request(f"GET /v1/values/{name}") * i)
        connection.close()
    client.close()
    wait_until(lambda: count_connections(node) == 0, 15.0 * harness.slowness, "no connection is left")
    with_new = node.client()
    assert with_new.get(name).json["value"] == "x" * 10000
    try:
        with_new.request("GET", "/livez")
    except http.client.HTTPException as error:
        raise AssertionError("the next request is answered") from error
