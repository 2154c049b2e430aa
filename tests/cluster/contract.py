"""Holds what nodes are asked and what they answer against their own OpenAPI document.

An answer must have a status that its operation describes, a media type and headers described for that, and a body that
is valid by the schema. A request that was answered 2xx must be one that the document allows: path, method, parameters,
media type and body. Answers are taken for complete: members and headers that nobody described are errors, although the
document doesn't forbid clients to see more in a later version.

Nothing is checked before use() was called: run.py does that. (The nemesis, which mixes versions, doesn't.) Checks are
made by any thread. Bodies that are alike are too many to validate all: of each operation and status the first ones are,
then some.
"""
import base64
import binascii
import datetime
import json
import re
import threading
import urllib.parse

import jsonschema

# Statuses that any operation may answer by `default`. All others have to be described where they come.
ANYWHERE = {400, 401, 403, 405, 408, 413, 414, 417, 421, 429, 431, 500, 501, 503, 505}
# HTTP's own, and what is for logs, caches and browsers.
GENERAL_HEADERS = {
    "server", "content-length", "content-type", "connection", "transfer-encoding", "upgrade", "sec-websocket-accept",
    "sec-websocket-protocol", "cache-control", "vary", "x-request-id", "x-content-type-options", "x-accel-buffering",
    "content-security-policy", "content-encoding", "referrer-policy", "cross-origin-opener-policy",
    "cross-origin-resource-policy", "access-control-allow-origin", "access-control-expose-headers",
}
PREFLIGHT_HEADERS = {
    "allow", "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age",
    "cairn-index", "cairn-node", "cairn-leader",
}
FULLY = 500  # bodies of each kind are validated,
THEN_EVERY = 20  # and of the others each so manyth


class Contradiction(AssertionError):
    """Between what a node did and what its document says."""


document = None  # a Document, once use() was called
_lock = threading.Lock()
_found = []


def use(described):
    global document  # pylint: disable=global-statement
    document = Document(described)


def take_contradictions():
    """What was found since the last call, also where a test's thread kept it for itself."""
    with _lock:
        taken = _found[:]
        _found.clear()
    return taken


def check(method, target, headers, body, answer):
    """An exchange of HTTP; an answer's body of None follows later."""
    if document is not None:
        _note(lambda: document.check_exchange(method, target, headers or {}, body, answer))


def check_message(message):
    """Of a stream, on any transport."""
    if document is not None:
        _note(lambda: document.check_message(message))


def check_socket_message(message):
    """Of /v1/stream."""
    if document is not None:
        _note(lambda: document.check_socket_message(message))


def check_socket_request(message):
    """One that was not refused."""
    if document is not None:
        _note(lambda: document.check_socket_request(message))


def _note(check_it):
    try:
        check_it()
    except Contradiction as contradiction:
        with _lock:
            _found.append(str(contradiction))
        raise


# --- Schemas


def _is_integer(_, instance):
    return isinstance(instance, int) and not isinstance(instance, bool)


def _check_encoding(_, encoding, instance, __):
    if encoding == "base64" and isinstance(instance, str):
        try:
            base64.b64decode(instance, validate=True)
        except binascii.Error:
            yield jsonschema.ValidationError(f"{instance[:80]!r} is not base64")


FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("uint64")
def _is_uint64(instance):
    return not _is_integer(None, instance) or 0 <= instance < 1 << 64


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(instance):
    if isinstance(instance, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", instance):
            return False
        datetime.datetime.strptime(instance[:19], "%Y-%m-%dT%H:%M:%S")
    return True


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {"contentEncoding": _check_encoding},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer))


def expanded(part, described):
    """Without references: resolving them while validating isn't made for several threads."""
    if isinstance(part, list):
        return [expanded(item, described) for item in part]
    if not isinstance(part, dict):
        return part
    result = {}
    if "$ref" in part:
        place = described
        for key in part["$ref"].removeprefix("#/").split("/"):
            place = place[key]
        result = expanded(place, described)
    return {**result, **{key: expanded(item, described) for key, item in part.items() if key != "$ref"}}


def closed(schema, is_part=False):
    """The same for those that allow no other members. What is composed of parts is closed as a whole."""
    if not isinstance(schema, dict):
        return schema
    parts = [part for kind in ("allOf", "anyOf", "oneOf") for part in schema.get(kind, ())]
    is_composed = "properties" in schema and any(_names_members(part) for part in parts)
    result = dict(schema)
    for kind in ("allOf", "anyOf", "oneOf"):
        if kind in schema:
            result[kind] = [closed(part, is_part or "properties" in schema) for part in schema[kind]]
    if "properties" in schema:
        result["properties"] = {name: closed(member) for name, member in schema["properties"].items()}
    if "items" in schema:
        result["items"] = closed(schema["items"])
    if "properties" in schema and not is_part and schema.get("type") == "object":
        result.setdefault("unevaluatedProperties" if is_composed else "additionalProperties", False)
    return result


