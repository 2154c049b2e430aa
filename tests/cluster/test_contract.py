"""contract.py finds what is not as the document says: answers and requests that were tampered with."""
import contract
from client import Response

NODE_HEADERS = {"Cairn-Index": "7", "Cairn-Node": "1", "Cairn-Leader": "2", "Connection": "keep-alive"}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is none.", "code": "NOT_FOUND"}
READ = {"Cairn_Consistency": "linearizable", "Cache_Control": "no-cache"}


def answer(status, body=None, **headers):
    """As a node gives it; headers with underscores, None leaves one out."""
    kind = "application/problem+json" if status >= 400 else "application/json"
    all_headers = {**NODE_HEADERS, **({"Content-Type": kind} if body is not None else {})}
    all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    if isinstance(body, dict):
        body = contract.json.dumps(body).encode()
    return Response(status, {k: v for k, v in all_headers.items() if v is not None}, body or b"")


def found(*exchange):
    try:
        fresh().check_exchange(*exchange)
    except contract.Contradiction as contradiction:
        return str(contradiction)
    return None


def fresh():
    """The document with nothing counted yet: every body is validated."""
    contract.document.counts.clear()
    return contract.document


def got(method="GET", target="/v1/values/a", **changes):
    """A read of a value, answered well but for what is changed."""
    changed = {"status": 200, "body": {"name": "a", "value": "x", "index": 7}, "ETag": '"7"', **READ, **changes}
    return found(method, target, {}, None, answer(**changed))


def test_what_is_right():
    assert got() is None
    assert got(body={"name": "a", "value_base64": "/wA=", "index": 7, "expire": "2026-01-02T03:04:05.678Z"}) is None
    assert got(target="/v1/values/a%2F%C3%BC?consistency=local&min_index=3&timeout=1h30m") is None
    assert got("HEAD", body=None, Content_Type="application/json") is None
    assert found("OPTIONS", "/v1/values/a", {}, None, answer(204, Allow="GET")) is None
    assert found("GET", "/v1/values/a", {}, None, answer(404, PROBLEM)) is None
    assert found("GET", "/nothing", {}, None, answer(404, PROBLEM)) is None


def test_a_body_that_is_not_as_described():
    for body, word in (
            ({"name": "a", "value": "x"}, "'index' is a required property"),
            ({"name": "a", "index": 7}, "is not valid under any"),
            ({"name": "a", "value": "x", "value_base64": "eA==", "index": 7}, "is valid under each of"),
            ({"name": "a", "value": "x", "index": 7, "more": 1}, "'more' was unexpected"),
            ({"name": "a", "value": "x", "index": "7"}, "is not of type 'integer'"),
            ({"name": "a", "value": "x", "index": 7.0}, "is not of type 'integer'"),
            ({"name": "a", "value": "x", "index": True}, "is not of type 'integer'"),
            ({"name": "a", "value": "x", "index": 1 << 64}, "is not a 'uint64'"),
            ({"name": "a", "value_base64": "_wA=", "index": 7}, "is not base64"),
            ({"name": "a", "value": "x", "index": 7, "expire": "2026-01-02 03:04:05Z"}, "is not a 'date-time'"),
            ({"name": "a", "value": "x", "index": 7, "expire": "2026-13-02T03:04:05Z"}, "is not a 'date-time'"),
            (b'{"name":"a","value":"x","index":7,"index":7}', "twice"),
            (b'{"name":"a","value":"x","index":7', "is not JSON"),
            (None, "no Content-Type")):
        problem = got(body=body)
        assert problem is not None and word in problem, (body, problem)


def test_statuses_types_and_headers():
    assert "status is not described" in got(status=202)
    assert "status is not described" in found("GET", "/v1/values", {}, None, answer(404, PROBLEM, **READ))
    assert "is not described" in got(Content_Type="text/plain")
    assert "the problem says 404" in found("GET", "/v1/values/a", {}, None, answer(503, PROBLEM, Retry_After="1"))
    assert "retry-after" in found("GET", "/v1/values/a", {}, None, answer(503, {**PROBLEM, "status": 503}))
    for name, value in (("ETag", None), ("Cairn_Index", None), ("Cairn_Consistency", None), ("ETag", '7'), ("ETag", '"07"'),
                        ("Cairn_Leader", "-1"), ("Cairn_Consistency", "stale"), ("Cairn_More", "1")):
        problem = got(**{name: value})
        assert problem is not None and name.lower().replace("_", "-") in problem.lower(), (name, value, problem)
    assert "no body is described" in got(status=304, body=b"x")
    assert "HEAD has no body" in got("HEAD")
    assert found("OPTIONS", "/v1/values/a", {}, None, answer(204)) is not None
    assert "nothing like that" in found("GET", "/v1/none", {}, None, answer(200, {"a": 1}))
    assert "nothing like that" in found("PATCH", "/v1/values/a", {}, None, answer(200, {"a": 1}))


