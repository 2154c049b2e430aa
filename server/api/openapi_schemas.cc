#include "server/api/openapi.h"

namespace cairn::server {
namespace {

// What nodes say may get further members with time, so these schemas forbid clients none of them;
// the tests' contract.py takes each for complete all the same. What clients say is refused where it
// isn't known, so there these do say "additionalProperties": false.
constexpr std::string_view schemas = R"json({
  "Index": {
    "description":
      "Raft log index of the command that wrote the value. Grows, and is never used twice.",
    "type": "integer", "format": "uint64", "minimum": 0
  },
  "Duration": {
    "description": "Numbers with units, the larger unit first: 30s, 1.5s, 500ms, 1h30m.",
    "type": "string", "examples": ["30s", "500ms"],
    "pattern": "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$"
  },
  "Time": {"description": "In UTC.", "type": "string", "format": "date-time", "pattern": "Z$"},
  "Text": {"description": "Bytes that are valid UTF-8.", "type": "string"},
  "Base64": {"description": "Bytes that are not.", "type": "string", "contentEncoding": "base64"},
  "ValueContent": {
    "type": "object",
    "required": ["index"],
    "properties": {
      "value": {"$ref": "#/components/schemas/Text"},
      "value_base64": {"$ref": "#/components/schemas/Base64"},
      "index": {"$ref": "#/components/schemas/Index"}
    },
    "oneOf": [{"required": ["value"]}, {"required": ["value_base64"]}]
  },
  "Value": {
    "type": "object",
    "required": ["name"],
    "properties": {
      "name": {"type": "string"},
      "expire": {"$ref": "#/components/schemas/Time"}
    },
    "allOf": [{"$ref": "#/components/schemas/ValueContent"}]
  },
  "DeletedValue": {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}},
    "allOf": [{"$ref": "#/components/schemas/ValueContent"}]
  },
  "ValueWithoutContent": {
    "type": "object",
    "required": ["name", "index"],
    "properties": {
      "name": {"type": "string"},
      "index": {"$ref": "#/components/schemas/Index"},
      "expire": {"$ref": "#/components/schemas/Time"}
    }
  },
  "ListedValue": {
    "description": "Without bytes where keys_only asks for that.",
    "anyOf": [
      {"$ref": "#/components/schemas/Value"},
      {"$ref": "#/components/schemas/ValueWithoutContent"}
    ]
  },
  "PutRequest": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "value": {"$ref": "#/components/schemas/Text"},
      "value_base64": {
        "description": "Any bytes.", "type": "string", "contentEncoding": "base64"
      },
      "ttl": {"$ref": "#/components/schemas/Duration"},
      "prev_index": {
        "description": "Only if the value has this index; 0: any, but there must be one.",
        "type": "integer", "format": "uint64", "minimum": 0
      }
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
        "description": "With If-Match or prev_index: the value before.",
        "$ref": "#/components/schemas/ValueContent"
      }
    }
  },
  "List": {
    "type": "object",
    "required": ["values"],
    "properties": {
      "values": {
        "type": "array", "maxItems": 1000, "items": {"$ref": "#/components/schemas/ListedValue"}
      },
      "next": {"description": "There is more: pass it as `after`.", "type": "string"},
      "index": {
        "description": "There is more: pass it as `at_index`, to see all pages as they are now.",
        "$ref": "#/components/schemas/Index"
      }
    },
    "dependentRequired": {"next": ["index"], "index": ["next"]}
  },
  "AtomicValueInput": {
    "description":
      "AtomicValueInput in the protobuf JSON mapping. Of watch and events there are streams.",
    "type": "object",
    "additionalProperties": false,
    "minProperties": 1, "maxProperties": 1,
    "properties": {
      "get": {"type": "object", "additionalProperties": false},
      "set": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "value": {"$ref": "#/components/schemas/ProtobufBytes"},
          "ttl": {"$ref": "#/components/schemas/ProtobufDuration"}
        }
      },
      "update": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "value": {"$ref": "#/components/schemas/ProtobufBytes"},
          "prevIndex": {"$ref": "#/components/schemas/ProtobufPrevIndex"},
          "ttl": {"$ref": "#/components/schemas/ProtobufDuration"}
        }
      },
      "delete": {
        "type": "object",
        "additionalProperties": false,
        "properties": {"prevIndex": {"$ref": "#/components/schemas/ProtobufPrevIndex"}}
      }
    }
  },
  "AtomicValueOutput": {
    "description":
      "AtomicValueOutput in the protobuf JSON mapping, which leaves out what is empty.",
    "type": "object",
    "minProperties": 1, "maxProperties": 1,
    "properties": {
      "get": {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"$ref": "#/components/schemas/ProtobufValue"}}
      },
      "set": {
        "type": "object",
        "required": ["index"],
        "properties": {"index": {"$ref": "#/components/schemas/ProtobufIndex"}}
      },
      "update": {
        "type": "object",
        "required": ["index", "prevValue"],
        "properties": {
          "index": {"$ref": "#/components/schemas/ProtobufIndex"},
          "prevValue": {"$ref": "#/components/schemas/ProtobufValue"}
        }
      },
      "delete": {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"$ref": "#/components/schemas/ProtobufValue"}}
      }
    }
  },
  "ProtobufBytes": {"type": "string", "contentEncoding": "base64"},
  "ProtobufIndex": {
    "description": "64 bits, as text.", "type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$"
  },
  "ProtobufPrevIndex": {
    "description": "Only if the value has this index; 0: any. As text or as a number.",
    "type": ["string", "integer"], "pattern": "^[0-9]{1,20}$", "format": "uint64", "minimum": 0
  },
  "ProtobufDuration": {
    "description": "Seconds.", "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,9})?s$"
  },
  "ProtobufValue": {
    "type": "object",
    "required": ["index"],
    "properties": {
      "value": {"$ref": "#/components/schemas/ProtobufBytes"},
      "index": {"$ref": "#/components/schemas/ProtobufIndex"}
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
      "state": {
        "enum": ["leader", "follower", "candidate", "pre_candidate", "unreachable", "unknown"]
      },
      "disk_id": {
        "description": "Of its data directory.", "type": "string", "pattern": "^[0-9a-f]{16}$"
      },
      "match_index": {"type": "integer", "minimum": 0},
      "lag": {"type": "integer", "minimum": 0},
      "last_contact_ms": {"type": "integer", "minimum": 0},
      "rtt_ms": {"type": "number", "minimum": 0},
      "hears": {"type": "boolean"},
      "reaches": {"type": "boolean"}
    }
  },
  "Cluster": {
    "type": "object",
    "required": ["cluster_id", "node", "state", "leader", "term", "commit_index", "applied_index",
                 "last_index", "snapshot_index", "ready", "version", "started_at", "members",
                 "removed"],
    "properties": {
      "cluster_id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
      "node": {"type": "integer", "minimum": 1},
      "state": {"enum": ["leader", "follower", "candidate", "pre_candidate"]},
      "leader": {"description": "0: none is known.", "type": "integer", "minimum": 0},
      "term": {"type": "integer", "minimum": 0},
      "commit_index": {"type": "integer", "minimum": 0},
      "applied_index": {"type": "integer", "minimum": 0},
      "last_index": {"type": "integer", "minimum": 0},
      "snapshot_index": {"type": "integer", "minimum": 0},
      "ready": {"type": "boolean"},
      "not_ready_reason": {"type": "string"},
      "version": {"type": "string"},
      "started_at": {"$ref": "#/components/schemas/Time"},
      "leader_since": {"$ref": "#/components/schemas/Time"},
      "disk_ms": {"type": "number", "minimum": 0},
      "members": {"type": "array", "items": {"$ref": "#/components/schemas/Member"}},
      "removed": {"description": "Ids of former members, which aren't used again.",
                  "type": "array", "items": {"type": "integer", "minimum": 1}}
    }
  },
  "LeaderRequest": {
    "type": "object",
    "required": ["id"],
    "additionalProperties": false,
    "properties": {"id": {"type": "integer", "minimum": 1}}
  },
  "LeadershipTransferred": {
    "type": "object",
    "required": ["leader"],
    "properties": {"leader": {"type": "integer", "minimum": 1}}
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
  "MemberAdded": {
    "type": "object",
    "required": ["id", "raft", "cluster"],
    "properties": {
      "id": {"type": "integer", "minimum": 1},
      "raft": {"type": "string"},
      "cluster": {"$ref": "#/components/schemas/Cluster"}
    }
  },
  "MemberRemoved": {
    "type": "object",
    "required": ["id", "cluster"],
    "properties": {
      "id": {"type": "integer", "minimum": 1},
      "cluster": {"$ref": "#/components/schemas/Cluster"}
    }
  },
  "SnapshotTaken": {
    "type": "object",
    "required": ["index"],
    "properties": {"index": {"type": "integer", "minimum": 0}}
  },
  "Health": {
    "type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}
  },
  "OpenApi": {"type": "object", "required": ["openapi", "info", "paths"]},
  "Problem": {
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
      "type": {"type": "string", "format": "uri-reference"},
      "title": {"type": "string", "minLength": 1},
      "status": {"type": "integer", "minimum": 400, "maximum": 599},
      "detail": {"type": "string", "minLength": 1},
      "code": {
        "enum": ["INVALID", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "METHOD_NOT_ALLOWED",
                 "CONFLICT", "ALREADY_EXISTS", "TOO_LARGE", "URI_TOO_LONG",
                 "UNSUPPORTED_MEDIA_TYPE", "IDEMPOTENCY_MISMATCH", "HEADERS_TOO_LARGE",
                 "OVERLOADED", "UNAVAILABLE", "TIMEOUT",
                 "DISK_FULL", "INTERNAL"]
      },
      "outcome": {"description": "What became of a write.", "enum": ["not_applied", "unknown"]},
      "current_index": {
        "description": "Of the value that the precondition failed on.",
        "$ref": "#/components/schemas/Index"
      },
      "leader": {"description": "The leader that the node knows.", "type": "integer", "minimum": 1}
    }
  }
})json";

}  // namespace

std::string_view openapi_schemas() {
    return schemas;
}

}  // namespace cairn::server
