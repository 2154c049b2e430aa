// How many connections each client address has: the bound that keeps one of them from taking all.
//
// Owned by one gateway, on its thread. An IPv4 address counts for itself, an IPv6 address with all
// of its /64, since whoever has one of those has them all. Decides nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include <boost/asio/ip/address.hpp>

namespace cairn::server {

// What tells clients apart. An IPv4 address that is written as IPv6 is itself.
std::uint64_t address_key(const boost::asio::ip::address& address);

class AddressCounts {
 public:
    // One connection, counted as long as this lives. The counts outlive it.
    class Place {
     public:
        Place() = default;
        Place(AddressCounts& counts, std::uint64_t key) : counts_(&counts), key_(key) {
            ++counts.counts_[key];
        }
        Place(Place&& other) noexcept
            : counts_(std::exchange(other.counts_, nullptr)), key_(other.key_) {}
        Place& operator=(Place&& other) noexcept {
            std::swap(counts_, other.counts_);
            std::swap(key_, other.key_);
            return *this;
        }
        ~Place();

     private:
        AddressCounts* counts_ = nullptr;
        std::uint64_t key_ = 0;
    };

    std::size_t count(std::uint64_t key) const {
        const auto found = counts_.find(key);
        return found == counts_.end() ? 0 : found->second;
    }
    // Addresses that have any.
    std::size_t size() const { return counts_.size(); }

 private:
    std::unordered_map<std::uint64_t, std::size_t> counts_;
};

}  // namespace cairn::server