def put(body=b'{"value":"x"}', target="/v1/values/a", content_type="application/json", **headers):
    written = answer(201, {"name": "a", "index": 7}, ETag='"7"')
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return found("PUT", target, {**given, **({"Content-Type": content_type} if content_type else {})}, body, written)


def test_requests_that_should_have_been_refused():
    assert put() is None and put(content_type=None) is None and put(content_type="application/json; charset=utf-8") is None
    assert put(b'{"value_base64":"eA==","ttl":"1.5s","prev_index":3}') is None
    for body, word in ((b"", "is not JSON"), (b'{"value":1}', "'string'"), (b'{}', "is not valid under any"),
                       (b'{"value":"x","more":1}', "unexpected"), (b'{"value":"x","ttl":"5"}', "does not match"),
                       (b'{"value":"x","value":"x"}', "twice"), (b'{"value":"x","prev_index":-1}', "is not a 'uint64'")):
        problem = put(body)
        assert problem is not None and word in problem, (body, problem)
    assert "is not described" in put(content_type="text/plain")
    assert put(b"\xff", "/v1/raw/a?ttl=1s", "text/plain") is None
    for target, word in (("/v1/values/a?ttl=1s", "ttl"), ("/v1/values/a?timeout=2s&timeout=2s", "timeout"),
                         ("/v1/values/a?timeout=soon", "timeout"), ("/v1/values/", "name")):
        problem = put(target=target)
        assert problem is not None and word in problem, (target, problem)
    assert "Idempotency-Key" in put(Idempotency_Key="a b")
    assert "min_index" in got(target="/v1/values/a?min_index=x")
    assert "no body is described" in found("GET", "/livez", {}, b"x", answer(200, {"status": "ok"}))


def test_messages_of_streams():
    right = (
        {"type": "value", "name": "a", "value": "x", "index": 7, "cursor": "7"},
        {"type": "value", "name": "a", "value": None, "index": 9, "expired": True, "cursor": "9"},
        {"type": "subscribed", "cursor": "6"},
        {"type": "created", "name": "a", "value_base64": "/wA=", "index": 7, "expire": "2026-01-02T03:04:05Z", "cursor": "7"},
        {"type": "updated", "name": "a", "value": "y", "index": 8, "prev_value": {"value": "x", "index": 7}, "cursor": "8"},
        {"type": "deleted", "name": "a", "value": "y", "index": 8, "expired": False, "deleted_index": 9, "cursor": "9"},
        {"type": "progress", "cursor": "57"}, {"type": "gap", "cursor": "57"})
    problem = {**PROBLEM, "outcome": "not_applied", "current_index": 4}
    for message in right:
        fresh().check_message(message)
        fresh().check_socket_message({"id": 1, **message})
        wrong = [{**message, "more": 1}, {**message, "type": "other"}]
        wrong += [{k: v for k, v in message.items() if k != name} for name in message if name != "expired" and name != "expire"]
        if "prev_value" in message:
            wrong.append({**message, "prev_value": {**message["prev_value"], "more": 1}})
        if message["type"] == "value":
            wrong.append({**message, "expired": True, "expire": "2026-01-02T03:04:05Z"})
        for bad in wrong:
            refuses(fresh().check_message, bad)
            refuses(fresh().check_socket_message, {"id": 1, **bad})
        refuses(fresh().check_socket_message, message)
    for message in ({"type": "unsubscribed", "cursor": "5"}, {"output": {"set": {"index": "5"}}, "replayed": True},
                    {"error": problem}, {"error": problem, "cursor": "5"}):
        fresh().check_socket_message({"id": 1, **message})
        refuses(fresh().check_socket_message, {"id": 1, **message, "more": 1})
    refuses(fresh().check_socket_message, {"id": 1, "output": {"set": {"index": 5}}})
    for request in ({"id": 1, "subscribe": {"name": "a", "kind": "watch", "cursor": "5"}}, {"id": 1, "unsubscribe": {}},
                    {"id": 1, "name": "a", "input": {"update": {"value": "eA==", "prevIndex": 4}}, "timeout": "2s"}):
        fresh().check_socket_request(request)
        refuses(fresh().check_socket_request, {**request, "more": 1})
        refuses(fresh().check_socket_request, {k: v for k, v in request.items() if k != "id"})
    refuses(fresh().check_socket_request, {"id": 1, "name": "a", "input": {"watch": {}}})
    refuses(fresh().check_socket_request, {"id": 1, "name": "a", "input": {"set": {"value": "eA=="}, "get": {}}})
    refuses(fresh().check_socket_message, {"id": 1, "error": {**problem, "more": 1}})


def refuses(check, message):
    try:
        check(message)
    except contract.Contradiction:
        return
    raise AssertionError(f"taken: {message}")


def test_a_contradiction_that_a_thread_keeps_for_itself_is_found():
    try:
        contract.check("GET", "/v1/none", {}, None, answer(200, {"a": 1}))
    except contract.Contradiction:
        pass
    taken = contract.take_contradictions()
    assert len(taken) == 1 and "nothing like that" in taken[0], taken
    assert contract.take_contradictions() == []
