"""Where the nodes live, and how links between them are cut.

NamespaceNetwork: each node in a network namespace of its own, with one cable to a bridge in this process's namespace,
which is another than the machine's. Namespaces have no names and hang on file descriptors of this process only: several
runs don't meet, and nothing is left, however a run ends. Who may not make namespaces gets a RelayNetwork: all nodes
in one place, with a relay between them (tests/cluster/relay.py).

A link that is cut one way is silent: the sender's frames go to a hardware address that nobody has.
"""
import ctypes
import os
import shutil
import socket
import subprocess
import types

import relay

CLIENTS = 254  # the end of the links between nodes and clients
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """Something that this machine doesn't allow; says what and why."""


def _run(command, **more):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    except OSError as error:
        raise Unavailable(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


def _address(member):
    return f"10.77.0.{member}"


def _hardware_address(member):
    return f"02:ca:00:00:00:{member:02x}"


_NOBODY = "02:ca:00:00:ff:ff"


class NamespaceNetwork:
    """Made once, in the thread that starts the nodes, before there are others."""

    name = "network namespaces"
    cuts_clients = True

    def __init__(self):
        missing = [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise Unavailable(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        self._namespaces = {}  # by member: descriptor
        self._cut = set()
        _run(["ip", "-batch", "-"], input=(
            "link set lo up\n"
            "link add bridge type bridge\n"
            f"link set bridge address {_hardware_address(CLIENTS)}\n"
            f"address add {_address(CLIENTS)}/24 dev bridge\n"
            "link set bridge up\n"))

    def begin(self, nodes):
        """Another cluster; what the last one had is gone."""
        self.end()
        for node in nodes:
            self.add(node)
        self._check(nodes[0])

    def add(self, node):
        holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL))
        with holder:
            holder.stdin.write(b"x")
            holder.stdin.flush()
            if holder.stdout.read(1) != b"x":
                raise Unavailable("unshare --net")
            _run(["ip", "link", "add", f"to{node.id}", "type", "veth", "peer", "name", "eth0",
                  "netns", str(holder.pid)])
            self._namespaces[node.id] = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            holder.stdin.close()
        _run(["ip", "-batch", "-"], input=f"link set to{node.id} master bridge\nlink set to{node.id} up\n")
        self._inside(node.id, f"link set lo up\n"
                              f"link set eth0 address {_hardware_address(node.id)}\n"
                              f"address add {_address(node.id)}/24 dev eth0\n"
                              "link set eth0 up\n")
        node.host = _address(node.id)
        node.enter = lambda descriptor=self._namespaces[node.id]: _enter(descriptor)
        for other in [CLIENTS, *self._namespaces]:
            if other != node.id:
                self._point(other, node.id, _hardware_address(node.id))
                self._point(node.id, other, _hardware_address(other))

    def cut(self, sender, receiver):
        """One way: the receiver gets nothing from the sender any more."""
        self._cut.add((sender, receiver))
        self._point(sender, receiver, _NOBODY)

    def heal(self):
        for sender, receiver in self._cut:
            self._point(sender, receiver, _hardware_address(receiver))
        self._cut = set()

    def end(self):
        for member, descriptor in self._namespaces.items():
            os.close(descriptor)
            # The cable's other end goes with the namespace, which may take the kernel a moment.
            subprocess.run(["ip", "link", "delete", f"to{member}"], stderr=subprocess.DEVNULL, check=False)
        self._namespaces, self._cut = {}, set()

    def _inside(self, member, commands):
        if member == CLIENTS:
            _run(["ip", "-batch", "-"], input=commands)
            return
        descriptor = self._namespaces[member]
        _run(["nsenter", f"--net=/proc/self/fd/{descriptor}", "ip", "-batch", "-"], input=commands,
             pass_fds=(descriptor,))

    def _point(self, sender, receiver, hardware_address):
        device = "bridge" if sender == CLIENTS else "eth0"
        self._inside(sender, f"neighbour replace {_address(receiver)} lladdr {hardware_address}"
                             f" nud permanent dev {device}\n")

    def _check(self, node):
        """That frames pass, and that a cut stops them."""
        if not self._answers(node):
            raise Unavailable("namespaces can be made, but nothing passes between them")
        self.cut(node.id, CLIENTS)
        stopped = not self._answers(node)
        self.heal()
        if not stopped or not self._answers(node):
            raise Unavailable("namespaces can be made, but links between them not cut and healed")

    @staticmethod
    def _answers(node):
        with socket.socket() as probe:
            probe.settimeout(0.5)
            try:
                probe.connect((node.host, node.http_port))
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
        return True


def _enter(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class RelayNetwork:
    """The same for who may not make namespaces. Clients are never cut off, nor are nodes that join later."""

    name = "a relay in one process, for want of network namespaces"
    cuts_clients = False

    def __init__(self):
        self._relay = None

    def begin(self, nodes):
        self.end()
        # It asks for no more of a cluster than this, and says what its nodes are to be told.
        self.nodes = nodes
        self._relay = relay.Relay(self)

    def add(self, node):
        pass

    def cut(self, sender, receiver):
        if CLIENTS not in (sender, receiver):
            self._relay.cut(sender, receiver)

    def heal(self):
        self._relay.heal()

    def end(self):
        if self._relay is not None:
            self._relay.__exit__(None, None, None)
            self._relay = None


def best():
    """The network to use, and why it isn't the better one, or None."""
    try:
        network = NamespaceNetwork()
        network.begin([types.SimpleNamespace(id=1, http_port=9)])  # a place where nobody listens
        network.end()
        return network, None
    except Unavailable as error:
        return RelayNetwork(), str(error)