def _names_members(schema):
    return "properties" in schema or any(
        _names_members(part) for kind in ("allOf", "anyOf", "oneOf") for part in schema.get(kind, ()))


def validator_of(schema, described, is_answer):
    schema = expanded(schema, described)
    return Validator(closed(schema) if is_answer else schema, format_checker=FORMATS)


def validate(validator, instance, what):
    errors = list(validator.iter_errors(instance))
    # Where a part of the schema doesn't fit, what it would have known counts as unexpected, too: that says nothing.
    errors = [error for error in errors if error.validator != "unevaluatedProperties"] or errors
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        raise Contradiction(f"{what}: {error.json_path}: {error.message[:500]}")


def parsed(text, what):
    """JSON as strict as it gets: no member twice, no NaN."""
    def members(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a member is there twice")
        return result

    def no_number(name):
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=no_number)
    except ValueError as error:
        raise Contradiction(f"{what} is not JSON ({error}): {text[:200]!r}") from None


def media_type(content_type):
    return content_type.partition(";")[0].strip().lower()


def is_json(media):
    return media == "application/json" or media.endswith("+json")


# --- The document


class Body:
    """What a body may be: media types, with the schema of those that are JSON."""

    def __init__(self, content, described, is_answer):
        self.validators = {
            media: validator_of(entry["schema"], described, is_answer) if is_json(media) and entry["schema"] else None
            for media, entry in (content or {}).items()}

    def validator(self, content_type, what):
        media = media_type(content_type)
        if media not in self.validators and "*/*" not in self.validators:
            raise Contradiction(f"{what}: {content_type!r} is not described, only {sorted(self.validators)}")
        return self.validators.get(media)


class Described:
    """An answer of an operation."""

    def __init__(self, response, described):
        response = expanded(response, described)
        self.body = Body(response.get("content"), described, True)
        self.headers = {
            name.lower(): (entry.get("required", False), Parameter(name, entry["schema"]))
            for name, entry in response.get("headers", {}).items()}

    def check_headers(self, headers, what):
        for name, (required, header) in self.headers.items():
            values = headers.get(name, [])
            if len(values) > 1 or (required and not values):
                raise Contradiction(f"{what}: the header {name} is there {len(values)} times")
            if values:
                header.check(values[0], what)
        unknown = set(headers) - set(self.headers) - GENERAL_HEADERS
        if unknown:
            raise Contradiction(f"{what}: headers that are not described: {sorted(unknown)}")


class Parameter:
    """One text: of a path, a query or a header."""

    def __init__(self, name, schema):
        self.name = name
        self.type = schema.get("type")
        self.validator = Validator(schema, format_checker=FORMATS)
        self.accepted = set()

    def check(self, text, what):
        if text in self.accepted:
            return
        value = text
        if self.type == "integer" and re.fullmatch(r"-?[0-9]+", text):
            value = int(text)
        elif self.type == "boolean":
            value = {"true": True, "false": False}.get(text, text)
        validate(self.validator, value, f"{what}: {self.name}={text[:80]!r}")
        if len(self.accepted) < 1000:
            self.accepted.add(text)


class Operation:
    def __init__(self, operation, described):
        self.id = operation["operationId"]
        self.parameters = {"path": {}, "query": {}, "header": {}}
        for entry in expanded(operation.get("parameters", []), described):
            self.parameters[entry["in"]][entry["name"]] = Parameter(entry["name"], entry["schema"])
        wanted = operation.get("requestBody")
        self.body = Body(wanted["content"], described, False) if wanted else None
        self.answers = {status: Described(response, described) for status, response in operation["responses"].items()}

    def answer(self, status, what):
        if str(status) in self.answers:
            return self.answers[str(status)]
        if status in ANYWHERE:
            return self.answers["default"]
        raise Contradiction(f"{what}: the status is not described")


