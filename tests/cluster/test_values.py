"""The Values table of the interface, line by line, through the leader and through followers."""
import base64
import json
import time

import cluster as harness
from client import parse_time, quoted, raw_exchange, wait_until


def clients(cluster):
    """A client of the leader and one of a follower: what they answer must not differ."""
    return [cluster.leader().client(), cluster.followers()[0].client()]


def check_problem(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer
    problem = answer.json
    assert problem["status"] == status and problem["code"] == code, answer
    assert problem["title"] and "detail" in problem and "type" in problem, answer
    return problem


def test_set_creates_then_replaces(cluster, name):
    for i, client in enumerate(clients(cluster)):
        first = client.put(f"{name}/{i}", "one")
        assert first.status == 201, first
        index = first.json["index"]
        assert first.json == {"name": f"{name}/{i}", "index": index}, first
        assert isinstance(index, int) and first.headers["ETag"] == f'"{index}"', first
        second = client.put(f"{name}/{i}", "two")
        assert second.status == 200 and second.json["index"] > index, second
        got = client.get(f"{name}/{i}")
        assert got.status == 200, got
        assert got.json == {"name": f"{name}/{i}", "value": "two", "index": second.json["index"]}, got
        assert got.headers["ETag"] == second.headers["ETag"], got


def test_every_node_gives_the_same_answer(cluster, name):
    index = cluster.followers()[0].client().put(name, "x").json["index"]
    for node in cluster.nodes:
        got = node.client().get(name)
        assert got.status == 200 and got.json["index"] == index, got
        assert got.headers["Cairn-Node"] == str(node.id), got
        assert got.headers["Cairn-Leader"] == str(cluster.leader().id), got
        assert int(got.headers["Cairn-Index"]) >= index, got
        assert got.headers["Cairn-Consistency"] == "linearizable", got


def test_get_of_what_is_not_set(cluster, name):
    for client in clients(cluster):
        check_problem(client.get(name), 404, "NOT_FOUND")


def test_if_none_match_saves_the_bytes(cluster, name):
    for client in clients(cluster):
        index = client.put(name, "x").json["index"]
        same = client.get(name, headers={"If-None-Match": f'"{index}"'})
        assert same.status == 304 and same.body == b"", same
        assert same.headers["ETag"] == f'"{index}"', same
        assert client.get(name, headers={"If-None-Match": f'"{index - 1}"'}).status == 200
        listed = client.get(name, headers={"If-None-Match": f'"1", "{index}"'})
        assert listed.status == 304, listed


def test_head(cluster, name):
    for client in clients(cluster):
        index = client.put(name, "x").json["index"]
        head = client.request("HEAD", f"/v1/values/{name}")
        assert head.status == 200 and head.body == b"", head
        assert head.headers["ETag"] == f'"{index}"', head
        assert int(head.headers["Content-Length"]) == len(client.get(name).body), head
        assert client.request("HEAD", f"/v1/values/{name}/none").status == 404
        assert client.get(name).status == 200  # the connection still is in step


def test_update_by_if_match(cluster, name):
    for i, client in enumerate(clients(cluster)):
        index = client.put(f"{name}/{i}", "old").json["index"]
        updated = client.put(f"{name}/{i}", "new", headers={"If-Match": f'"{index}"'})
        assert updated.status == 200, updated
        new_index = updated.json["index"]
        assert updated.json == {"name": f"{name}/{i}", "index": new_index,
                                "prev_value": {"value": "old", "index": index}}, updated
        assert updated.headers["ETag"] == f'"{new_index}"' and new_index > index, updated


def test_failed_update_changes_nothing(cluster, name):
    for i, client in enumerate(clients(cluster)):
        key = f"{name}/{i}"
        index = client.put(key, "old", ttl="1h").json["index"]
        before = client.get(key).json
        for attempt in (client.put(key, "no", headers={"If-Match": f'"{index + 1000}"'}),
                        client.put(key, "no", prev_index=index - 1),
                        client.delete(key, headers={"If-Match": f'"{index - 1}"'})):
            problem = check_problem(attempt, 412, "CONFLICT")
            assert problem["current_index"] == index, attempt
            assert problem.get("outcome", "not_applied") == "not_applied", attempt
            assert attempt.headers["ETag"] == f'"{index}"', attempt
        problem = check_problem(client.put(key, "no", headers={"If-None-Match": "*"}),
                                412, "ALREADY_EXISTS")
        assert problem["current_index"] == index, problem
        assert client.get(key).json == before


def test_update_of_what_is_not_set(cluster, name):
    for client in clients(cluster):
        for header in ('"42"', "*"):
            answer = client.put(name, "x", headers={"If-Match": header})
            problem = check_problem(answer, 412, "NOT_FOUND")
            assert "current_index" not in problem and answer.headers["ETag"] is None, answer
        check_problem(client.put(name, "x", prev_index=42), 404, "NOT_FOUND")
        check_problem(client.get(name), 404, "NOT_FOUND")


def test_update_by_prev_index_in_the_body(cluster, name):
    for i, client in enumerate(clients(cluster)):
        index = client.put(f"{name}/{i}", "old").json["index"]
        updated = client.put(f"{name}/{i}", "new", prev_index=index)
        assert updated.status == 200, updated
        assert updated.json["prev_value"] == {"value": "old", "index": index}, updated


def test_update_of_any_index(cluster, name):
    for i, client in enumerate(clients(cluster)):
        index = client.put(f"{name}/{i}", "old").json["index"]
        updated = client.put(f"{name}/{i}", "new", headers={"If-Match": "*"})
        assert updated.status == 200, updated
        assert updated.json["prev_value"] == {"value": "old", "index": index}, updated


def test_create_only(cluster, name):
    for i, client in enumerate(clients(cluster)):
        created = client.put(f"{name}/{i}", "x", headers={"If-None-Match": "*"})
        assert created.status == 201, created
        again = client.put(f"{name}/{i}", "y", headers={"If-None-Match": "*"})
        problem = check_problem(again, 412, "ALREADY_EXISTS")
        assert problem["current_index"] == created.json["index"], again


def test_delete(cluster, name):
    for i, client in enumerate(clients(cluster)):
        key = f"{name}/{i}"
        index = client.put(key, "x").json["index"]
        deleted = client.delete(key)
        assert deleted.status == 200, deleted
        assert deleted.json == {"name": key, "value": "x", "index": index}, deleted
        check_problem(client.get(key), 404, "NOT_FOUND")
        check_problem(client.delete(key), 404, "NOT_FOUND")
        check_problem(client.delete(key, headers={"If-Match": f'"{index}"'}), 412, "NOT_FOUND")
        fresh = client.put(key, "y").json["index"]
        assert fresh > index
        check_problem(client.delete(key, headers={"If-Match": f'"{index}"'}), 412, "CONFLICT")
        assert client.delete(key, headers={"If-Match": f'"{fresh}"'}).status == 200


def test_bytes_that_are_not_text(cluster, name):
    client = cluster.followers()[0].client()
    data = bytes(range(256))
    assert client.put(name, data).status == 201
    got = client.get(name).json
    assert base64.b64decode(got["value_base64"]) == data and "value" not in got, got
    # Bytes that are UTF-8 come as text, however they were sent.
    client.put(name, "grün\u0000\u2028 \U0001f600".encode())
    assert client.get(name).json["value"] == "grün\u0000\u2028 \U0001f600"
    client.put(name, "")
    assert client.get(name).json["value"] == ""


def test_names_keep_their_bytes(cluster, name):
    client = cluster.leader().client()
    for part in ("a/b/c", "grün", "with space", "100%", "%41", "a?b#c&d=e+f", "日本", "~.-_", "..."):
        key = f"{name}/{part}"
        target = "/v1/values/" + "".join(
            chr(b) if chr(b).isalnum() and b < 128 or b == 0x2F else f"%{b:02X}" for b in key.encode())
        put = client.request("PUT", target, {"value": part})
        assert put.status == 201 and put.json["name"] == key, put
        got = client.request("GET", target)
        assert got.json["name"] == key and got.json["value"] == part, got
    longest = name + "/" + "x" * (511 - len(name))
    assert client.put(longest, "x").status == 201
    check_problem(client.put(longest + "x", "x"), 400, "INVALID")


def test_the_largest_value(cluster, name):
    for client in clients(cluster):
        data = bytes([0xFF, 0x00]) * (512 * 1024)
        assert client.put(name, data).status in (200, 201)
        assert base64.b64decode(client.get(name).json["value_base64"]) == data
        raw = client.request("GET", f"/v1/raw/{name}")
        assert raw.status == 200 and raw.body == data
        too_large = client.request("PUT", f"/v1/raw/{name}", data + b"x")
        problem = check_problem(too_large, 413, "TOO_LARGE")
        assert str(1 << 20) in problem["detail"], problem
        assert base64.b64decode(cluster.leader().client().get(name).json["value_base64"]) == data


def test_raw(cluster, name):
    for i, client in enumerate(clients(cluster)):
        target = f"/v1/raw/{name}/{i}"
        data = b"\x00\xffraw bytes\r\n\r\n"
        put = client.request("PUT", target, data)
        assert put.status == 201 and put.json["name"] == f"{name}/{i}", put
        index = put.json["index"]
        got = client.request("GET", target)
        assert got.status == 200 and got.body == data and got.headers["ETag"] == f'"{index}"', got
        assert client.request("GET", target, headers={"If-None-Match": f'"{index}"'}).status == 304
        replaced = client.request("PUT", target + "?ttl=1h", b"", {"If-Match": f'"{index}"'})
        assert replaced.status == 200, replaced
        assert client.get(f"{name}/{i}").json["value"] == ""
        assert "expire" in client.get(f"{name}/{i}").json
        conflict = client.request("PUT", target, b"z", {"If-Match": f'"{index}"'})
        check_problem(conflict, 412, "CONFLICT")
        check_problem(client.request("DELETE", target, headers={"If-Match": f'"{index}"'}),
                      412, "CONFLICT")
        assert client.request("DELETE", target).status == 200
        check_problem(client.request("GET", target), 404, "NOT_FOUND")


def test_post_in_json(cluster, name):
    for i, client in enumerate(clients(cluster)):
        key = f"{name}/{i}"
        set_answer = client.post(key, {"set": {"value": "aGk="}})
        assert set_answer.status in (200, 201), set_answer
        index = set_answer.json["set"]["index"]
        assert isinstance(index, str), set_answer  # the protobuf JSON mapping of uint64
        got = client.post(key, {"get": {}})
        assert got.json == {"get": {"value": {"value": "aGk=", "index": index}}}, got
        updated = client.post(key, {"update": {"value": "eW8=", "prevIndex": index, "ttl": "30s"}})
        assert updated.status == 200, updated
        assert updated.json["update"]["prevValue"] == {"value": "aGk=", "index": index}, updated
        new_index = updated.json["update"]["index"]
        check_problem(client.post(key, {"update": {"value": "", "prevIndex": index}}),
                      412, "CONFLICT")
        check_problem(client.post(key, {"delete": {"prevIndex": index}}), 412, "CONFLICT")
        deleted = client.post(key, {"delete": {}})
        assert deleted.json == {"delete": {"value": {"value": "eW8=", "index": new_index}}}, deleted
        check_problem(client.post(key, {"get": {}}), 404, "NOT_FOUND")
        check_problem(client.post(key, {"update": {"value": "", "prevIndex": "7"}}),
                      404, "NOT_FOUND")
        for kind in ("watch", "events"):
            problem = check_problem(client.post(key, {kind: {}}), 400, "INVALID")
            assert f"/v1/{kind}/" in problem["detail"], problem


def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A protobuf field: bytes are length-delimited, numbers varints."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def index_in(body):
    """The varint at the end of a SetOutput."""
    return sum((byte & 127) << 7 * place for place, byte in enumerate(body[3:]))


def test_post_in_protobuf(cluster, name):
    headers = {"Content-Type": "application/x-protobuf"}
    for i, client in enumerate(clients(cluster)):
        target = f"/v1/values/{name}/{i}"
        answer = client.request("POST", target, field(2, field(1, b"hi")), headers)
        assert answer.status in (200, 201), answer
        assert answer.headers["Content-Type"].startswith("application/x-protobuf"), answer
        index = index_in(answer.body)
        assert answer.body == field(2, field(1, index)), answer
        got = client.request("POST", target, field(1, b""), headers)
        assert got.body == field(1, field(1, field(1, b"hi") + field(2, index))), got
        update = client.request(
            "POST", target, field(3, field(1, b"yo") + field(2, index) + field(3, field(1, 30))), headers)
        new_index = client.get(f"{name}/{i}").json["index"]
        old = field(1, b"hi") + field(2, index)
        assert update.body == field(3, field(1, new_index) + field(2, old)), update
        assert "expire" in client.get(f"{name}/{i}").json
        conflict = client.request("POST", target, field(4, field(1, index)), headers)
        check_problem(conflict, 412, "CONFLICT")
        deleted = client.request("POST", target, field(4, b""), headers)
        assert deleted.body == field(4, field(1, field(1, b"yo") + field(2, new_index))), deleted
        check_problem(client.request("POST", target, b"\xff\xff", headers), 400, "INVALID")


def test_list(cluster, name):
    client = cluster.leader().client()
    wanted = [f"{name}/{part}" for part in ("a", "a/1", "a/2", "b", "c", "grün")]
    for key in reversed(wanted):
        client.put(key, key.upper())
    client.put(name + "0", "beside the prefix")
    for some in clients(cluster):
        page = some.request("GET", f"/v1/values?prefix={name}/")
        assert page.status == 200, page
        assert [v["name"] for v in page.json["values"]] == wanted, page
        assert all(v["value"] == v["name"].upper() and v["index"] > 0 for v in page.json["values"])
        assert "next" not in page.json, page

        seen, after = [], ""
        for _ in range(10):
            page = some.request("GET", f"/v1/values?prefix={name}/&limit=2{after}").json
            assert len(page["values"]) <= 2
            seen += [v["name"] for v in page["values"]]
            if "next" not in page:
                break
            after = f"&after={quoted(page['next'])}"
        assert seen == wanted, seen

        keys = some.request("GET", f"/v1/values?prefix={name}/a&keys_only=true").json["values"]
        assert [v["name"] for v in keys] == wanted[:3]
        assert all("value" not in v and "value_base64" not in v and v["index"] > 0 for v in keys)
        assert some.request("GET", f"/v1/values?prefix={name}/nothing").json["values"] == []


def test_local_reads_and_min_index(cluster, name):
    writer = cluster.leader().client()
    for follower in cluster.followers():
        client = follower.client()
        for i in range(20):
            index = writer.put(name, str(i)).json["index"]
            got = client.get(name, f"?consistency=local&min_index={index}")
            assert got.status == 200 and got.json["value"] == str(i), got
            assert got.headers["Cairn-Consistency"] == "local", got
            assert int(got.headers["Cairn-Index"]) >= index, got
        late = client.get(name, f"?consistency=local&min_index={index + 1000000}&timeout=300ms")
        check_problem(late, 504, "TIMEOUT")


def test_linearizable_reads_see_what_was_acknowledged(cluster, name):
    writer = cluster.followers()[0].client()
    readers = [n.client() for n in cluster.nodes]
    for i in range(100):
        writer.put(name, str(i))
        assert readers[i % 3].get(name).json["value"] == str(i)


def test_ttl(cluster, name):
    for i, client in enumerate(clients(cluster)):
        key = f"{name}/{i}"
        sent, sent_utc = time.monotonic(), time.time()
        assert client.put(key, "x", ttl="1.5s").status == 201
        acknowledged, acknowledged_utc = time.monotonic(), time.time()
        got = client.get(key)
        expire = parse_time(got.json["expire"])
        assert sent_utc + 1.4 <= expire <= acknowledged_utc + 1.6, got
        while True:
            began = time.monotonic()
            got = client.get(key)
            if got.status == 404:
                assert time.monotonic() >= sent + 1.5, "gone before its ttl"
                break
            assert got.status == 200, got
            assert began < acknowledged + 1.5 + 1.0 * harness.slowness, "not gone in time"
            time.sleep(0.02)


def test_ttl_of_every_form(cluster, name):
    client = cluster.leader().client()
    for ttl, seconds in (("30s", 30), ("1.5s", 1.5), ("500ms", 0.5), ("5m", 300), ("1h", 3600)):
        now = time.time()
        assert client.put(f"{name}/{ttl}", "x", ttl=ttl).status == 201
        got = client.get(f"{name}/{ttl}")
        if got.status == 200:
            assert abs(parse_time(got.json["expire"]) - now - seconds) < 1 * harness.slowness, got
        listed = client.request("GET", f"/v1/values?prefix={name}/1h").json["values"]
        assert all("expire" in v for v in listed)


def test_writing_without_ttl_makes_permanent(cluster, name):
    client = cluster.followers()[0].client()
    client.put(f"{name}/set", "x", ttl="700ms")
    client.put(f"{name}/set", "y")
    index = client.put(f"{name}/update", "x", ttl="700ms").json["index"]
    client.put(f"{name}/update", "y", prev_index=index)
    client.put(f"{name}/longer", "x", ttl="700ms")
    client.put(f"{name}/longer", "y", ttl="1h")
    client.put(f"{name}/gone", "x", ttl="700ms")
    wait_until(lambda: client.get(f"{name}/gone").status == 404, 10, "the value expired")
    for kind in ("set", "update"):
        got = client.get(f"{name}/{kind}")
        assert got.status == 200 and "expire" not in got.json, got
    assert "expire" in client.get(f"{name}/longer").json


def test_an_expired_value_can_be_created_again(cluster, name):
    client = cluster.followers()[0].client()
    index = client.put(name, "x", ttl="300ms", headers={"If-None-Match": "*"}).json["index"]
    created = wait_until(
        lambda: (a := client.put(name, "y", headers={"If-None-Match": "*"})).status == 201 and a,
        10, "created again")
    assert created.json["index"] > index
    check_problem(client.put(name, "z", headers={"If-Match": f'"{index}"'}), 412, "CONFLICT")


def test_counting_by_compare_and_set(cluster, name):
    """Six writers, two on each node: every increment that was acknowledged counts once."""
    cluster.leader().client().put(name, "0")

    def increment(node):
        client = node.client()
        done = 0
        while done < 25:
            got = client.get(name).json
            answer = client.put(name, str(int(got["value"]) + 1),
                                headers={"If-Match": f'"{got["index"]}"'})
            assert answer.status in (200, 412), answer
            done += answer.status == 200

    for finish in [harness.in_background(lambda n=n: increment(n)) for n in cluster.nodes * 2]:
        finish()
    assert cluster.leader().client().get(name).json["value"] == "150"
    harness.check_same_everywhere(cluster, [name])


def test_pipelined_requests_are_answered_in_order(cluster, name):
    client = cluster.leader().client()
    for i in range(10):
        client.put(f"{name}/{i}", f"value-{i}")
    port = cluster.followers()[0].http_port
    data = b"".join(f"GET /v1/values/{name}/{i} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                    for i in range(9))
    data += f"GET /v1/values/{name}/9 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    received, closed = raw_exchange(port, data)
    assert closed and received.count(b"HTTP/1.1 200") == 10, received
    places = [received.index(f"value-{i}".encode()) for i in range(10)]
    assert places == sorted(places), received


def test_one_node_without_peers(make_cluster, name):
    client = make_cluster(size=1).nodes[0].client()
    index = client.put(name, "x").json["index"]
    assert client.put(name, "y", headers={"If-Match": f'"{index}"'}).status == 200
    assert client.get(name).json["value"] == "y"


def test_values_that_json_writes_long(cluster, name):
    """The largest value is the largest however its bytes are escaped."""
    client = cluster.nodes[0].client()
    for value in ("я" * 400_000, "\x01" * 1_048_576):
        answer = client.request("PUT", f"/v1/values/{name}", json.dumps({"value": value}).encode(),
                                {"Content-Type": "application/json"})
        assert answer.status in (200, 201), answer
        assert client.get(name).json["value"] == value
