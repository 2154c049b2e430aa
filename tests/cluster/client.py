"""HTTP, WebSocket and raw-socket clients for the cluster tests. Standard library and python3-websocket only."""
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
        return Response(answer.status, answer.headers, data)

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


class Stream:
    """A WebSocket stream. `next` checks what every stream promises: cursors never go back."""

    def __init__(self, port, path, timeout=10.0, receive_buffer=None, host="127.0.0.1"):
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)] if receive_buffer else []
        self.socket = websocket.create_connection(
            f"ws://{host}:{port}{path}", timeout=timeout, sockopt=options, enable_multithread=True)
        self.cursor = None
        self.close_code = None

    def receive(self, timeout=10.0):
        """The next message of any type, or None when the server closed (see close_code)."""
        deadline = time.monotonic() + timeout
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            opcode, data = self.socket.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.close_code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else None
                return None
            if opcode == websocket.ABNF.OPCODE_TEXT:
                message = json.loads(data)
                cursor = message.get("cursor")
                if cursor is not None:
                    assert self.cursor is None or numeric(cursor) >= numeric(self.cursor), \
                        f"cursor went back from {self.cursor} to {cursor}"
                    self.cursor = cursor
                return message
            # Pings are answered by the library; nothing else is expected.
            assert opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG), opcode

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
            except websocket.WebSocketTimeoutException:
                return
            assert message is not None and message["type"] == "progress", message

    def close(self):
        self.socket.close(timeout=1)


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
