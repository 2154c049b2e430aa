"""GET /v1/stream: many subscriptions and commands on one WebSocket; subprotocols; what its clients may not do."""
import base64
import json
import struct

import websocket

import cluster as harness
import contract
from client import Client, wait_until


class Socket:
    """One WebSocket at /v1/stream."""

    def __init__(self, node, **options):
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{node.http_port}/v1/stream", timeout=10 * harness.slowness, **options)
        self.close_code = None

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self):
        """The next answer that is not a progress notice; None when the server closed."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.close_code = struct.unpack("!H", data[:2])[0]
                return None
            message = json.loads(data)
            contract.check_socket_message(message)
            if message.get("type") != "progress":
                return message

    def ask(self, **message):
        self.say(**message)
        answer = self.hear()
        if answer is not None and "error" not in answer:
            contract.check_socket_request(message)
        return answer

    def hear_until(self, ids):
        """Answers by id, one for each of the ids."""
        answers = {}
        while set(answers) != set(ids):
            message = self.hear()
            assert message["id"] in ids and message["id"] not in answers, message
            answers[message["id"]] = message
        return answers

    def close(self):
        self.socket.close(timeout=1)


def text(value):
    return base64.b64encode(value.encode()).decode()


def test_commands_and_subscriptions_on_every_node(cluster, name):
    for node in cluster.nodes:
        key = f"{name}/{node.id}"
        one = Socket(node)
        first = one.ask(id=1, subscribe={"name": key, "kind": "watch"})
        assert (first["id"], first["type"], first["value"]) == (1, "value", None), first
        first = one.ask(id=2, subscribe={"name": f"{name}/", "kind": "events", "prefix": True})
        assert (first["id"], first["type"]) == (2, "subscribed"), first
        one.say(id=3, name=key, input={"set": {"value": text("x")}})
        answers = one.hear_until({1, 2, 3})
        index = int(answers[3]["output"]["set"]["index"])
        assert (answers[1]["value"], answers[1]["index"]) == ("x", index), answers
        assert (answers[2]["type"], answers[2]["index"]) == ("created", index), answers
        # The same state machine as everywhere.
        assert cluster.leader().client().get(key).json["index"] == index
        got = one.ask(id=4, name=key, input={"get": {}})
        assert got["output"]["get"]["value"] == {"value": text("x"), "index": str(index)}, got
        failed = one.ask(id=5, name=key, input={"update": {"value": text("y"), "prevIndex": "1"}})
        assert failed["id"] == 5 and failed["error"]["code"] == "CONFLICT", failed
        assert failed["error"]["current_index"] == index
        one.close()


def test_a_bad_message_does_not_end_the_socket(cluster, name):
    one = Socket(cluster.leader())
    for bad in ("nonsense", "[]", '{"id":7}', '{"id":7,"subscribe":{"name":"","kind":"watch"}}',
                '{"id":7,"name":"a","input":{"watch":{}}}', '{"id":7,"unknown":1}'):
        one.socket.send(bad)
        answer = one.hear()
        assert answer["error"]["code"] == "INVALID", answer
        assert answer["id"] == (7 if "7" in bad else None), answer
    assert "output" in one.ask(id=7, name=name, input={"set": {"value": ""}})
    one.close()


def test_unsubscribe_and_resume_elsewhere(cluster, name):
    first, second = Socket(cluster.nodes[0]), Socket(cluster.nodes[1])
    assert first.ask(id=1, subscribe={"name": name, "kind": "events"})["type"] == "subscribed"
    client = cluster.leader().client()
    client.put(name, "one")
    created = first.hear()
    assert created["value"] == "one", created
    ended = first.ask(id=1, unsubscribe={})
    assert ended == {"id": 1, "type": "unsubscribed", "cursor": created["cursor"]}, ended
    client.put(name, "two")
    assert second.ask(id=9, subscribe={"name": name, "kind": "events", "cursor": ended["cursor"]})["type"] == "subscribed"
    updated = second.hear()
    assert (updated["id"], updated["type"], updated["value"]) == (9, "updated", "two"), updated
    gone = first.ask(id=1, unsubscribe={})
    assert gone["error"]["code"] == "NOT_FOUND", gone
    first.close()
    second.close()


def test_many_commands_at_once(make_cluster, name):
    cluster = make_cluster(options=["--max-socket-commands=20", "--max-socket-subscriptions=3"])
    one = Socket(cluster.followers()[0])
    for i in range(200):
        one.say(id=i, name=f"{name}/{i}", input={"set": {"value": text(str(i))}})
    answers = one.hear_until(set(range(200)))
    done = [i for i, answer in answers.items() if "output" in answer]
    refused = [answer for answer in answers.values() if "error" in answer]
    assert len(done) >= 20, len(done)
    assert all(a["error"]["code"] == "OVERLOADED" and a["error"]["outcome"] == "not_applied" for a in refused)
    listed = cluster.leader().client().request("GET", f"/v1/values?prefix={name}/&limit=1000&keys_only=true").json
    assert len(listed["values"]) == len(done), "what was refused was applied, or the other way round"
    for i in range(1000, 1003):
        assert one.ask(id=i, subscribe={"name": name, "kind": "watch"})["type"] == "value"
    assert one.ask(id=1003, subscribe={"name": name, "kind": "watch"})["error"]["code"] == "OVERLOADED"
    one.close()


def test_an_idempotency_key_is_the_same_as_over_http(cluster, name):
    one = Socket(cluster.leader())
    body = {"set": {"value": text("x")}}
    first = one.ask(id=1, name=name, input=body, idempotency_key=name)
    again = Client(cluster.followers()[0].http_port).request(
        "POST", f"/v1/values/{name}", body, {"Idempotency-Key": name})
    assert again.headers["Idempotency-Replayed"] == "true", again
    assert again.json == first["output"], (again, first)
    replayed = one.ask(id=1, name=name, input=body, idempotency_key=name)
    assert replayed == {**first, "replayed": True}, replayed
    one.close()


def test_it_is_a_websocket_for_our_own_pages_only(cluster):
    answer = cluster.leader().client().request("GET", "/v1/stream")
    assert answer.status == 426 and answer.headers["Upgrade"] == "websocket", answer
    try:
        Socket(cluster.leader(), origin="http://evil.example")
        raise AssertionError("a page of another origin got a WebSocket")
    except websocket.WebSocketBadStatusException as refused:
        assert refused.status_code == 403, refused


def test_the_wrong_kind_of_message_is_1003(cluster):
    for offered, opcode in ((None, websocket.ABNF.OPCODE_BINARY), (["cairn.v1.proto"], websocket.ABNF.OPCODE_TEXT)):
        one = Socket(cluster.leader(), subprotocols=offered)
        assert one.socket.subprotocol == (offered and offered[0])
        one.socket.send("{}", opcode)
        assert one.hear() is None and one.close_code == 1003, one.close_code


def test_protobuf_frames(cluster, name):
    """Messages made by hand: 0x08 is field 1 (id), 0x22 field 4 (input), 0x2a field 5 (name)."""
    one = Socket(cluster.leader(), subprotocols=["chat", "cairn.v1.proto", "cairn.v1.json"])
    assert one.socket.subprotocol == "cairn.v1.proto"
    key = name.encode()
    set_input = b"\x12\x03\x0a\x01x"  # AtomicValueInput.set.value = "x"
    one.socket.send_binary(b"\x08\x07\x22" + bytes([len(set_input)]) + set_input + b"\x2a" + bytes([len(key)]) + key)
    opcode, data = one.socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_BINARY
    assert data.startswith(b"\x08\x07\x5a"), data  # id 7, field 11: output
    assert cluster.leader().client().get(name).json["value"] == "x"
    one.close()


def test_closed_with_1001_and_commands_answered_at_shutdown(make_cluster, name):
    cluster = make_cluster()
    node = cluster.followers()[0]
    one = Socket(node)
    one.ask(id=1, subscribe={"name": name, "kind": "watch"})
    finish = harness.in_background(node.terminate)
    while one.hear() is not None:
        pass
    assert one.close_code == 1001, one.close_code
    assert finish() == 0


def test_a_vanished_client_leaves_nothing(cluster, name):
    node = cluster.leader()
    sockets = [Socket(node) for _ in range(50)]
    for one in sockets:
        one.ask(id=1, subscribe={"name": name, "kind": "watch"})
        one.say(id=2, name=name, input={"set": {"value": text("x")}})
    for one in sockets:
        one.socket.sock.close()
    wait_until(lambda: node.client().put(name, "y").status == 200, 5 * harness.slowness, "the node goes on")
