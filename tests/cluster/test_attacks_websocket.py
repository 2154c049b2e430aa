"""Attacks over WebSockets on running nodes. The list is in tests/attacks.md."""
import json
import os
import re
import select
import socket
import struct
import time

import websocket

import cluster as harness
from client import raw_exchange, wait_until

MOSTLY_WAITS = True

MEBIBYTE = 1 << 20
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="


def handshake(path, *headers, host="localhost", key=KEY, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", key, *headers]
    return ("\r\n".join(line for line in lines if line) + "\r\n\r\n").encode()


def frame(first, payload=b"", length=None, masked=True):
    """A client's frame; `length` is what it says it has."""
    size = len(payload) if length is None else length
    mask = os.urandom(4) if masked else b""
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size <= 0xFFFF:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if masked:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + payload


def close_code(stream, limit=10.0):
    """The code with which the server closes, or None when it only cut the connection."""
    try:
        while stream.receive(limit * harness.slowness) is not None:
            pass
    except (websocket.WebSocketConnectionClosedException, ConnectionError):
        return None
    return stream.close_code


def serves(node, name):
    client = node.client()
    assert client.put(f"{name}/after", "x").status in (200, 201)
    client.close()


# What breaks the framing, and the code it has to be closed with (RFC 6455 §7.4).
BAD_FRAMES = {
    "not masked": (frame(0x81, b"hi", masked=False), 1002),
    "a reserved bit": (frame(0xC1, b"hi"), 1002),
    "deflated, though that wasn't agreed on": (frame(0xC2, b"\xaa\x00"), 1002),
    "an unknown kind": (frame(0x83, b"hi"), 1002),
    "an unknown control frame": (frame(0x8B), 1002),
    "a continuation of nothing": (frame(0x80, b"hi"), 1002),
    "a message inside of a message": (frame(0x01, b"a") + frame(0x81, b"b"), 1002),
    "a ping in parts": (frame(0x09, b"a"), 1002),
    "a close in parts": (frame(0x08, struct.pack("!H", 1000)), 1002),
    "a ping of 126 bytes": (frame(0x89, b"x" * 126), 1002),
    "a close of one byte": (frame(0x88, b"\x03"), 1002),
    "a close with a code that may not be sent": (frame(0x88, struct.pack("!H", 1005)), 1002),
    "2^63 bytes": (frame(0x82, length=1 << 63), None),
    "2^62 bytes": (frame(0x82, length=1 << 62), 1009),
    "a message over the limit": (frame(0x82, length=65537), 1009),
    "over the limit in parts": (frame(0x02, b"x" * 40000) + frame(0x80, length=30000), 1009),
    "text that isn't UTF-8": (frame(0x81, b"gr\xfc\xdf"), 1007),
    "text with an overlong form": (frame(0x81, b"\xc0\xaf"), 1007),
    "text with a surrogate": (frame(0x81, b"\xed\xa0\x80"), 1007),
    "text that ends within a character": (frame(0x81, b"gr\xc3"), 1007),
    "text that isn't UTF-8 in parts": (frame(0x01, b"gr\xc3") + frame(0x80, b"x"), 1007),
}


def test_frames_that_break_the_rules(cluster, name):
    node = cluster.followers()[0]
    for what, (data, code) in BAD_FRAMES.items():
        stream = node.stream(f"/v1/watch/{name}")
        stream.socket.sock.sendall(data)
        seen = close_code(stream)
        # Where the peer is beyond help the connection may simply end; a wrong code is wrong.
        assert seen == code or (seen is None and code == 1002) or code is None, (what, seen)
        stream.socket.shutdown()
    serves(node, name)


def test_a_close_is_answered(cluster, name):
    stream = cluster.followers()[0].stream(f"/v1/watch/{name}")
    stream.socket.sock.sendall(frame(0x88, struct.pack("!H", 1000) + b"bye"))
    assert close_code(stream) == 1000


def test_handshakes_that_are_none(cluster, name):
    node = cluster.followers()[0]
    path = f"/v1/watch/{name}"
    for data, expected in (
            (handshake(path, KEY), (400,)),
            (handshake(path, key="Sec-WebSocket-Key: c2hvcnQ="), (400,)),
            (handshake(path, key=None), (400,)),
            (handshake(path, "Sec-WebSocket-Version: 13"), (400,)),
            (handshake(path).replace(b"Version: 13", b"Version: 8"), (426,)),
            (handshake(path, "Content-Length: 5") + b"hello", (400,)),
            (handshake(path, "Transfer-Encoding: chunked") + b"0\r\n\r\n", (400,)),
            (handshake(path) + frame(0x81, b"too early"), (400,)),
            (handshake(path, method="POST"), (400, 405, 411, 426)),
            (handshake(path).replace(b"HTTP/1.1", b"HTTP/1.0"), (200, 400, 426)),  # 200: lines, no upgrade
            (handshake("/v1/values"), (200, 400, 426)),
            (handshake("/v1/watch/a//b"), (400,))):
        received, _ = raw_exchange(node.http_port, data, timeout=2.0)
        assert received[9:12].isdigit() and int(received[9:12]) in expected, (data, received)
    serves(node, name)


def test_no_compression_is_agreed_on(cluster, name):
    received, _ = raw_exchange(cluster.followers()[0].http_port, handshake(
        f"/v1/watch/{name}", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), timeout=1.0)
    assert received.startswith(b"HTTP/1.1 101") and b"permessage-deflate" not in received, received


def test_streams_for_pages_of_other_sites(cluster, name):
    """Cross-site WebSocket hijacking: no stream is opened for a page of another site, cookie or not."""
    node = cluster.followers()[0]
    for path in (f"/v1/watch/{name}", f"/v1/events/{name}", "/v1/events", "/v1/stream"):
        for headers in (("Origin: https://evil.example",), ("Origin: null",), ("Origin: http://localhost.evil.example",),
                        ("Origin: http://localhost:1",), ("Origin: file://",), ("Origin:",),
                        ("Origin: https://evil.example", "Cookie: session=1"), ("Sec-Fetch-Site: cross-site", "Cookie: a=b")):
            received, _ = raw_exchange(node.http_port, handshake(path, *headers, "Connection: close"), timeout=2.0)
            expected = (b"403", b"404") if path in ("/v1/events", "/v1/stream") else (b"403",)
            assert received[9:12] in expected, (path, headers, received)
        received, _ = raw_exchange(node.http_port, handshake(path, host="evil.example"), timeout=2.0)
        assert received.startswith(b"HTTP/1.1 421"), (path, received)
    own = handshake(f"/v1/watch/{name}", f"Origin: http://localhost:{node.http_port}", host=f"localhost:{node.http_port}")
    received, _ = raw_exchange(node.http_port, own, timeout=1.0)
    assert received.startswith(b"HTTP/1.1 101"), received


def test_a_flood_of_pings(cluster, name):
    """Pings without end by who reads no pong: memory stays, others are served."""
    node = cluster.followers()[0]
    stream = node.stream(f"/v1/watch/{name}", receive_buffer=4096)
    before = node.resident_bytes()
    pings = frame(0x89, b"x" * 125) * 500
    stream.socket.sock.settimeout(0.2)
    client = node.client()
    sent, deadline = 0, time.monotonic() + 4
    try:
        while time.monotonic() < deadline:
            try:
                sent += stream.socket.sock.send(pings)
            except socket.timeout:
                pass
            began = time.monotonic()
            assert client.put(name, "x").status in (200, 201)
            assert time.monotonic() - began < 2 * harness.slowness
    except ConnectionError:
        pass  # cut off: as good
    grown = (node.resident_bytes() - before) // MEBIBYTE
    assert grown < 32 * harness.slowness, f"{grown} MiB after {sent} bytes of pings"
    stream.socket.shutdown()


def test_who_never_answers_a_ping(make_cluster, name):
    node = make_cluster(size=1, options=("--websocket-idle-timeout-ms", "1000")).nodes[0]
    stream = node.stream(f"/v1/watch/{name}")
    raw, began, received = stream.socket.sock, time.monotonic(), b""
    raw.settimeout(15.0 * harness.slowness)
    try:
        while chunk := raw.recv(1 << 16):
            received += chunk
    except ConnectionError:
        pass
    assert time.monotonic() - began > 0.5 and b"\x89\x00" in received, (time.monotonic() - began, received)
    # One that answers stays, though it says nothing else.
    living = node.stream(f"/v1/watch/{name}")
    until = time.monotonic() + 3.0
    while (left := until - time.monotonic()) > 0:
        try:
            assert living.receive(left) is not None, "closed although it answered"
        except TimeoutError:
            break
    living.close()


def test_a_message_that_drips(cluster, name):
    """A byte a frame: the message ends the connection at its limit at the latest, and is not kept meanwhile."""
    node = cluster.followers()[0]
    stream = node.stream(f"/v1/watch/{name}")
    before = node.resident_bytes()
    raw = stream.socket.sock
    raw.settimeout(20.0 * harness.slowness)
    try:
        raw.sendall(frame(0x02, b"x"))
        for _ in range(200):
            raw.sendall(frame(0x00, b"x") * 1000)
    except ConnectionError:
        pass
    # It may be cut off while it still sends: then it is told nothing.
    assert close_code(stream) in (1008, 1009, None)
    assert (node.resident_bytes() - before) // MEBIBYTE < 16 * harness.slowness
    serves(node, name)


def frames_of(received):
    """What the server's frames are: their first bytes and payloads."""
    while len(received) >= 2:
        head, length = 2, received[1]
        if length == 126:
            head, length = 4, int.from_bytes(received[2:4], "big")
        yield received[0], received[head:head + length]
        received = received[head + length:]


def drip(raw, parts, pause):
    """Sends these parts slowly; the code with which the server closes meanwhile and the seconds it took, or None."""
    received = b""
    began = time.monotonic()
    for part in parts:
        raw.sendall(part)
        while select.select([raw], [], [], pause)[0]:
            received += raw.recv(4096)
            for first, payload in frames_of(received):
                if first == 0x88:
                    return int.from_bytes(payload[:2], "big"), time.monotonic() - began
    return None


def test_messages_that_drip_for_ever(make_cluster, name):
    """Bytes of one frame, frames of one byte, half a header, bytes between pings: a message's time is counted from
    its first byte, whatever else comes."""
    node = make_cluster(size=1, options=("--body-timeout-ms", "1000", "--min-bytes-per-second", "1000")).nodes[0]
    command = json.dumps({"id": 1, "name": name, "input": {"set": {"value": "eA=="}}}).encode()
    whole = frame(0x81, command.ljust(2000))
    endless = {
        "bytes": [whole[i:i + 1] for i in range(1000)],
        "frames": [frame(0x01, b"{")] + [frame(0x00, b" ")] * 1000,
        "half a header": [whole[:3]] + [b""] * 1000,
        "bytes between pings": [frame(0x01, b"{"), *[frame(0x89), frame(0x89), frame(0x00, b" ")] * 300],
    }
    for path in ("/v1/stream", f"/v1/watch/{name}"):
        for what, parts in endless.items():
            stream = node.stream(path)
            closed = drip(stream.socket.sock, parts, 0.05)
            assert closed is not None, (path, what)
            # A second, and a millisecond for each byte; the deadlines are swept now and then.
            assert closed[0] == 1008 and 0.7 < closed[1] < 5.0 * harness.slowness, (path, what, closed)
            stream.socket.shutdown()
    # Who keeps up the rate is heard to the end, however long that takes.
    steady = node.stream("/v1/stream")
    pieces = [whole[i:i + 200] for i in range(0, len(whole), 200)]
    assert drip(steady.socket.sock, pieces[:-1], 0.15) is None
    steady.socket.sock.sendall(pieces[-1])
    assert "output" in steady.socket.recv(), "the command was carried out"
    serves(node, name)


def test_fragments_of_nothing(cluster, name):
    """Frames without a byte make no message either; whoever sends them without end is nobody's burden."""
    node = cluster.followers()[0]
    stream = node.stream(f"/v1/watch/{name}")
    raw, client = stream.socket.sock, node.client()
    before = node.resident_bytes()
    raw.settimeout(0.2)
    deadline = time.monotonic() + 3
    empty = frame(0x00) * 2000
    try:
        raw.sendall(frame(0x02))
        while time.monotonic() < deadline:
            try:
                raw.send(empty)
            except socket.timeout:
                pass
            assert client.put(name, "x").status in (200, 201)
    except ConnectionError:
        pass
    assert (node.resident_bytes() - before) // MEBIBYTE < 16 * harness.slowness
    stream.socket.shutdown()


def test_messages_larger_than_allowed(make_cluster, name):
    node = make_cluster(size=1, options=("--max-message-bytes", "1000")).nodes[0]
    stream = node.stream(f"/v1/watch/{name}")
    stream.socket.sock.sendall(frame(0x82, length=1001))
    assert close_code(stream) == 1009
    smaller = node.stream(f"/v1/watch/{name}")
    smaller.socket.sock.sendall(frame(0x82, b"x" * 1000))
    assert close_code(smaller) == 1003, "read, and of no use on this stream"


def test_names_in_a_handshake_get_into_no_head(cluster, name):
    received, _ = raw_exchange(cluster.followers()[0].http_port, handshake(
        f"/v1/watch/{name}%0d%0aInjected:%20x", "Sec-WebSocket-Protocol: a, \x01Injected: x"), timeout=1.0)
    assert received.startswith(b"HTTP/1.1 400") and not re.search(rb"[\r\n]Injected", received), received
