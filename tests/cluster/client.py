"""HTTP, WebSocket and raw-socket clients for the cluster tests. All but the raw ones hold what they see against the
nodes' OpenAPI document (contract.py)."""
import base64
import datetime
import errno
import http.client
import json
import socket
import struct
import time
import urllib.parse

import websocket

import contract

# Registered, and unknown to the library.
websocket._abnf.VALID_CLOSE_STATUS += (1012, 1013)  # pylint: disable=protected-access


class Response:
    """A whole HTTP answer. Header names are matched without regard to case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


def quoted(name):
    return urllib.parse.quote(name, safe="/")


class Client:
    """One keep-alive connection to one node, opened again when it broke. Use it from one thread."""

    def __init__(self, port, timeout=15.0, host="127.0.0.1"):
        self.host = host
        self.port = port
        self.timeout = timeout
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def request(self, method, target, body=None, headers=None):
        """Raises OSError or http.client.HTTPException when there is no whole answer. Never retries."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        elif isinstance(body, str):
            body = body.encode()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            self.connection.request(method, target, body=body, headers=headers or {})
            answer = self.connection.getresponse()
            data = answer.read()
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        response = Response(answer.status, answer.headers, data)
        contract.check(method, target, headers, body, response)
        return response

    # Values, by name.

    def get(self, name, query="", headers=None):
        return self.request("GET", f"/v1/values/{quoted(name)}{query}", headers=headers)

    def put(self, name, value, ttl=None, headers=None, query="", **fields):
        body = dict(fields)
        if isinstance(value, bytes):
            body["value_base64"] = base64.b64encode(value).decode()
        else:
            body["value"] = value
        if ttl is not None:
            body["ttl"] = ttl
        return self.request("PUT", f"/v1/values/{quoted(name)}{query}", body, headers)

    def delete(self, name, headers=None, query=""):
        return self.request("DELETE", f"/v1/values/{quoted(name)}{query}", headers=headers)

    def post(self, name, message):
        return self.request("POST", f"/v1/values/{quoted(name)}", message)


class StreamRefused(Exception):
    """An ordinary answer came instead of a stream."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status
        self.headers = headers
        self.body = body


TRANSPORTS = ("websocket", "sse", "ndjson")


def open_stream(port, path, transport="websocket", cursor=None, **options):
    """Opens a stream, from a cursor the way the transport's clients do it. Raises StreamRefused."""
    if transport == "websocket":
        return WebSocketStream(port, with_cursor(path, cursor), **options)
    if transport == "ndjson":
        return HttpStream(port, with_cursor(path, cursor), **options)
    headers = {"Accept": "text/event-stream", **options.pop("headers", {})}
    if cursor is not None:
        headers["Last-Event-ID"] = cursor
    return HttpStream(port, path, headers=headers, **options)


def with_cursor(path, cursor):
    if cursor is None:
        return path
    return f"{path}{'&' if '?' in path else '?'}cursor={quoted(cursor)}"


class Stream:
    """A stream of messages. `receive` checks what every stream promises: cursors never go back."""

    def __init__(self):
        self.cursor = None
        self.close_code = None  # of a WebSocket

    def read_message(self, deadline):
        """The next one, or None when the server ended the stream. TimeoutError when there is none until then."""
        raise NotImplementedError

    def receive(self, timeout=10.0):
        """The next message of any type, or None when the server ended the stream (see close_code)."""
        message = self.read_message(time.monotonic() + timeout)
        if message is not None:
            contract.check_message(message)
            cursor = message["cursor"]
            assert self.cursor is None or numeric(cursor) >= numeric(self.cursor), \
                f"cursor went back from {self.cursor} to {cursor}"
            self.cursor = cursor
        return message

    def next(self, timeout=10.0):
        """The next message that is not a progress notice."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0.01, deadline - time.monotonic()))
            assert message is not None, f"the server closed the stream with {self.close_code}"
            if message["type"] != "progress":
                return message

    def nothing(self, seconds):
        """Asserts that only progress notices arrive for that long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.receive(left)
            except TimeoutError:
                return
            assert message is not None and message["type"] == "progress", message


class WebSocketStream(Stream):
    def __init__(self, port, path, timeout=10.0, receive_buffer=None, headers=None, host="127.0.0.1", source=None):
        super().__init__()
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
        # From another address of this machine.
        connected = socket.create_connection((host, port), timeout, (source, 0)) if source else None
        headers = dict(headers or {})
        origin = headers.pop("Origin", None)
        try:
            self.socket = websocket.create_connection(
                f"ws://{host}:{port}{path}", timeout=timeout, sockopt=options, enable_multithread=True,
                header=headers, origin=origin, socket=connected, skip_utf8_validation=True)  # json checks it, quicker
        except websocket.WebSocketBadStatusException as error:
            refused = StreamRefused(error.status_code, error.resp_headers, getattr(error, "resp_body", b"") or b"")
            contract.check("GET", path, headers, None, refused)
            raise refused from None
        contract.check("GET", path, headers, None, Response(self.socket.status, self.socket.headers, b""))

    def read_message(self, deadline):
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                opcode, data = self.socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException as error:
                raise TimeoutError from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.close_code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else None
                return None
            if opcode == websocket.ABNF.OPCODE_TEXT:
                return json.loads(data)
            # Pings are answered by the library; nothing else is expected.
            assert opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG), opcode

    def close(self):
        self.socket.close(timeout=1)


