#include "server/api/dashboard_page.h"

#include <string>

#include <doctest/doctest.h>

namespace {

using namespace cairn::server;

constexpr DashboardFile files[] = {
    {"index.html", "text/html; charset=utf-8", "\"p1\"", "<html>", "packed page"},
    {"app.js", "text/javascript; charset=utf-8", "\"j1\"", "let a = 1;", "packed script"},
};

std::string header(const Exchange& exchange, std::string_view name) {
    for (const auto& [key, value] : exchange.response.headers) {
        if (key == name) {
            return value;
        }
    }
    return "";
}

ClusterStatus cluster_of(const std::vector<std::string>& addresses) {
    ClusterStatus status;
    for (const auto& address : addresses) {
        status.members.emplace_back().http_address = address;
    }
    return status;
}

Exchange file_answer(std::string_view name, const HttpRequest& request = {}) {
    Exchange exchange;
    respond_dashboard_file(files, request, name, exchange);
    return exchange;
}

TEST_CASE("dashboard: the page, and with whom it may speak") {
    Exchange exchange;
    remember_page_request(HttpRequest{}, exchange);
    render_page(files, cluster_of({"127.0.0.1:8080", "", "[::1]:8081", "node-3.example:80"}),
                exchange);
    CHECK(exchange.response.status == 200);
    CHECK(exchange.response.body == "<html>");
    CHECK(exchange.response.content_type == "text/html; charset=utf-8");
    const std::string policy = header(exchange, "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
    CHECK(policy.ends_with(
        "connect-src 'self' http://127.0.0.1:8080 ws://127.0.0.1:8080 http://[::1]:8081 "
        "ws://[::1]:8081 http://node-3.example:80 ws://node-3.example:80"));
    CHECK(policy.find("frame-src 'self'; frame-ancestors 'self'") != std::string::npos);
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(header(exchange, "X-Content-Type-Options") == "nosniff");
}

TEST_CASE("dashboard: a member's address adds nothing else to the policy") {
    Exchange exchange;
    render_page(files, cluster_of({"a; script-src *", "a,b", "a b", "*", "a/b", "'self'"}),
                exchange);
    CHECK(header(exchange, "Content-Security-Policy").ends_with("connect-src 'self'"));
}

TEST_CASE("dashboard: a program without it says how to get it") {
    Exchange exchange;
    render_page({}, cluster_of({}), exchange);
    CHECK(exchange.response.status == 200);
    CHECK(exchange.response.body.find("built without the dashboard") != std::string::npos);
    CHECK(exchange.response.body.find("npm") != std::string::npos);
    CHECK(header(exchange, "Content-Security-Policy").starts_with("default-src 'none'"));
    respond_dashboard_file({}, HttpRequest{}, "app.js", exchange);
    CHECK(exchange.response.status == 404);
}

TEST_CASE("dashboard: files by name, and no others") {
    const Exchange script = file_answer("app.js");
    CHECK(script.response.status == 200);
    CHECK(script.response.body == "let a = 1;");
    CHECK(script.response.content_type == "text/javascript; charset=utf-8");
    CHECK(header(script, "ETag") == "\"j1\"");
    CHECK(header(script, "Cache-Control") == "no-cache");
    CHECK(header(script, "Vary") == "Accept-Encoding");
    // The page itself has one address only.
    for (const char* name :
         {"", "app", "app.js/", "/app.js", "index.html", "../app.js", "APP.JS"}) {
        CAPTURE(name);
        CHECK(file_answer(name).response.status == 404);
    }
}

TEST_CASE("dashboard: who has a file already isn't sent it again") {
    HttpRequest request;
    request.headers = {{"If-None-Match", "\"other\", W/\"j1\""}};
    const Exchange exchange = file_answer("app.js", request);
    CHECK(exchange.response.status == 304);
    CHECK(exchange.response.body.empty());
    CHECK(header(exchange, "ETag") == "\"j1\"");
    request.headers = {{"If-None-Match", "\"j2\""}};
    CHECK(file_answer("app.js", request).response.status == 200);
    // What is compressed is another thing to a cache.
    request.headers = {{"If-None-Match", "\"j1\""}, {"Accept-Encoding", "gzip"}};
    CHECK(file_answer("app.js", request).response.status == 200);
    request.headers = {{"If-None-Match", "\"j1-gzip\""}, {"Accept-Encoding", "gzip"}};
    CHECK(file_answer("app.js", request).response.status == 304);

    Exchange page;
    request.headers = {{"If-None-Match", "\"p1\""}};
    remember_page_request(request, page);
    render_page(files, cluster_of({"a:1"}), page);
    CHECK(page.response.status == 304);
    // A browser takes the policy from this answer.
    CHECK(header(page, "Content-Security-Policy").ends_with("http://a:1 ws://a:1"));
}

TEST_CASE("dashboard: compressed for who takes it") {
    HttpRequest request;
    for (const char* text : {"gzip", "deflate, gzip;q=0.5, br", "GZIP", "*", "br;q=1.0, *;q=0.1"}) {
        CAPTURE(text);
        request.headers = {{"Accept-Encoding", text}};
        CHECK(accepts_gzip(request));
        const Exchange exchange = file_answer("app.js", request);
        CHECK(exchange.response.body == "packed script");
        CHECK(header(exchange, "Content-Encoding") == "gzip");
    }
    for (const char* text :
         {"", "identity", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "xgzip"}) {
        CAPTURE(text);
        request.headers = {{"Accept-Encoding", text}};
        CHECK_FALSE(accepts_gzip(request));
        CHECK(header(file_answer("app.js", request), "Content-Encoding").empty());
    }
}

}  // namespace
