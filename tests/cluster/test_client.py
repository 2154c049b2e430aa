"""cairn get, set, watch and the other commands, against three nodes."""
import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import threading
import time

import cluster as harness
from client import wait_until

MOSTLY_WAITS = True

ALL_BYTES = bytes(range(256))


def endpoints(*ports):
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def cairn(ports, *arguments, stdin=b"", timeout=30.0):
    """Runs a command; what it prints is bytes."""
    return subprocess.run(
        [harness.binary, *arguments], input=stdin, capture_output=True, check=False, timeout=timeout * harness.slowness,
        env=harness.clean_environment(CAIRN_ENDPOINT=endpoints(*ports)))


def done(result, status=0):
    assert result.returncode == status, result
    assert (result.stderr == b"") == (status == 0), result
    assert result.stderr.count(b"\n") <= 1, result
    return result.stdout


def ports_of(cluster):
    return [node.http_port for node in cluster.nodes]


class Cutting:
    """Stands before a node. Passes whole requests on, and closes when the answer begins, as if the node had died."""

    def __init__(self, port, cuts):
        self.port_behind = port
        self.cuts = cuts  # how many answers; then they get through
        self.asked = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self._pass(connection)

    @staticmethod
    def _request(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def _pass(self, connection):
        request = self._request(connection)
        self.asked += 1
        with socket.create_connection(("127.0.0.1", self.port_behind), timeout=10) as node:
            node.sendall(request.replace(f":{self.port}".encode(), f":{self.port_behind}".encode()))
            answer = node.recv(65536)
            if self.asked <= self.cuts:
                return
            while answer:
                connection.sendall(answer)
                answer = node.recv(65536)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_values_from_first_to_last(cluster, name):
    ports = ports_of(cluster)
    assert done(cairn(ports, "set", name, "one")).startswith(f"created {name} at index ".encode())
    assert done(cairn(ports, "get", name)) == b"one"
    assert done(cairn(ports, "set", name, "two", "--ttl", "1h")).startswith(b"set ")
    value = json.loads(done(cairn(ports, "get", name, "--json")))
    assert (value["name"], value["value"]) == (name, "two") and "expire" in value, value
    index = str(value["index"])
    updated = json.loads(done(cairn(ports, "update", name, "three", "--index", index, "--json")))
    assert updated["prev_value"] == {"value": "two", "index": value["index"]}, updated
    for consistency in ("linearizable", "local"):
        got = done(cairn(ports, "get", name, "--consistency", consistency, "--min-index", str(updated["index"])))
        assert got == b"three", got
    deleted = done(cairn(ports, "delete", name, "--index", str(updated["index"])))
    assert deleted == f"deleted {name}, was at index {updated['index']}: three\n".encode(), deleted


def test_names_and_values_of_any_bytes(cluster, name, directory):
    ports = ports_of(cluster)
    path = os.path.join(directory, "-a file")
    out = os.path.join(directory, "out")
    for i, odd in enumerate(("plain", "a b", "ä/ß", "%41", "?x=1&y#z", "+", "[1]{2}", "\\", "'\"`$(id)", "-dash")):
        odd = f"-{name}/{odd}" if i == 9 else f"{name}/{odd}"
        expected = b"" if i % 3 == 0 else ALL_BYTES
        if i % 2:
            done(cairn(ports, "set", "--", odd, "-", stdin=expected))
        else:
            with open(path, "wb") as file:
                file.write(expected)
            done(cairn(ports, "set", "--file", path, "--", odd))
        assert cluster.nodes[0].client().get(odd).status == 200, odd
        assert done(cairn(ports, "get", "--", odd)) == expected
        assert done(cairn(ports, "get", "-o", out, "--", odd)) == b""
        with open(out, "rb") as file:
            assert file.read() == expected
    assert len(done(cairn(ports, "list", f"{name}/", "--keys-only")).splitlines()) == 9
    done(cairn(ports, "set", name, "-", stdin=b"x" * (1 << 20)))
    assert len(done(cairn(ports, "get", name))) == 1 << 20
    refused = cairn(ports, "set", name, "-", stdin=b"x" * ((1 << 20) + 1))
    assert done(refused, 1) == b"" and b"1048576" in refused.stderr, refused


def test_exit_statuses(cluster, name):
    ports = ports_of(cluster)
    nobody = [harness.free_port()]
    done(cairn(ports, "set", name, "x", "--create"))
    index = json.loads(done(cairn(ports, "get", name, "--json")))["index"]
    rows = [
        (0, "get", name), (0, "list", "no such prefix"), (0, "status"), (0, "members"),
        (1, "watch", name, "--cursor", "nonsense"), (1, "set", name + "/keyed", "other", "--idempotency-key", name),
        (2, "get", ".."), (2, "set", name), (2, "set", name, "--file", "/no/such"), (2, "get", name, "--no-such"),
        (3, "get", name + "/none"), (3, "delete", name + "/none"), (3, "update", name + "/none", "x"),
        (3, "update", name + "/none", "x", "--index", "1"), (3, "members", "remove", "9"),
        (4, "set", name, "x", "--create"), (4, "update", name, "x", "--index", str(index + 1)),
        (4, "delete", name, "--index", str(index + 1)),
    ]
    done(cairn(ports, "set", name + "/keyed", "first", "--idempotency-key", name))
    for status, *arguments in rows:
        done(cairn(ports, *arguments), status)
    for arguments in (("get", name), ("set", name, "y"), ("list",), ("status",), ("watch", name),
                      ("members", "add", "9", "127.0.0.1:1")):
        done(cairn(nobody, *arguments, "--timeout", "300ms"), 5)
    problem = json.loads(done(cairn(ports, "set", name, "x", "--create", "--json"), 4))
    assert problem["code"] == "ALREADY_EXISTS" and problem["current_index"] == index, problem
    assert done(cairn(ports, "get", name)) == b"x"


def test_a_list_is_whole_however_many_pages_it_has(cluster, name):
    ports = ports_of(cluster)
    client = cluster.nodes[0].client()
    for i in range(230):
        assert client.put(f"{name}/{i:03}", f"value {i}").status == 201
    names = done(cairn(ports, "list", name, "--keys-only")).decode().splitlines()
    assert names == [f"{name}/{i:03}" for i in range(230)], names
    values = [json.loads(line) for line in done(cairn(ports, "list", name + "/", "--json")).splitlines()]
    assert [v["value"] for v in values] == [f"value {i}" for i in range(230)], values
    limited = done(cairn(ports, "list", name, "--limit", "150")).decode().splitlines()
    assert len(limited) == 151 and limited[0].split() == ["NAME", "INDEX", "EXPIRE", "VALUE"], limited[:3]
    assert limited[-1].startswith(f"{name}/149 "), limited[-1]


def test_a_list_shows_one_moment(cluster, name):
    """One writer counts in the first name, then in the last, which is on another page."""
    client = cluster.nodes[0].client()
    for i in range(120):
        assert client.put(f"{name}/m{i:03}", "").status == 201
    stop = threading.Event()

    def count():
        number = 0
        with_own = cluster.nodes[1].client()
        while not stop.is_set():
            number += 1
            for place in ("a", "z"):
                assert with_own.put(f"{name}/{place}", str(number)).status in (200, 201)
        return number

    finish = harness.in_background(count)
    try:
        wait_until(lambda: client.get(f"{name}/z").status == 200, 10.0, "the writer writes")
        for _ in range(12):
            lines = done(cairn(ports_of(cluster), "list", name + "/", "--json")).splitlines()
            values = {value["name"]: value["value"] for value in map(json.loads, lines)}
            first, last = int(values[f"{name}/a"]), int(values[f"{name}/z"])
            assert len(values) == 122 and 0 <= first - last <= 1, (first, last)
    finally:
        stop.set()
    assert finish() > 12


def test_another_node_is_asked_when_the_first_is_dead_or_hangs(make_cluster, name):
    cluster = make_cluster()
    ports = ports_of(cluster)
    leader = cluster.leader()
    order = [leader.http_port] + [port for port in ports if port != leader.http_port]
    done(cairn(order, "set", name, "before"))
    leader.kill()
    # Without a leader at first: asked again until there is one.
    done(cairn(order, "set", name, "after", "--timeout", "30s"))
    assert done(cairn(order, "get", name)) == b"after"
    leader.start()
    cluster.wait_ready()
    hanging = cluster.followers()[0]
    order = [hanging.http_port] + [port for port in ports if port != hanging.http_port]
    hanging.pause()
    try:
        done(cairn(order, "set", name, "third", "--timeout", "9s"))
        assert done(cairn(order, "get", name, "--timeout", "9s")) == b"third"
        assert b"follower" in done(cairn(order, "status", "--timeout", "9s"))
    finally:
        hanging.resume()


def test_a_write_whose_answer_is_lost_is_done_once(cluster, name):
    for node in cluster.nodes:
        others = [n.http_port for n in cluster.nodes if n is not node]
        cutting = Cutting(node.http_port, cuts=1000)
        ports = [cutting.port, *others]
        value = f"{name}/{node.id}"
        try:
            assert done(cairn(ports, "set", value, "x", "--create")).startswith(b"created "), node.id
            before = json.loads(done(cairn(ports, "get", value, "--json")))
            after = json.loads(done(cairn(
                ports, "update", value, "y", "--index", str(before["index"]), "--json")))
            assert after["prev_value"]["value"] == "x", after
            assert done(cairn(ports, "get", value)) == b"y"
            assert done(cairn(ports, "delete", value)).endswith(b": y\n")
            assert cutting.asked == 5, cutting.asked
        finally:
            cutting.close()
    # By the same node too, which is the only one.
    cutting = Cutting(cluster.nodes[0].http_port, cuts=2)
    try:
        assert done(cairn([cutting.port], "set", name, "x", "--create")).startswith(b"created ")
        assert cutting.asked == 3, cutting.asked
    finally:
        cutting.close()


def test_who_cannot_know_says_so(cluster, name):
    cutting = Cutting(cluster.nodes[0].http_port, cuts=1000)
    try:
        result = cairn([cutting.port], "set", name, "x", "--timeout", "500ms")
        assert done(result, 6) == b"" and b"may or may not" in result.stderr, result
        assert cutting.asked > 1, "asked once only"
        # What has no key is never sent twice, not even to somebody else.
        asked = cutting.asked
        leader = cluster.leader().id
        done(cairn([cutting.port, cluster.nodes[1].http_port], "members", "lead", str(leader)), 6)
        assert cutting.asked == asked + 1, cutting.asked
        # A read may be.
        done(cairn([cutting.port], "get", name, "--timeout", "500ms"), 5)
    finally:
        cutting.close()
    assert done(cairn(ports_of(cluster), "get", name)) == b"x"  # it had been done


def test_the_cluster_is_shown_and_changed(make_cluster):
    cluster = make_cluster()
    ports = ports_of(cluster)
    leader = cluster.leader()
    for node in cluster.nodes:
        text = done(cairn([node.http_port], "status")).decode()
        assert f"leader   node {leader.id}, " in text, text
        rows = [line.split() for line in text.splitlines()[-3:]]
        assert [row[0] for row in rows] == ["1", "2", "3"], text
        # Whoever is asked, the leader tells how far they are.
        assert all(row[1] == "voter" and row[5].isdigit() and row[6].isdigit() for row in rows), text
        assert [row[2] for row in rows] == ["leader" if n is leader else "follower" for n in cluster.nodes], text
        assert json.loads(done(cairn([node.http_port], "status", "--json")))["node"] == node.id
    follower = cluster.followers()[0]
    assert done(cairn(ports, "members", "lead", str(follower.id))) == f"node {follower.id} leads\n".encode()
    assert cluster.leader() is follower
    done(cairn(ports, "members", "add", "4", "127.0.0.1:1", "--learner"))
    assert done(cairn(ports, "members")).decode().splitlines()[-1].split()[:2] == ["4", "learner"]
    assert done(cairn(ports, "members", "remove", "4")) == b"removed node 4\n"
    assert len(done(cairn(ports, "members")).splitlines()) == 4
    for node in cluster.nodes[1:]:
        node.kill()
    first = [cluster.nodes[0].http_port]
    wait_until(lambda: cairn(first, "status").returncode == 5, 10 * harness.slowness, "no leader is exit status 5")


def bash(line, stdin=b""):
    return subprocess.run(["bash", "-c", line], input=stdin, capture_output=True, check=False,
                          timeout=30 * harness.slowness, env=harness.clean_environment())


def test_curl_lines_do_the_same(cluster, name, directory):
    ports = ports_of(cluster)[:1]
    path = os.path.join(directory, "it's a file")
    with open(path, "wb") as file:
        file.write(ALL_BYTES)

    def curl(*arguments, stdin=b""):
        at = arguments.index("--") if "--" in arguments else len(arguments)
        line = done(cairn(ports, *arguments[:at], "--curl", *arguments[at:])).decode()
        assert line.startswith(("curl ", "printf ")) and line.endswith("\n"), line
        result = bash(line, stdin)
        assert result.returncode == 0 and result.stderr == b"", (line, result)
        return result.stdout

    odd = f"{name}/%41 ?&#'\"$(echo x)`\\ä[1-3]{{a,b}}"
    for value in ("plain", "", "@file", "-x", "it's \"$(echo)\" `x` !! \\n %s\nend\n", "ä", "tab\t", "\x1b[31m", "\x7f",
                  "%d\\", " "):
        answer = json.loads(curl("set", "--ttl", "1h", "--", odd, value) if value == "-x" else
                            curl("set", odd, value, "--ttl", "1h"))
        assert answer["name"] == odd, answer
        assert done(cairn(ports, "get", odd)) == value.encode(), value
    assert curl("get", odd) == b" "
    assert json.loads(curl("set", odd, "-", stdin=ALL_BYTES))["name"] == odd
    assert curl("get", odd) == ALL_BYTES
    assert json.loads(curl("update", odd, "--file", path))["prev_value"]["index"] > 0
    assert curl("get", odd) == ALL_BYTES
    value = json.loads(curl("get", odd, "--json"))
    assert value == json.loads(done(cairn(ports, "get", odd, "--json"))), value
    # The same condition, the same key.
    stale = ("update", odd, "x", "--index", str(value["index"] + 1))
    assert json.loads(curl(*stale))["code"] == "CONFLICT"
    assert json.loads(curl("set", odd, "x", "--create"))["code"] == "ALREADY_EXISTS"
    first = curl("set", odd, "keyed", "--idempotency-key", "a'b")
    assert curl("set", odd, "keyed", "--idempotency-key", "a'b") == first
    page = json.loads(curl("list", odd[:-3], "--limit", "5"))
    assert [v["name"] for v in page["values"]] == [odd], page
    assert curl("get", odd, "--output", path) == b""
    with open(path, "rb") as file:
        assert file.read() == b"keyed"
    assert json.loads(curl("delete", odd))["name"] == odd
    assert done(cairn(ports, "get", odd), 3) == b""
    for command in ("status", "members"):
        assert json.loads(curl(command))["node"] == 1
    assert json.loads(curl("members", "add", "9", "127.0.0.1:1", "--learner"))["id"] == 9
    assert json.loads(curl("members", "remove", "9"))["id"] == 9
    leader = cluster.leader().id
    assert json.loads(curl("members", "lead", str(leader)))["leader"] == leader
    # Nothing was done by printing.
    done(cairn(ports, "set", name, "x", "--curl"))
    done(cairn(ports, "get", name), 3)


def complete(port, line, prefix=""):
    """What bash would offer for a line with the cursor at its end, by the script that the program prints."""
    script = prefix + """
        source <(%(binary)s completion bash)
        COMP_LINE=%(line)s COMP_POINT=${#COMP_LINE}
        COMP_WORDS=(%(words)s) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _cairn
        (( ${#COMPREPLY[@]} )) && printf '%%s\\n' "${COMPREPLY[@]}"
        true""" % {
            "binary": harness.binary, "line": shlex.quote(line),
            "words": " ".join(shlex.quote(word) for word in words_of(line))}
    result = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=False, timeout=30 * harness.slowness,
        env=harness.clean_environment(CAIRN_ENDPOINT=endpoints(port)))
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout.splitlines()


