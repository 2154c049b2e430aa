#include "server/openapi.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "server/http_types.h"
#include "server/parameters.h"
#include "server/routes.h"

namespace cairn::server {
namespace {

using Json = nlohmann::ordered_json;

struct ParameterText {
    std::uint32_t bit;
    std::string_view name;
    std::string_view what;
    std::string_view schema;  // JSON
};

constexpr ParameterText parameter_texts[] = {
    {Known::timeout, "timeout", "The request's deadline, up to 60s; 5s unless said.",
     R"({"$ref":"#/components/schemas/Duration"})"},
    {Known::consistency, "consistency",
     "local: this node's own state. lease: where it is enabled, without asking a majority.",
     R"({"enum":["linearizable","local","lease"]})"},
    {Known::min_index, "min_index", "Waits until the node has applied this index.",
     R"({"$ref":"#/components/schemas/Index"})"},
    {Known::ttl, "ttl", "After this time the value is gone.",
     R"({"$ref":"#/components/schemas/Duration"})"},
    {Known::prefix_text, "prefix", "Only names that begin so.", R"({"type":"string"})"},
    {Known::prefix_flag, "prefix", "true: all names that begin so.", R"({"type":"boolean"})"},
    {Known::limit, "limit", "At most so many; 100 unless said.",
     R"({"type":"integer","minimum":1,"maximum":1000})"},
    {Known::after, "after", "Only names behind this one: `next` of the last page.",
     R"({"type":"string"})"},
    {Known::keys_only, "keys_only", "true: without the bytes.", R"({"type":"boolean"})"},
    {Known::cursor, "cursor", "Resumes after this message of a stream, on any node.",
     R"({"type":"string"})"},
    {Known::known_index, "after", "Long poll: answers as soon as the value's index is another.",
     R"({"$ref":"#/components/schemas/Index"})"},
    {Known::wait, "wait", "How long a long poll waits, up to 60s; 30s unless said.",
     R"({"$ref":"#/components/schemas/Duration"})"},
    {Known::at_index, "at_index", "The state at this index: `index` of the first page.",
     R"({"type":"integer","minimum":1})"},
};

struct HeaderText {
    std::uint32_t bit;
    std::string_view name;
    std::string_view what;
};

constexpr HeaderText header_texts[] = {
    {KnownHeader::if_match, "If-Match", "Only if the value's index is this one; *: any."},
    {KnownHeader::if_none_match, "If-None-Match",
     "GET: 304 if its index is one of these. PUT: * only, to create."},
    {KnownHeader::idempotency_key, "Idempotency-Key",
     "However often it is sent, it is applied once and answered the same."},
    {KnownHeader::last_event_id, "Last-Event-ID", "Server-sent events: the cursor to resume from."},
};

Json parameter(std::string_view name, std::string_view place, std::string_view what, Json schema) {
    Json result;
    result["name"] = name;
    result["in"] = place;
    if (place == "path") {
        result["required"] = true;
    }
    result["description"] = what;
    result["schema"] = std::move(schema);
    return result;
}

Json reference(std::string_view schema) {
    Json result;
    result["$ref"] = "#/components/schemas/" + std::string(schema);
    return result;
}

Json content(std::string_view media_type, std::string_view schema) {
    Json result = Json::object();
    result[std::string(media_type)]["schema"] = schema.empty() ? Json::object() : reference(schema);
    return result;
}

Json parameters_of(const Route& route, const RouteOperation& operation) {
    Json result = Json::array();
    if (route.shown.find("{name}") != std::string_view::npos) {
        result.push_back(
            parameter("name", "path", "1 to 512 bytes of UTF-8; slashes stay as they are.",
                      Json::parse(R"({"type":"string","minLength":1,"maxLength":512})")));
    } else if (route.shown.find("{id}") != std::string_view::npos) {
        result.push_back(parameter("id", "path", "The member's id.",
                                   Json::parse(R"({"type":"integer","minimum":1})")));
    }
    for (const auto& text : parameter_texts) {
        if ((operation.parameters & text.bit) != 0) {
            result.push_back(parameter(text.name, "query", text.what, Json::parse(text.schema)));
        }
    }
    for (const auto& text : header_texts) {
        if ((operation.headers & text.bit) != 0) {
            result.push_back(
                parameter(text.name, "header", text.what, Json::parse(R"({"type":"string"})")));
        }
    }
    return result;
}

Json answers_of(const RouteOperation& operation) {
    Json result = Json::object();
    for (const auto& answer : operation.answers) {
        Json& entry = result[std::to_string(answer.status)];
        entry["description"] = answer.what;
        if (!answer.media_type.empty()) {
            entry["content"] = content(answer.media_type, answer.schema);
        }
    }
    for (const int status : operation.problems) {
        Json& entry = result[std::to_string(status)];
        entry["description"] = reason_phrase(status);
        entry["content"] = content("application/problem+json", "Problem");
    }
    Json& other = result["default"];
    other["description"] =
        "Any request may be refused: bad syntax, too large, too many, forbidden.";
    other["content"] = content("application/problem+json", "Problem");
    return result;
}

Json operation_of(const Route& route, const RouteOperation& operation) {
    Json result;
    result["operationId"] = operation.id;
    result["summary"] = operation.summary;
    if (Json parameters = parameters_of(route, operation); !parameters.empty()) {
        result["parameters"] = std::move(parameters);
    }
    if (!operation.body_media_type.empty()) {
        result["requestBody"]["required"] = true;
        result["requestBody"]["content"] =
            content(operation.body_media_type, operation.body_schema);
    }
    result["responses"] = answers_of(operation);
    return result;
}

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

std::string make_document() {
    Json document;
    document["openapi"] = "3.1.0";
    document["info"]["title"] = "Cairn";
    document["info"]["version"] = CAIRN_VERSION;
    document["info"]["description"] =
        "Named values that a whole system agrees on. Every node answers every request.";
    document["info"]["license"]["name"] = "Apache-2.0";
    document["info"]["license"]["identifier"] = "Apache-2.0";
    document["servers"] = Json::array({Json{{"url", "/"}}});
    Json& paths = document["paths"];
    for (const auto& route : all_routes()) {
        for (const auto& operation : route.operations) {
            paths[std::string(route.shown)][lower_case(operation.method)] =
                operation_of(route, operation);
        }
    }
    document["components"]["schemas"] = Json::parse(openapi_schemas());
    return document.dump();
}

}  // namespace

const std::string& openapi_document() {
    static const std::string document = make_document();
    return document;
}

}  // namespace cairn::server
