#include "server/api/openapi.h"

namespace cairn::server {
namespace {

// As in openapi_schemas.cc.
constexpr std::string_view schemas = R"json({
  "StreamMessage": {
    "description":
      "One message of a stream: a WebSocket message, the data of a server-sent event, or a line.",
    "oneOf": [
      {"$ref": "#/components/schemas/WatchedValue"},
      {"$ref": "#/components/schemas/Subscribed"},
      {"$ref": "#/components/schemas/Created"},
      {"$ref": "#/components/schemas/Updated"},
      {"$ref": "#/components/schemas/Deleted"},
      {"$ref": "#/components/schemas/Progress"},
      {"$ref": "#/components/schemas/Gap"}
    ],
    "discriminator": {
      "propertyName": "type",
      "mapping": {
        "value": "#/components/schemas/WatchedValue",
        "subscribed": "#/components/schemas/Subscribed",
        "created": "#/components/schemas/Created",
        "updated": "#/components/schemas/Updated",
        "deleted": "#/components/schemas/Deleted",
        "progress": "#/components/schemas/Progress",
        "gap": "#/components/schemas/Gap"
      }
    }
  },
  "Cursor": {
    "description": "Where to resume after this message. Opaque.", "type": "string", "minLength": 1
  },
  "WatchedValue": {
    "description": "Of a watch. null: not set, or gone.",
    "type": "object",
    "required": ["type", "name", "index", "cursor"],
    "properties": {
      "type": {"const": "value"},
      "name": {"type": "string"},
      "value": {"type": ["string", "null"]},
      "value_base64": {"$ref": "#/components/schemas/Base64"},
      "index": {
        "description": "Of the value; of what deleted it, where it is gone.",
        "$ref": "#/components/schemas/Index"
      },
      "expire": {"$ref": "#/components/schemas/Time"},
      "expired": {"description": "Its ttl ended it.", "const": true},
      "cursor": {"$ref": "#/components/schemas/Cursor"}
    },
    "oneOf": [{"required": ["value"]}, {"required": ["value_base64"]}],
    "if": {"required": ["value"], "properties": {"value": {"type": "null"}}},
    "then": {"not": {"required": ["expire"]}},
    "else": {"not": {"required": ["expired"]}}
  },
  "Subscribed": {
    "description": "Of events: they begin here.",
    "type": "object",
    "required": ["type", "cursor"],
    "properties": {
      "type": {"const": "subscribed"}, "cursor": {"$ref": "#/components/schemas/Cursor"}
    }
  },
  "Created": {
    "type": "object",
    "required": ["type", "cursor"],
    "properties": {
      "type": {"const": "created"}, "cursor": {"$ref": "#/components/schemas/Cursor"}
    },
    "allOf": [{"$ref": "#/components/schemas/Value"}]
  },
  "Updated": {
    "type": "object",
    "required": ["type", "prev_value", "cursor"],
    "properties": {
      "type": {"const": "updated"},
      "prev_value": {"$ref": "#/components/schemas/ValueContent"},
      "cursor": {"$ref": "#/components/schemas/Cursor"}
    },
    "allOf": [{"$ref": "#/components/schemas/Value"}]
  },
  "Deleted": {
    "type": "object",
    "required": ["type", "expired", "deleted_index", "cursor"],
    "properties": {
      "type": {"const": "deleted"},
      "expired": {"description": "Its ttl ended it.", "type": "boolean"},
      "deleted_index": {
        "description": "Of what deleted it.", "$ref": "#/components/schemas/Index"
      },
      "cursor": {"$ref": "#/components/schemas/Cursor"}
    },
    "allOf": [{"$ref": "#/components/schemas/DeletedValue"}]
  },
  "Progress": {
    "description": "Nothing happened up to here.",
    "type": "object",
    "required": ["type", "cursor"],
    "properties": {
      "type": {"const": "progress"}, "cursor": {"$ref": "#/components/schemas/Cursor"}
    }
  },
  "Gap": {
    "description": "Events before this are no longer kept; what follows is complete again.",
    "type": "object",
    "required": ["type", "cursor"],
    "properties": {"type": {"const": "gap"}, "cursor": {"$ref": "#/components/schemas/Cursor"}}
  },
  "SocketRequest": {
    "description": "What a client says on /v1/stream, in JSON.",
    "oneOf": [
      {"$ref": "#/components/schemas/SubscribeRequest"},
      {"$ref": "#/components/schemas/UnsubscribeRequest"},
      {"$ref": "#/components/schemas/CommandRequest"}
    ]
  },
  "SocketId": {
    "description": "Chosen by the client, not in use on this WebSocket. Every answer carries it.",
    "type": "integer", "format": "uint64", "minimum": 0
  },
  "SubscribeRequest": {
    "type": "object",
    "required": ["id", "subscribe"],
    "additionalProperties": false,
    "properties": {
      "id": {"$ref": "#/components/schemas/SocketId"},
      "subscribe": {
        "type": "object",
        "required": ["name", "kind"],
        "additionalProperties": false,
        "properties": {
          "name": {"type": "string", "maxLength": 512},
          "kind": {"enum": ["watch", "events"]},
          "prefix": {"type": "boolean"},
          "cursor": {"description": "Resumes after it; empty: from now.", "type": "string"}
        }
      }
    }
  },
  "UnsubscribeRequest": {
    "type": "object",
    "required": ["id", "unsubscribe"],
    "additionalProperties": false,
    "properties": {
      "id": {"$ref": "#/components/schemas/SocketId"},
      "unsubscribe": {"type": "object", "additionalProperties": false}
    }
  },
  "CommandRequest": {
    "type": "object",
    "required": ["id", "name", "input"],
    "additionalProperties": false,
    "properties": {
      "id": {"$ref": "#/components/schemas/SocketId"},
      "name": {"type": "string", "minLength": 1, "maxLength": 512},
      "input": {"$ref": "#/components/schemas/AtomicValueInput"},
      "timeout": {"$ref": "#/components/schemas/Duration"},
      "idempotency_key": {"type": "string", "pattern": "^[!-~]{1,255}$"}
    }
  },
  "SocketMessage": {
    "description": "What a node says on /v1/stream, in JSON; the id is of what it answers.",
    "required": ["id"],
    "anyOf": [
      {"$ref": "#/components/schemas/StreamMessage"},
      {"$ref": "#/components/schemas/Unsubscribed"},
      {"$ref": "#/components/schemas/CommandOutput"},
      {"$ref": "#/components/schemas/SocketError"}
    ],
    "type": "object",
    "properties": {
      "id": {"description": "null: there was none to read.", "type": ["integer", "null"]}
    }
  },
  "Unsubscribed": {
    "type": "object",
    "required": ["type"],
    "properties": {
      "type": {"const": "unsubscribed"}, "cursor": {"$ref": "#/components/schemas/Cursor"}
    }
  },
  "CommandOutput": {
    "type": "object",
    "required": ["output"],
    "properties": {
      "output": {"$ref": "#/components/schemas/AtomicValueOutput"},
      "replayed": {
        "description": "It is the first outcome of this idempotency_key, given again.",
        "const": true
      }
    }
  },
  "SocketError": {
    "type": "object",
    "required": ["error"],
    "properties": {
      "error": {"$ref": "#/components/schemas/Problem"},
      "cursor": {
        "description": "A subscription ended; it can go on after this.",
        "$ref": "#/components/schemas/Cursor"
      }
    }
  }
})json";

}  // namespace

std::string_view openapi_stream_schemas() {
    return schemas;
}

}  // namespace cairn::server
