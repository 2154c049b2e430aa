#include "server/gateway/address_counts.h"

#include <utility>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <doctest/doctest.h>

namespace cairn::server {
namespace {

std::uint64_t key(const char* text) {
    return address_key(boost::asio::ip::make_address(text));
}

}  // namespace

TEST_CASE("address counts: who is one client") {
    CHECK(key("10.0.0.1") != key("10.0.0.2"));
    CHECK(key("10.0.0.1") == key("::ffff:10.0.0.1"));
    CHECK(key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9"));
    CHECK(key("2001:db8:1:2::1") != key("2001:db8:1:3::1"));
    CHECK(key("::1") != key("0.0.0.0"));
    CHECK(key("::1") != key("0.0.0.1"));
}

TEST_CASE("address counts: a place counts as long as it lives, wherever it goes") {
    AddressCounts counts;
    std::vector<AddressCounts::Place> places;
    for (int i = 0; i < 5; ++i) {
        places.emplace_back(counts, 7);
    }
    places.emplace_back(counts, 8);
    CHECK(counts.count(7) == 5);
    CHECK(counts.count(8) == 1);
    AddressCounts::Place moved = std::move(places[0]);
    places.erase(places.begin());
    CHECK(counts.count(7) == 5);
    moved = AddressCounts::Place(counts, 9);
    CHECK(counts.count(7) == 4);
    CHECK(counts.count(9) == 1);
    moved = {};
    places.clear();
    CHECK(counts.count(7) == 0);
    CHECK(counts.size() == 0);  // nothing is kept for who has gone
}

}  // namespace cairn::server