def words_of(line):
    """As bash breaks words: at spaces that no backslash precedes, and around : and =."""
    words = [""]
    for i, letter in enumerate(line):
        if letter == " " and line[i - 1] != "\\":
            words.append("")
        elif letter in ":=":
            words += [letter] if words[-1] else []
            words[-1] = letter
            words.append("")
        else:
            words[-1] += letter
    return words[:-1] if len(words) > 1 and words[-1] == "" and line[-1] in ":=" else words


def test_words_are_completed_in_bash(cluster, name):
    port = cluster.nodes[0].http_port
    client = cluster.nodes[0].client()
    for end in ("/one", "/two words", "/a:b", "/$(touch x)"):
        assert client.put(name + end, "x").status == 201
    cluster.wait_caught_up()
    program = harness.binary
    assert complete(port, f"{program} up") == ["update"]
    assert complete(port, f"{program} members re") == ["remove"]
    assert complete(port, f"{program} get --cons") == ["--consistency"]
    assert complete(port, f"{program} get --consistency=lo") == ["local"]
    assert complete(port, f"{program} get --consistency=") == ["linearizable", "local", "lease"]
    assert complete(port, f"{program} completion ") == ["bash", "zsh", "fish"]
    assert complete(port, f"{program} get {name}/o") == [f"{name}/one"]
    assert complete(port, f"{program} get {name}/t") == [f"{name}/two\\ words"]
    assert complete(port, f"{program} get {name}/two\\ w") == [f"{name}/two\\ words"]
    assert complete(port, f"{program} delete {name}/a:") == ["b"]
    assert complete(port, f"{program} delete {name}/a") == [f"{name}/a:b"]
    assert complete(port, f"{program} get {name}/\\$") == [f"{name}/\\$\\(touch\\ x\\)"]
    nobody = harness.free_port()
    assert complete(nobody, f"{program} get {name}/o") == []
    assert complete(nobody, f"{program} get --endpoint 127.0.0.1:{port} {name}/o") == [f"{name}/one"]
    assert complete(nobody, f"{program} get --endpoint=127.0.0.1:{port} {name}/o") == [f"{name}/one"]


