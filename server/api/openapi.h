// The OpenAPI 3.1 document of the interface: GET /openapi.json.
//
// Made once, on first use, from the route table (routes.h), the table of query parameters
// (parameters.h) and the schemas of what bodies and messages hold (openapi_schemas.cc,
// openapi_stream_schemas.cc). Immutable afterwards, so any thread may read it. What isn't in the
// tables isn't in the document; tests/cluster/contract.py holds all that the tests do against it.
#pragma once

#include <string>
#include <string_view>

namespace cairn::server {

const std::string& openapi_document();

// components.schemas of the document, as JSON: those of streams, and all others.
std::string_view openapi_schemas();
std::string_view openapi_stream_schemas();

}  // namespace cairn::server
