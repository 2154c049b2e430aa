#include "server/api/dashboard_page.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "server/base/optional_whitespace.h"

namespace cairn::server {
namespace {

constexpr std::string_view plain_page =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Cairn</title></head>"
    "<body><h1>Cairn</h1><p>This node runs. Its program was built without the dashboard: build it "
    "again where nodejs and npm are installed (<code>meson setup -Ddashboard=enabled</code> says "
    "what is missing).</p><ul>"
    "<li><a href=\"/v1/cluster\">The cluster</a></li>"
    "<li><a href=\"/v1/values\">Its values</a></li>"
    "<li><a href=\"/readyz\">Whether this node is ready</a></li></ul></body></html>\n";

// Calls `use` with each element of a comma-separated list, without the blanks around it.
template <typename Use>
void for_each_element(std::string_view list, const Use& use) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        use(trim(list.substr(0, end)));
        list.remove_prefix(std::min(end + 1, list.size()));
    }
}

// A weight of zero, with or without decimals.
bool is_refused(std::string_view parameters) {
    const auto weight = trim(parameters);
    return weight.size() >= 3 && (weight[0] == 'q' || weight[0] == 'Q') && weight[1] == '=' &&
           weight.find_first_not_of("0.", 2) == std::string_view::npos;
}

// Nothing that could be more of a policy than one host.
bool is_plain_address(std::string_view address) {
    return !address.empty() && std::ranges::all_of(address, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == ':' || c == '-' || c == '_' || c == '[' ||
               c == ']';
    });
}

std::string content_security_policy(const std::vector<std::string>& members) {
    // The page loads itself in a frame where it needs a newer policy (reach.ts); nobody else may.
    std::string policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-src 'self'; frame-ancestors 'self'; "
        "connect-src 'self'";
    for (const auto& address : members) {
        policy += " http://" + address + " ws://" + address;
    }
    return policy;
}

void add_page_headers(const std::vector<std::string>& members, HttpResponse& response) {
    response.add_header("Content-Security-Policy", content_security_policy(members));
    response.add_header("X-Content-Type-Options", "nosniff");
    response.add_header("Referrer-Policy", "no-referrer");
    response.add_header("Cross-Origin-Opener-Policy", "same-origin");
    response.add_header("Cross-Origin-Resource-Policy", "same-origin");
}

bool names_tag(std::string_view if_none_match, std::string_view tag) {
    bool found = false;
    for_each_element(if_none_match, [&](std::string_view element) {
        if (element.substr(0, 2) == "W/") {
            element.remove_prefix(2);
        }
        found = found || element == tag || element == "*";
    });
    return found;
}

void respond_file(const DashboardFile& file, std::string_view if_none_match, bool packed,
                  Exchange& exchange) {
    HttpResponse& response = exchange.response;
    std::string tag(file.entity_tag);
    if (packed) {
        tag.insert(tag.size() - 1, "-gzip");
    }
    response.add_header("ETag", tag);
    // Asked each time whether it has changed, so that a new program's page has its own files.
    response.add_header("Cache-Control", "no-cache");
    response.add_header("Vary", "Accept-Encoding");
    if (names_tag(if_none_match, tag)) {
        response.status = 304;
        return;
    }
    response.content_type = file.content_type;
    if (packed) {
        response.add_header("Content-Encoding", "gzip");
    }
    response.body = packed ? file.gzip_bytes : file.bytes;
}

}  // namespace

bool accepts_gzip(const HttpRequest& request) {
    bool named = false;
    bool named_well = false;
    bool any = false;
    for_each_element(request.header("Accept-Encoding"), [&](std::string_view element) {
        const std::size_t end = std::min(element.find(';'), element.size());
        const auto coding = trim(element.substr(0, end));
        const bool good = !is_refused(element.substr(std::min(end + 1, element.size())));
        if (equal_ignoring_case(coding, "gzip")) {
            named = true;
            named_well = good;
        } else if (coding == "*") {
            any = good;
        }
    });
    return named ? named_well : any;
}

void remember_page_request(const HttpRequest& request, Exchange& exchange) {
    exchange.page_tags = request.header("If-None-Match");
    exchange.takes_gzip = accepts_gzip(request);
}

void render_page(std::span<const DashboardFile> files, const ClusterStatus& status,
                 Exchange& exchange) {
    std::vector<std::string> members;
    for (const auto& member : status.members) {
        if (is_plain_address(member.http_address)) {
            members.push_back(member.http_address);
        }
    }
    add_page_headers(members, exchange.response);
    for (const auto& file : files) {
        if (file.name == "index.html") {
            respond_file(file, exchange.page_tags, exchange.takes_gzip, exchange);
            return;
        }
    }
    exchange.response.content_type = "text/html; charset=utf-8";
    exchange.response.body = plain_page;
}

void respond_dashboard_file(std::span<const DashboardFile> files, const HttpRequest& request,
                            std::string_view name, Exchange& exchange) {
    for (const auto& file : files) {
        if (file.name == name && name != "index.html") {
            add_page_headers({}, exchange.response);
            respond_file(file, request.header("If-None-Match"), accepts_gzip(request), exchange);
            return;
        }
    }
    respond_problem(exchange, Code::not_found, "The dashboard has no such file.");
}

}  // namespace cairn::server
