#include "server/api/openapi.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "server/api/parameters.h"
#include "server/api/routes.h"
#include "server/http/http_types.h"

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
    {Known::consistency, "consistency", "local: this node's own state, without asking anybody.",
     R"({"enum":["linearizable","local"]})"},
    {Known::lease, "consistency",
     "local: this node's own state. lease: without asking a majority; linearizable where that is "
     "not enabled.",
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
    {Known::wait, "wait", "How long a long poll waits, up to 60s; as `timeout` unless said.",
     R"({"$ref":"#/components/schemas/Duration"})"},
    {Known::at_index, "at_index", "The state at this index: `index` of the first page.",
     R"({"type":"integer","minimum":1})"},
};

struct HeaderText {
    std::uint32_t bit;
    std::string_view name;
    std::string_view what;
    std::string_view schema;  // JSON
};

constexpr HeaderText header_texts[] = {
    {KnownHeader::if_match, "If-Match", "Only if the value's index is this one; *: any.",
     R"({"type":"string","minLength":1,"examples":["\"42\"","*"]})"},
    {KnownHeader::if_none_match, "If-None-Match",
     "GET: 304 if its index is one of these. PUT: * only, to create.",
     R"({"type":"string","minLength":1,"examples":["\"42\"","*"]})"},
    {KnownHeader::idempotency_key, "Idempotency-Key",
     "However often it is sent, it is applied once and answered the same.",
     R"({"type":"string","pattern":"^[!-~]{1,255}$"})"},
    {KnownHeader::last_event_id, "Last-Event-ID", "Server-sent events: the cursor to resume from.",
     R"({"type":"string"})"},
};

// Headers of answers.
struct AnswerHeaderText {
    std::string_view name;
    std::string_view what;
    std::string_view schema;  // JSON
};

