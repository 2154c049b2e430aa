"""GET /openapi.json tells what this node really does."""
import http.client
import json
import re

import jsonschema

from client import Response

VALUES = {  # of each parameter, one that is always right
    "timeout": "2s", "consistency": "local", "min_index": "1", "ttl": "30s", "prefix": "a", "limit": "10", "after": "a",
    "keys_only": "true", "cursor": "1", "wait": "1s", "at_index": "1",
}


def document(node):
    answer = node.client().request("GET", "/openapi.json")
    assert answer.status == 200
    return json.loads(answer.body)


def operations(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def references(part):
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for item in part.values():
            yield from references(item)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def test_the_document_is_sound(cluster):
    described = document(cluster.nodes[0])
    assert described["openapi"].startswith("3.1") and described["info"]["version"]
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names)) >= 20, names
    for reference in references(described):
        place = described
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
    for path, method, operation in operations(described):
        wanted = set(re.findall(r"\{(\w+)\}", path))
        given = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert wanted == given, (path, wanted, given)
        assert operation["summary"] and "default" in operation["responses"], (path, method)


def test_methods_are_those_of_the_document(cluster):
    node = cluster.nodes[0]
    for path, methods in document(node)["paths"].items():
        allowed = node.client().request("OPTIONS", path.replace("{name}", "a").replace("{id}", "9").replace("{file}", "app.js"))
        listed = set(allowed.headers["Allow"].split(", ")) - {"OPTIONS", "HEAD"}
        assert listed == {method.upper() for method in methods}, (path, listed)


def test_schemas_are_json_schema(cluster):
    described = document(cluster.nodes[0])
    for name, schema in described["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert any(reference.endswith(f"/schemas/{name}") for reference in references(described)) \
            or name in ("SocketRequest", "SocketMessage"), f"nobody needs {name}"


def requests(cluster, name):
    """Of each operation what it is asked here: body and headers of one that is right, and the end of its path."""
    leader = cluster.leader()
    member = {"id": leader.id, "raft": leader.raft_address}
    as_json = {"Content-Type": "application/json"}
    return {
        "putValue": (b'{"value":"x"}', as_json, name), "putBytes": (b"x", {}, name),
        "postValue": (b'{"set":{"value":"eA=="}}', as_json, name),
        "transferLeadership": (json.dumps({"id": leader.id}).encode(), as_json, ""),
        "addMember": (json.dumps(member).encode(), as_json, ""), "removeMember": (None, {}, "99"),
    }


def ask(node, method, target, body=None, headers=None):
    """Also what becomes a stream: of that, only how it begins."""
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=15.0)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        is_stream = answer.headers.get("Transfer-Encoding") == "chunked"
        return Response(answer.status, answer.headers, answer.readline() if is_stream else answer.read())
    finally:
        connection.close()


def test_parameters_are_those_of_the_document(cluster, name):
    """Every one is accepted where it is described, and refused by name where it isn't."""
    node = cluster.leader()
    right = requests(cluster, name)
    for path, method, operation in operations(document(node)):
        body, headers, end = right.get(operation["operationId"], (None, {}, name))
        where = path.partition("{")[0] + (end if "{" in path else "")
        described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
        for parameter, value in VALUES.items():
            if parameter == "prefix" and path != "/v1/values":
                value = "false"
            if parameter == "after" and path != "/v1/values":
                value = "7"
            if parameter == "wait" and parameter in described:
                value += "&after=7"  # goes with it only
            answer = ask(node, method, f"{where}?{parameter}={value}", body, headers)
            if parameter in described:
                assert answer.status != 400, (method, path, parameter, answer)
            else:
                said = f'The query parameter "{parameter}" is not known here.'
                assert answer.status == 400 and answer.json["detail"] == said, (method, path, parameter, answer)


def if_match(cluster, operation, path, right, name):
    index = cluster.leader().client().put(name, "x").json["index"]
    body, headers, _ = right.get(operation["operationId"], (None, {}, ""))
    for tag, status in (('"1"', {412}), (f'"{index}"', {200})):
        answer = ask(cluster.leader(), operation["method"], path + name, body, {**headers, "If-Match": tag})
        assert answer.status in status, (operation["operationId"], tag, answer)


def if_none_match(cluster, operation, path, right, name):
    index = cluster.leader().client().put(name, "x").json["index"]
    body, headers, _ = right.get(operation["operationId"], (None, {}, ""))
    refused = 304 if operation["method"] == "GET" else 412
    tags = ("*", f'"{index}"') if operation["method"] == "GET" else ("*",)
    for tag in tags:
        answer = ask(cluster.leader(), operation["method"], path + name, body, {**headers, "If-None-Match": tag})
        assert answer.status == refused, (operation["operationId"], tag, answer)


def idempotency_key(cluster, operation, path, right, name):
    cluster.leader().client().put(name, "x")
    body, headers, _ = right.get(operation["operationId"], (None, {}, ""))
    headers = {**headers, "Idempotency-Key": f"{name}-{operation['operationId']}"}
    first, again = (ask(node, operation["method"], path + name, body, headers) for node in cluster.nodes[:2])
    assert first.status == again.status == 200 and first.body == again.body, (first, again)
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"


def last_event_id(cluster, operation, path, _right, name):
    index = cluster.leader().client().put(name, "x").json["index"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "nonsense"}
    refused = ask(cluster.leader(), "GET", path + name, None, headers)
    assert refused.status == 400 and "Last-Event-ID" in refused.json["detail"], (operation["operationId"], refused)
    stream = cluster.leader().stream(path + name, transport="sse", cursor=str(index))
    cluster.leader().client().put(name, "y")
    messages = [stream.next()]
    while messages[-1]["type"] == "subscribed":
        messages.append(stream.next())
    stream.close()
    assert messages[-1]["value"] == "y", messages


def test_headers_of_the_document_are_understood(cluster, name):
    understood = {"If-Match": if_match, "If-None-Match": if_none_match, "Idempotency-Key": idempotency_key,
                  "Last-Event-ID": last_event_id}
    right = requests(cluster, name)
    seen = set()
    for path, method, operation in operations(document(cluster.leader())):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "header":
                seen.add(parameter["name"])
                understood[parameter["name"]](
                    cluster, {**operation, "method": method}, path.partition("{")[0], right, name)
    assert seen == set(understood), seen


def test_media_types_of_the_document_are_taken(cluster, name):
    """Each that is described, and where not any is, no other."""
    bodies = {**{k: v[0] for k, v in requests(cluster, name).items()}, "application/x-protobuf": b"\x12\x03\x0a\x01x"}
    for path, method, operation in operations(document(cluster.leader())):
        described = operation.get("requestBody", {}).get("content", {})
        for media in described:
            body = bodies.get(media, bodies.get(operation["operationId"]))
            target = path.partition("{")[0] + (name if "{" in path else "")
            answer = ask(cluster.leader(), method, target, body, {"Content-Type": media.replace("*/*", "image/png")})
            assert answer.status in (200, 201), (method, path, media, answer)
        if described and "*/*" not in described:
            answer = ask(cluster.leader(), method, target, body, {"Content-Type": "text/plain"})
            assert answer.status == 415 and answer.json["code"] == "UNSUPPORTED_MEDIA_TYPE", (method, path, answer)
