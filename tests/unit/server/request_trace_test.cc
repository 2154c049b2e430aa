#include "server/log/request_trace.h"

#include <initializer_list>
#include <set>
#include <string>

#include <doctest/doctest.h>

namespace cairn::server {
namespace {

const std::string trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string good = "00-" + trace_id + "-00f067aa0ba902b7-01";

HttpRequest request_with(std::vector<std::pair<std::string_view, std::string_view>> headers) {
    HttpRequest request;
    request.headers = std::move(headers);
    return request;
}

TEST_CASE("a traceparent as the W3C has it gives its trace id") {
    CHECK(trace_id_of(good) == trace_id);
    // A version that isn't known is read as far as it is known.
    CHECK(trace_id_of("cc" + good.substr(2)) == trace_id);
    CHECK(trace_id_of("cc" + good.substr(2) + "-what-the-future-brings") == trace_id);
}

TEST_CASE("a bad traceparent counts as none") {
    const std::string zeros(32, '0');
    for (const std::string& bad : std::initializer_list<std::string>{
             std::string(),
             good.substr(1),
             good + " ",
             good + "-00",                 // version 00 has no more
             "cc" + good.substr(2) + "x",  // nothing but a dash may follow
             "ff" + good.substr(2),        // never a version
             "0G" + good.substr(2),
             "00-" + zeros + "-00f067aa0ba902b7-01",     // no trace
             "00-" + trace_id + "-0000000000000000-01",  // no parent
             "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
             "00_" + trace_id + "-00f067aa0ba902b7-01",
             "00-" + trace_id + "_00f067aa0ba902b7-01",
             "00-" + trace_id + "-00f067aa0ba902b7_01",
             "00-" + trace_id + "-00f067aa0ba902bz-01",
             "00-" + trace_id + "-00f067aa0ba902b7-0x",
         }) {
        CAPTURE(bad);
        CHECK(trace_id_of(bad).empty());
    }
}

TEST_CASE("a request id is short and holds nothing that could end a field") {
    CHECK(is_request_id("a"));
    CHECK(is_request_id("Aa0-_.~:/+=@"));
    CHECK(is_request_id(std::string(128, 'x')));
    for (const std::string& bad : {std::string(), std::string(129, 'x'), std::string("a b"),
                                   std::string("a\nb"), std::string("a\"b"), std::string("a\\b"),
                                   std::string("ä"), std::string("a\0b", 3), std::string("a,b")}) {
        CAPTURE(bad);
        CHECK(!is_request_id(bad));
    }
}

TEST_CASE("what a request says of itself") {
    CHECK(trace_of(request_with({})).request_id.empty());
    const RequestTrace both =
        trace_of(request_with({{"Host", "a"}, {"x-request-ID", "one"}, {"TraceParent", good}}));
    CHECK(both.request_id == "one");
    CHECK(both.trace_id == trace_id);
    // The first good id counts; of two traces none does.
    const RequestTrace twice = trace_of(request_with({{"X-Request-Id", "not good"},
                                                      {"X-Request-Id", "one"},
                                                      {"X-Request-Id", "two"},
                                                      {"traceparent", good},
                                                      {"traceparent", good}}));
    CHECK(twice.request_id == "one");
    CHECK(twice.trace_id.empty());
}

TEST_CASE("ids that are made are all different, and ids") {
    RequestIds ids(0xabcdef);
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const std::string id = ids.next();
        CHECK(is_request_id(id));
        CHECK(id.size() == 24);
        CHECK(seen.insert(id).second);
    }
    CHECK(*seen.begin() == "0000000000abcdef00000001");
    CHECK(RequestIds(1).next() != RequestIds(2).next());
}

}  // namespace
}  // namespace cairn::server