class Document:
    def __init__(self, described):
        self.described = described
        self.paths = {}  # as they are, or up to what they end with: a name or an id
        for path, methods in described["paths"].items():
            fixed, _, name = path.rstrip("}").partition("{")
            self.paths[fixed if name else path] = (
                name, {method.upper(): Operation(operation, described) for method, operation in methods.items()})
        self.refusal = Described({"$ref": "#/components/responses/AnyProblem"}, described)
        message = described["components"]["schemas"]["StreamMessage"]
        self.messages = {kind: validator_of({"$ref": reference}, described, True)
                         for kind, reference in message["discriminator"]["mapping"].items()}
        self.socket_message = validator_of({"$ref": "#/components/schemas/SocketMessage"}, described, True)
        self.socket_request = validator_of({"$ref": "#/components/schemas/SocketRequest"}, described, False)
        self.counts = {}

    def is_due(self, kind):
        count = self.counts.get(kind, 0)
        self.counts[kind] = count + 1  # that one is lost between threads doesn't matter
        return count < FULLY or count % THEN_EVERY == 0

    def find(self, path):
        """The parameter's name, its text, and the operations by method."""
        name, methods = self.paths.get(path, ("", None))
        if methods is not None and not name:
            return name, "", methods
        fixed = max((p for p, (named, _) in self.paths.items() if named and path.startswith(p)), key=len, default=None)
        if fixed is None:
            return "", "", {}
        name, methods = self.paths[fixed]
        return name, path[len(fixed):], methods

    def check_exchange(self, method, target, headers, body, answer):
        what = f"{method} {target[:200]} answered {answer.status}"
        path, _, query = target.partition("?")
        name, text, methods = self.find(path)
        answered = {}
        for key, value in answer.headers.items():
            answered.setdefault(key.lower(), []).append(value)
        if method == "OPTIONS" and answer.status == 204:
            unknown = set(answered) - GENERAL_HEADERS - PREFLIGHT_HEADERS
            if unknown or "allow" not in answered or answer.body:
                raise Contradiction(f"{what}: {answer}")
            return
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            if answer.status < 400:
                raise Contradiction(f"{what}: nothing like that is described")
            self.check_answer(self.refusal, "none", method, answer, answered, what)
            return
        self.check_answer(operation.answer(answer.status, what), operation.id, method, answer, answered, what)
        if 200 <= answer.status < 300 or answer.status == 101:
            if name:
                operation.parameters["path"][name].check(urllib.parse.unquote(text, errors="strict"), what)
            self.check_request(operation, query, headers, body, what)

    def check_answer(self, described, operation_id, method, answer, headers, what):
        described.check_headers(headers, what)
        content_type = headers.get("content-type", [""])[0]
        if not described.body.validators:
            if answer.body or content_type:
                raise Contradiction(f"{what}: no body is described, {content_type!r} came: {answer.body[:100]!r}")
            return
        if method == "HEAD" and answer.body:
            raise Contradiction(f"{what}: HEAD has no body")
        if not content_type:  # there is none where there are no bytes
            if answer.body or (method != "HEAD" and any(described.body.validators.values())):
                raise Contradiction(f"{what}: it has no Content-Type")
            return
        validator = described.body.validator(content_type, what)
        if validator is None or not answer.body or not self.is_due((operation_id, answer.status)):
            return
        content = parsed(answer.body, what)
        validate(validator, content, what)
        if answer.status >= 400 and content["status"] != answer.status:
            raise Contradiction(f"{what}: the problem says {content['status']}")

    def check_request(self, operation, query, headers, body, what):
        seen = set()
        for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True, errors="strict"):
            if name not in operation.parameters["query"] or name in seen:
                raise Contradiction(f"{what}: the parameter {name} is not described, or came twice")
            seen.add(name)
            operation.parameters["query"][name].check(text, what)
        given = {name.lower(): value for name, value in headers.items()}
        for name, header in operation.parameters["header"].items():
            if name.lower() in given:
                header.check(given[name.lower()], what)
        if operation.body is None:
            if body:
                raise Contradiction(f"{what}: no body is described, {body[:100]!r} was taken")
            return
        # One that says nothing is taken for the one that comes first.
        validator = operation.body.validator(given.get("content-type", next(iter(operation.body.validators))), what)
        if validator is not None and self.is_due((operation.id, "request")):
            validate(validator, parsed(body or b"", f"{what}: the request"), f"{what}: the request")

    def check_message(self, message):
        what = f"the message {str(message)[:300]}"
        kind = message.get("type")
        if kind not in self.messages:
            raise Contradiction(f"{what}: its type is not described")
        if self.is_due(("message", kind, message.get("value", "") is None)):
            validate(self.messages[kind], message, what)

    def check_socket_message(self, message):
        if self.is_due(("socket message", message.get("type", ""))):
            validate(self.socket_message, message, f"the message {str(message)[:300]}")

    def check_socket_request(self, message):
        validate(self.socket_request, message, f"the request {str(message)[:300]}")