constexpr AnswerHeaderText answer_header_texts[] = {
    {"Cairn-Index", "The applied index that the request was answered at.",
     R"({"$ref":"#/components/schemas/Index"})"},
    {"Cairn-Node", "The node that answered.", R"({"type":"integer","minimum":1})"},
    {"Cairn-Leader", "The leader that it knows; 0: none.", R"({"type":"integer","minimum":0})"},
    {"Cairn-Consistency", "What a read was in the end.",
     R"({"enum":["linearizable","local","lease"]})"},
    {"ETag", "The value's index in double quotes.",
     R"({"type":"string","pattern":"^\"[1-9][0-9]*\"$"})"},
    {"Idempotency-Replayed", "It is the first outcome of this Idempotency-Key, given again.",
     R"({"enum":["true"]})"},
    {"Server-Timing", "Where the time of a write went.", R"({"type":"string"})"},
    {"Retry-After", "After so many seconds it is worth to ask again.",
     R"({"type":"integer","minimum":1})"},
    {"Allow", "The methods of this path.", R"({"type":"string"})"},
    {"Upgrade", "What this path speaks.", R"({"enum":["websocket"]})"},
    {"Sec-WebSocket-Version", "And which version of it.", R"({"enum":["13"]})"},
    {"Content-Disposition", "A name for the file.", R"({"type":"string"})"},
    {"Repr-Digest", "CRC-32C of the file (RFC 9530).",
     R"({"type":"string","pattern":"^crc32c=:[A-Za-z0-9+/]{6}==:$"})"},
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

Json schema_of(std::string_view schema) {
    return schema.empty() ? Json::object() : reference(schema);
}

Json answer_header(const AnswerHeaderText& text, bool required) {
    Json result;
    result["description"] = text.what;
    if (required) {
        result["required"] = true;
    }
    result["schema"] = Json::parse(text.schema);
    return result;
}

enum class Presence : std::uint8_t { always, sometimes };

// One that is always there is named, others are described in place: a reference can't say so.
void add_answer_header(std::string_view name, Presence presence, Json& answer) {
    for (const auto& text : answer_header_texts) {
        if (text.name == name) {
            Json& header = answer["headers"][std::string(name)];
            if (presence == Presence::always) {
                header["$ref"] = "#/components/headers/" + std::string(name);
            } else {
                header = answer_header(text, false);
            }
        }
    }
}

// Of a file: a page has one only where the dashboard is.
void add_file_tag(Json& answer) {
    answer["headers"]["ETag"] = answer_header(
        {"ETag", "Another one when the file is another.", R"({"type":"string"})"}, false);
}

void add_node_headers(Json& answer) {
    for (const std::string_view name : {"Cairn-Index", "Cairn-Node", "Cairn-Leader"}) {
        add_answer_header(name, Presence::always, answer);
    }
}

Json name_parameter(const RouteOperation& operation) {
    if ((operation.parameters & Known::prefix_flag) != 0) {
        return parameter(
            "name", "path",
            "1 to 512 bytes of UTF-8; slashes stay as they are. May be empty with prefix=true.",
            Json::parse(R"({"type":"string","maxLength":512})"));
    }
    return parameter("name", "path", "1 to 512 bytes of UTF-8; slashes stay as they are.",
                     Json::parse(R"({"type":"string","minLength":1,"maxLength":512})"));
}

Json parameters_of(const Route& route, const RouteOperation& operation) {
    Json result = Json::array();
    if (route.shown.find("{name}") != std::string_view::npos) {
        result.push_back(name_parameter(operation));
    } else if (route.shown.find("{id}") != std::string_view::npos) {
        result.push_back(parameter("id", "path", "The member's id.",
                                   Json::parse(R"({"type":"integer","minimum":1})")));
    } else if (route.shown.find("{file}") != std::string_view::npos) {
        result.push_back(parameter("file", "path", "A file's name.",
                                   Json::parse(R"({"type":"string","minLength":1})")));
    }
    // The wider one of two that have the same name.
    const std::uint32_t hidden =
        (operation.parameters & Known::lease) != 0 ? Known::consistency : 0;
    for (const auto& text : parameter_texts) {
        if ((operation.parameters & ~hidden & text.bit) != 0) {
            result.push_back(parameter(text.name, "query", text.what, Json::parse(text.schema)));
        }
    }
    for (const auto& text : header_texts) {
        if ((operation.headers & text.bit) != 0) {
            result.push_back(parameter(text.name, "header", text.what, Json::parse(text.schema)));
        }
    }
    return result;
}

// What an answer that is no problem has beside a body.
void add_answer_headers(const RouteOperation& operation, const RouteAnswer& answer, Json& entry) {
    add_node_headers(entry);
    if ((operation.parameters & Known::consistency) != 0) {
        add_answer_header("Cairn-Consistency", Presence::always, entry);
    }
    if ((answer.headers & AnswerHeader::maybe_consistency) != 0) {
        add_answer_header("Cairn-Consistency", Presence::sometimes, entry);
    }
    if ((answer.headers & AnswerHeader::entity_tag) != 0) {
        add_answer_header("ETag", Presence::always, entry);
    }
    if ((answer.headers & AnswerHeader::maybe_entity_tag) != 0) {
        add_answer_header("ETag", Presence::sometimes, entry);
    }
    if ((answer.headers & AnswerHeader::file_tag) != 0) {
        add_file_tag(entry);
    }
    if ((answer.headers & AnswerHeader::download) != 0) {
        add_answer_header("Content-Disposition", Presence::always, entry);
        add_answer_header("Repr-Digest", Presence::always, entry);
    }
    if ((operation.headers & KnownHeader::idempotency_key) != 0) {
        add_answer_header("Idempotency-Replayed", Presence::sometimes, entry);
        add_answer_header("Server-Timing", Presence::sometimes, entry);
    }
}

// "NotFound"
std::string problem_name(int status) {
    std::string name(reason_phrase(status));
    std::erase(name, ' ');
    return name;
}

Json problem_of(std::string_view what) {
    Json result;
    result["description"] = what;
    add_node_headers(result);
    result["content"]["application/problem+json"]["schema"] = reference("Problem");
    return result;
}

Json problem_of(int status) {
    Json result = problem_of(reason_phrase(status));
    for (const std::string_view name :
         {"Cairn-Consistency", "Idempotency-Replayed", "Server-Timing"}) {
        add_answer_header(name, Presence::sometimes, result);
    }
    if (status == 412) {
        add_answer_header("ETag", Presence::sometimes, result);
    } else if (status == 426) {
        add_answer_header("Upgrade", Presence::always, result);
        add_answer_header("Sec-WebSocket-Version", Presence::always, result);
    } else if (status == 503 || status == 507) {
        add_answer_header("Retry-After", Presence::always, result);
    }
    return result;
}

constexpr std::string_view any_problem = "AnyProblem";

// Those that operations name, and one for what any request may meet.
Json problems() {
    Json result;
    for (const auto& route : all_routes()) {
        for (const auto& operation : route.operations) {
            for (const int status : operation.problems) {
                result[problem_name(status)] = problem_of(status);
            }
        }
    }
    Json& any = result[std::string(any_problem)];
    any = problem_of("Any request may be refused: bad syntax, too large, too many, forbidden.");
    for (const std::string_view name :
         {"Cairn-Consistency", "Server-Timing", "Retry-After", "Allow"}) {
        add_answer_header(name, Presence::sometimes, any);
    }
    return result;
}

Json answers_of(const RouteOperation& operation) {
    Json result = Json::object();
    for (const auto& answer : operation.answers) {
        Json& entry = result[std::to_string(answer.status)];
        if (entry.is_null()) {
            entry["description"] = answer.what;
            add_answer_headers(operation, answer, entry);
        }
        if (!answer.media_type.empty()) {
            entry["content"][std::string(answer.media_type)]["schema"] = schema_of(answer.schema);
        }
    }
    for (const int status : operation.problems) {
        result[std::to_string(status)]["$ref"] = "#/components/responses/" + problem_name(status);
    }
    result["default"]["$ref"] = "#/components/responses/" + std::string(any_problem);
    return result;
}

Json operation_of(const Route& route, const RouteOperation& operation) {
    Json result;
    result["operationId"] = operation.id;
    result["summary"] = operation.summary;
    if (Json parameters = parameters_of(route, operation); !parameters.empty()) {
        result["parameters"] = std::move(parameters);
    }
    for (const auto& body : operation.bodies) {
        result["requestBody"]["required"] = true;
        result["requestBody"]["content"][std::string(body.media_type)]["schema"] =
            schema_of(body.schema);
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
    Json& components = document["components"];
    components["schemas"] = Json::parse(openapi_schemas());
    components["schemas"].update(Json::parse(openapi_stream_schemas()));
    components["responses"] = problems();
    for (const auto& text : answer_header_texts) {
        components["headers"][std::string(text.name)] = answer_header(text, true);
    }
    return document.dump();
}

}  // namespace

const std::string& openapi_document() {
    static const std::string document = make_document();
    return document;
}

}  // namespace cairn::server
