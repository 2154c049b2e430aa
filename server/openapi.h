// The OpenAPI 3.1 document of the interface: GET /openapi.json.
//
// Made once, on first use, from the route table (routes.h), the table of query parameters
// (parameters.h) and the schemas of what bodies hold (openapi_schemas.cc). Immutable afterwards, so
// any thread may read it. What isn't in the tables isn't in the document.
#pragma once

#include <string>
#include <string_view>

namespace cairn::server {

const std::string& openapi_document();

// components.schemas of the document, as JSON.
std::string_view openapi_schemas();

}  // namespace cairn::server