class HttpStream(Stream):
    """Lines of JSON or server-sent events in a chunked body, read by a strict parser of its own."""

    def __init__(self, port, path, timeout=10.0, receive_buffer=None, headers=None, host="127.0.0.1"):
        super().__init__()
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.received = bytearray()  # and not taken yet
        self.body = bytearray()  # the same, out of its chunks
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        deadline = time.monotonic() + timeout
        status_line, *fields = self._take_until(b"\r\n\r\n", deadline).decode().split("\r\n")
        self.status = int(status_line.split()[1])
        self.headers = {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}
        if self.status != 200:
            self._fill(int(self.headers["content-length"]), deadline)
            self.socket.close()
            refused = StreamRefused(self.status, self.headers, bytes(self.received))
            contract.check("GET", path, headers, None, refused)
            raise refused
        contract.check("GET", path, headers, None, Response(self.status, self.headers, None))
        assert self.headers["transfer-encoding"] == "chunked", self.headers
        self.is_sse = self.headers["content-type"] == "text/event-stream"
        assert self.is_sse or self.headers["content-type"] == "application/x-ndjson", self.headers
        self.retry_ms = None
        self.ended = False

    def _receive_some(self, deadline):
        self.socket.settimeout(max(0.01, deadline - time.monotonic()))
        data = self.socket.recv(65536)
        assert data, "the connection ended within the body"
        self.received += data

    def _fill(self, size, deadline):
        while len(self.received) < size:
            self._receive_some(deadline)

    def _take_until(self, end, deadline):
        while (at := self.received.find(end)) < 0:
            self._receive_some(deadline)
        taken = bytes(self.received[:at])
        del self.received[:at + len(end)]
        return taken

    def _take_chunk(self, deadline):
        while (at := self.received.find(b"\r\n")) < 0:
            self._receive_some(deadline)
        size = int(self.received[:at], 16)
        self._fill(at + 2 + size + 2, deadline)  # nothing is taken before all of it is there
        self.body += self.received[at + 2:at + 2 + size]
        assert self.received[at + 2 + size:at + 4 + size] == b"\r\n", "a chunk has no end"
        del self.received[:at + 4 + size]
        self.ended = size == 0

    def _take_block(self, deadline):
        """An event of SSE, or a line; None at the end of the body."""
        end = b"\n\n" if self.is_sse else b"\n"
        while (at := self.body.find(end)) < 0:
            if self.ended:
                assert not self.body, f"the body ended within a message: {bytes(self.body[:300])}"
                return None
            self._take_chunk(deadline)
        block = self.body[:at].decode()
        del self.body[:at + len(end)]
        return block

    def read_message(self, deadline):
        while True:
            block = self._take_block(deadline)
            if block is None:
                return None
            if not self.is_sse:
                return json.loads(block)
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            if "data" in fields:
                assert set(fields) == {"id", "data"}, fields
                message = json.loads(fields["data"])
                assert message["cursor"] == fields["id"], fields
                return message
            assert set(fields) == {"retry"} and self.retry_ms is None, fields
            self.retry_ms = int(fields["retry"])

    def close(self):
        self.socket.close()


def numeric(cursor):
    """Cursors are opaque to users; here they are compared: "42.3" is inside entry 42, "42" after all of it."""
    index, _, position = cursor.partition(".")
    return (int(index), int(position) if position else float("inf"))


def parse_time(text):
    """Seconds since 1970 of an RFC 3339 time in UTC."""
    assert text.endswith("Z") and "T" in text, text
    return datetime.datetime.fromisoformat(text[:-1][:26] + "+00:00").timestamp()


def raw_exchange(port, data, timeout=5.0, half_close=False):
    """Sends bytes as they are. Returns what came back until close or timeout, and whether the server closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        received = bytearray()
        deadline = time.monotonic() + timeout
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                chunk = connection.recv(65536)
                if not chunk:
                    return bytes(received), True
                received += chunk
        except socket.timeout:
            return bytes(received), False
        except OSError as error:  # cut off; shutdown() calls that "not connected"
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
            return bytes(received), True
        return bytes(received), False


def wait_until(condition, timeout, what):
    """Polls until condition() is true, and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException):
            value = None
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"after {timeout:.1f} s still not: {what}")
        time.sleep(0.02)
