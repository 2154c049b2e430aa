"""GET /openapi.json tells what this node really does."""
import json
import re

import http.client

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
        allowed = node.client().request("OPTIONS", path.replace("{name}", "a").replace("{id}", "9"))
        listed = set(allowed.headers["Allow"].split(", ")) - {"OPTIONS", "HEAD"}
        assert listed == {method.upper() for method in methods}, (path, listed)


def test_parameters_are_those_of_the_document(cluster, name):
    """Every one is accepted where it is described, and refused by name where it isn't."""
    node = cluster.leader()
    for path, method, operation in operations(document(node)):
        if method != "GET" or path in ("/v1/stream", "/v1/cluster/backup"):
            continue  # what would change something, or isn't an answer
        described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
        where = path.replace("{name}", name)
        for parameter, value in VALUES.items():
            if parameter in ("wait",) and parameter in described:
                continue  # goes with another one only
            if parameter == "prefix" and path != "/v1/values":
                value = "false"
            if parameter == "after" and path != "/v1/values":
                value = "7"
            connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=15.0)
            connection.request("GET", f"{where}?{parameter}={value}")
            answer = connection.getresponse()
            unknown = False
            if answer.status == 400:
                unknown = "is not known here" in json.loads(answer.read())["detail"]
            connection.close()
            assert unknown == (parameter not in described), (path, parameter, answer.status)
