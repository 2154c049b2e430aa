#include "server/openapi.h"

namespace cairn::server {

// Answers may get further members with time: none of these schemas forbids them.
std::string_view openapi_schemas() {
    return R"json({
  "Index": {
    "description":
      "Raft log index of the command that wrote the value. Grows, and is never used twice.",
    "type": "integer", "format": "uint64", "minimum": 0
  },
  "Duration": {
    "description": "A number and ms, s, m or h.",
    "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m|h)$"
  },
  "Bytes": {
    "description": "Bytes that are valid UTF-8 are `value`, others `value_base64`.",
    "type": "object",
    "properties": {
      "value": {"type": "string"},
      "value_base64": {"type": "string", "contentEncoding": "base64"}
    }
  },
  "Value": {
    "allOf": [{"$ref": "#/components/schemas/Bytes"}],
    "type": "object",
    "required": ["name", "index"],
    "properties": {
      "name": {"type": "string"},
      "index": {"$ref": "#/components/schemas/Index"},
      "expire": {"type": "string", "format": "date-time"}
    }
  },
  "PutRequest": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "value": {"type": "string"},
      "value_base64": {"type": "string", "contentEncoding": "base64"},
      "ttl": {"$ref": "#/components/schemas/Duration"},
      "prev_index": {"$ref": "#/components/schemas/Index"}
    },
    "oneOf": [{"required": ["value"]}, {"required": ["value_base64"]}]
  },
  "Written": {
    "type": "object",
    "required": ["name", "index"],
    "properties": {
      "name": {"type": "string"},
      "index": {"$ref": "#/components/schemas/Index"},
      "prev_value": {
        "description": "With a precondition: the value before.",
        "allOf": [{"$ref": "#/components/schemas/Bytes"}],
        "required": ["index"],
        "properties": {"index": {"$ref": "#/components/schemas/Index"}}
      }
    }
  },
  "List": {
    "type": "object",
    "required": ["values"],
    "properties": {
      "values": {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
      "next": {"description": "There is more: pass it as `after`.", "type": "string"},
      "index": {"description": "For `at_index` of the next pages.", "type": "integer"}
    }
  },
  "StreamMessage": {
    "description":
      "One message of a stream: a WebSocket message, the data of a server-sent event, or a line.",
    "type": "object",
    "required": ["type", "cursor"],
    "properties": {
      "type": {"enum": ["value", "subscribed", "created", "updated", "deleted", "progress", "gap"]},
      "cursor": {"description": "Where to resume after this message. Opaque.", "type": "string"},
      "name": {"type": "string"},
      "value": {"type": ["string", "null"]},
      "value_base64": {"type": "string", "contentEncoding": "base64"},
      "index": {"$ref": "#/components/schemas/Index"},
      "expire": {"type": "string", "format": "date-time"},
      "expired": {"type": "boolean"},
      "deleted_index": {"$ref": "#/components/schemas/Index"},
      "prev_value": {"allOf": [{"$ref": "#/components/schemas/Bytes"}]}
    }
  },
  "AtomicValueInput": {
    "description":
      "atomix.multiraft.atomic.value.v1.AtomicValueInput in the protobuf JSON mapping.",
    "type": "object",
    "properties": {
      "get": {"type": "object"}, "set": {"type": "object"}, "update": {"type": "object"},
      "delete": {"type": "object"}, "watch": {"type": "object"}, "events": {"type": "object"}
    }
  },
  "AtomicValueOutput": {
    "description":
      "atomix.multiraft.atomic.value.v1.AtomicValueOutput in the protobuf JSON mapping.",
    "type": "object",
    "properties": {
      "get": {"type": "object"}, "set": {"type": "object"}, "update": {"type": "object"},
      "delete": {"type": "object"}
    }
  },
  "Member": {
    "type": "object",
    "required": ["id", "raft", "role", "state"],
    "properties": {
      "id": {"type": "integer", "minimum": 1},
      "raft": {"type": "string"},
      "http": {"type": "string"},
      "role": {"enum": ["voter", "learner"]},
      "state": {"type": "string"},
      "disk_id": {"type": "string"},
      "match_index": {"type": "integer"},
      "lag": {"type": "integer"},
      "last_contact_ms": {"type": "integer"},
      "rtt_ms": {"type": "number"},
      "hears": {"type": "boolean"},
      "reaches": {"type": "boolean"}
    }
  },
  "Cluster": {
    "type": "object",
    "required": ["cluster_id", "node", "state", "leader", "term", "commit_index", "applied_index",
                 "last_index", "ready", "members"],
    "properties": {
      "cluster_id": {"type": "string"},
      "node": {"type": "integer"},
      "state": {"type": "string"},
      "leader": {"description": "0: none is known.", "type": "integer"},
      "term": {"type": "integer"},
      "commit_index": {"type": "integer"},
      "applied_index": {"type": "integer"},
      "last_index": {"type": "integer"},
      "snapshot_index": {"type": "integer"},
      "ready": {"type": "boolean"},
      "not_ready_reason": {"type": "string"},
      "version": {"type": "string"},
      "started_at": {"type": "string", "format": "date-time"},
      "leader_since": {"type": "string", "format": "date-time"},
      "disk_ms": {"type": "number"},
      "members": {"type": "array", "items": {"$ref": "#/components/schemas/Member"}},
      "removed": {"description": "Ids of former members, which aren't used again.",
                  "type": "array", "items": {"type": "integer"}}
    }
  },
  "LeaderRequest": {
    "type": "object",
    "required": ["id"],
    "additionalProperties": false,
    "properties": {"id": {"type": "integer", "minimum": 1}}
  },
  "MemberRequest": {
    "type": "object",
    "required": ["id", "raft"],
    "additionalProperties": false,
    "properties": {
      "id": {"type": "integer", "minimum": 1},
      "raft": {"description": "HOST:PORT", "type": "string"},
      "learner": {"description": "It stays a learner.", "type": "boolean"}
    }
  },
  "Done": {"type": "object"},
  "Problem": {
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
      "type": {"type": "string"},
      "title": {"type": "string"},
      "status": {"type": "integer"},
      "detail": {"type": "string"},
      "code": {
        "enum": ["INVALID", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "METHOD_NOT_ALLOWED",
                 "CONFLICT", "ALREADY_EXISTS", "TOO_LARGE", "URI_TOO_LONG",
                 "UNSUPPORTED_MEDIA_TYPE", "IDEMPOTENCY_MISMATCH", "HEADERS_TOO_LARGE",
                 "OVERLOADED", "UNAVAILABLE", "TIMEOUT",
                 "DISK_FULL", "INTERNAL"]
      },
      "outcome": {"description": "What became of a write.", "enum": ["not_applied", "unknown"]},
      "current_index": {"$ref": "#/components/schemas/Index"},
      "leader": {"type": "integer"}
    }
  }
})json";
}

}  // namespace cairn::server
