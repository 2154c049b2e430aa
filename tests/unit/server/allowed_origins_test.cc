#include "server/http/allowed_origins.h"

#include <string>

#include <doctest/doctest.h>

#include "server/http/cors.h"
#include "server/http/http_types.h"

using cairn::server::AllowedOrigins;
using cairn::server::append_cors_headers;
using cairn::server::Cors;
using cairn::server::HttpRequest;
using cairn::server::HttpResponse;
using cairn::server::MemberAddresses;
using cairn::server::read_cors;

TEST_CASE("allowed origins: members' own pages, and those that are configured") {
    MemberAddresses members;
    const AllowedOrigins origins{{"https://app.example.com"}, &members};
    CHECK(origins.contain("https://app.example.com"));
    CHECK_FALSE(origins.contain("http://10.0.0.1:8080"));

    members.set({"10.0.0.1:8080", "", "node-2.example:8080", "127.0.0.1:8083"});
    for (const char* origin : {"http://10.0.0.1:8080", "http://node-2.example:8080",
                               "http://Node-2.Example:8080", "https://app.example.com"}) {
        CAPTURE(origin);
        CHECK(origins.contain(origin));
    }
    for (const char* origin :
         {"", "null", "http://", "http://10.0.0.1", "http://10.0.0.1:8081", "http://10.0.0.1:80800",
          "https://10.0.0.1:8080", "ws://10.0.0.1:8080", "10.0.0.1:8080", "http://10.0.0.1:8080/",
          "http://10.0.0.1:8080.evil.example", "http://evil.example:8080", "http://app.example.com",
          "http://node-2.example:8080@evil.example"}) {
        CAPTURE(origin);
        CHECK_FALSE(origins.contain(origin));
    }
    members.set({"10.0.0.9:8080"});
    CHECK_FALSE(origins.contain("http://10.0.0.1:8080"));
    CHECK_FALSE(AllowedOrigins{}.contain("http://10.0.0.9:8080"));
}

TEST_CASE("allowed origins: the loopback interface has several names") {
    MemberAddresses members;
    members.set({"127.0.0.1:8081", "[::1]:8082", "localhost:8083"});
    for (const char* host : {"localhost", "127.0.0.1", "[::1]", "LOCALHOST"}) {
        for (const char* port : {":8081", ":8082", ":8083"}) {
            CAPTURE(host);
            CHECK(members.contain(std::string(host) + port));
        }
        CHECK_FALSE(members.contain(std::string(host) + ":8084"));
        CHECK_FALSE(members.contain(host));
    }
    CHECK_FALSE(members.contain("localhost.evil.example:8081"));
    CHECK_FALSE(members.contain("127.0.0.2:8081"));
    members.set({"10.0.0.1:8081"});
    CHECK_FALSE(members.contain("localhost:8081"));
}

TEST_CASE("CORS: what depends on an origin says so, and only an allowed one is named") {
    MemberAddresses members;
    members.set({"127.0.0.1:8081"});
    const auto headers_for = [](const AllowedOrigins& allowed, const char* origin) {
        HttpRequest request;
        if (origin != nullptr) {
            request.headers = {{"Origin", origin}};
        }
        Cors cors;
        read_cors(request, allowed, cors);
        HttpResponse response;
        append_cors_headers(cors, response);
        std::string text;
        for (const auto& [name, value] : response.headers) {
            text.append(name).append(": ").append(value).append("; ");
        }
        return text;
    };
    const AllowedOrigins none{{}, &members};
    CHECK(headers_for(none, nullptr).empty());
    CHECK(headers_for(none, "http://evil.example") == "Vary: Origin; ");
    CHECK(headers_for(none, "http://localhost:8081")
              .starts_with("Vary: Origin; Access-Control-Allow-Origin: http://localhost:8081; "));
    CHECK(headers_for({{"https://a.example"}, nullptr}, nullptr) == "Vary: Origin; ");
}