def test_a_terminal_is_never_told_what_to_do(cluster, name):
    port = cluster.nodes[0].http_port
    evil = "\x1b]0;owned\x07\x9b31m‮x"
    client = cluster.nodes[0].client()
    for end in ("1", "2"):
        assert client.put(name + end, evil).status == 201
    for arguments in (("get", name + "1"), ("get", name + "1", "--json"), ("list", name), ("list", name, "--json"),
                      ("delete", name + "2")):
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            print(f"    NOT DONE: this machine has no terminal to show it on: {error}")
            return
        with subprocess.Popen([harness.binary, *arguments], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
                              env=harness.clean_environment(CAIRN_ENDPOINT=endpoints(port))) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    more = os.read(ours, 65536)
                except OSError:
                    break
                if not more:
                    break
                shown += more
            os.close(ours)
            assert process.wait(10) == 0, shown
        text = shown.decode().replace("\r\n", "\n")
        assert "owned" in text, text
        assert all(c.isprintable() or c == "\n" for c in text), (arguments, text)
    assert done(cairn([port], "get", name + "1")) == evil.encode()


def test_output_that_nobody_takes(cluster, name, directory):
    port = cluster.nodes[0].http_port
    client = cluster.nodes[0].client()
    for i in range(110):
        assert client.put(f"{name}/{i:03}", "x" * 10000).status == 201
    quoted = shlex.quote(harness.binary)
    ended = bash(f"CAIRN_ENDPOINT={endpoints(port)} {quoted} list {name} --json | head -c 10 >/dev/null; "
                 "echo ${PIPESTATUS[0]}")
    assert ended.stdout == f"{128 + signal.SIGPIPE}\n".encode() and ended.stderr == b"", ended
    with open("/dev/full", "wb") as full:
        result = subprocess.run([harness.binary, "get", f"{name}/001", "--endpoint", endpoints(port)], check=False,
                                stdout=full, stderr=subprocess.PIPE, timeout=10 * harness.slowness)
    assert result.returncode == 1 and b"No space left" in result.stderr, result
    result = cairn([port], "get", f"{name}/001", "-o", os.path.join(directory, "no", "such"))
    assert done(result, 1) == b"" and b"No such file" in result.stderr, result


def test_it_is_interrupted_at_once():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with subprocess.Popen([harness.binary, "get", "a", "--endpoint", endpoints(silent.getsockname()[1])],
                              stdout=subprocess.PIPE, env=harness.clean_environment()) as process:
            connection, _ = silent.accept()
            with connection:
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                assert process.wait(10 * harness.slowness) == -signal.SIGINT
                assert time.monotonic() - began < 2 * harness.slowness
