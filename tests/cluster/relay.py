"""Stands between the nodes of a cluster, and cuts single one-way links between them.

Every node listens where only the relay knows, and all are told that the others are at the relay's ports. Who dials says
so in his first words (raft/peers/handshake.h), and a connection carries messages of the node that dialled only: so the
connection from `a` to `b` is the one-way link from `a` to `b`.

A link that is cut is silent, as on a network that loses packets: connections stay open and nothing passes, new ones get no
answer. What was under way is late when the link is healed, not lost, as TCP would repeat it.

Where `bytes_per_second` is set, each link carries about so many.
"""
import select
import socket
import threading
import time

import cluster as harness

_PREFIX_BYTES = 16
_HELLO_BYTES_MAX = 4096
_MAGIC = b"CAIRNHLO"


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def hello_from(body):
    """Field `from` (3) of a cairn.raft.v1.Hello."""
    at = 0
    while at < len(body):
        key, at = _varint(body, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(body, at)
            if field == 3:
                return value
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            length, at = _varint(body, at)
            at += length
        else:
            break
    raise ValueError("no sender in this Hello")


def _receive_exactly(source, size):
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError("closed within the Hello")
        data += more
    return data


def _receive_hello(dialler):
    prefix = _receive_exactly(dialler, _PREFIX_BYTES)
    size = int.from_bytes(prefix[8:12], "little")
    if not prefix.startswith(_MAGIC) or size > _HELLO_BYTES_MAX:
        raise ValueError("this is no Hello")
    return prefix + _receive_exactly(dialler, size)


def _close(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads it
        except OSError:
            pass  # not connected any more
        one.close()


class Relay:
    """Made for a cluster that has not been started; to be closed before the cluster is stopped."""

    def __init__(self, cluster):
        self._changed = threading.Condition()
        self._cut = set()
        self._closed = False
        self.bytes_per_second = None
        self._sockets = set()
        self._ids = [node.id for node in cluster.nodes]
        self._targets = {node.id: node.raft_port for node in cluster.nodes}
        self._listeners = {node.id: self._listen(harness.free_port()) for node in cluster.nodes}
        ports = {node_id: listener.getsockname()[1] for node_id, listener in self._listeners.items()}
        cluster.initial_cluster = ",".join(f"{node_id}=127.0.0.1:{port}" for node_id, port in ports.items())
        for node_id in self._ids:
            self._run(self._accept, node_id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            sockets = list(self._sockets)
        _close(*self._listeners.values(), *sockets)

    # What tests say.

    def cut(self, sender, receiver):
        """One way: the receiver gets nothing from the sender any more."""
        with self._changed:
            self._cut.add((sender, receiver))

    def part(self, a, b):
        """Both ways."""
        self.cut(a, b)
        self.cut(b, a)

    def leave_only(self, joined=(), one_way=()):
        """Cuts everything but the pairs that are joined both ways, and these one-way links."""
        left = set(one_way) | {(a, b) for a, b in joined} | {(b, a) for a, b in joined}
        with self._changed:
            self._cut = {(a, b) for a in self._ids for b in self._ids if a != b and (a, b) not in left}
            self._changed.notify_all()

    def heal(self):
        with self._changed:
            self._cut = set()
            self._changed.notify_all()

    # What carries it out, in threads that end with the connection or the relay.

    def _listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    @staticmethod
    def _run(work, *arguments):
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self, receiver):
        while True:
            try:
                dialler, _ = self._listeners[receiver].accept()
            except OSError:
                return  # closed
            self._run(self._connect, dialler, receiver)

    def _connect(self, dialler, receiver):
        target = socket.socket()
        try:
            if not self._keep(dialler, target):
                return
            hello = _receive_hello(dialler)
            link = (hello_from(hello[_PREFIX_BYTES:]), receiver)
            if not self._wait_for(link, dialler):
                raise ConnectionError("given up while the link was cut")
            target.connect(("127.0.0.1", self._targets[receiver]))
            for one in (dialler, target):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target.sendall(hello)
        except (OSError, ValueError):
            self._forget(dialler, target)
            return
        self._run(self._pump, link, dialler, target)
        self._run(self._pump, link, target, dialler)

    def _pump(self, link, source, destination):
        try:
            while True:
                data = source.recv(1 << 16)
                # Also the end of a connection isn't heard of over a link that is cut.
                if not self._wait_for(link) or not data:
                    break
                destination.sendall(data)
                if self.bytes_per_second:
                    time.sleep(len(data) / self.bytes_per_second)
        except OSError:
            pass
        self._forget(source, destination)

    def _wait_for(self, link, dialler=None):
        """Until the link is up. False: the relay is closed, or the dialler has given up."""
        with self._changed:
            while link in self._cut and not self._closed:
                self._changed.wait(0.1)
                if dialler and select.select([dialler], [], [], 0)[0]:
                    return False  # it waits for an answer and has nothing to say: closed
            return not self._closed

    def _keep(self, *sockets):
        with self._changed:
            if not self._closed:
                self._sockets.update(sockets)
                return True
        _close(*sockets)
        return False

    def _forget(self, *sockets):
        with self._changed:
            self._sockets.difference_update(sockets)
        _close(*sockets)
