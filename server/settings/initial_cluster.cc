#include "server/settings/initial_cluster.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

ParseResult<InitialMember> parse_member(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) {
        return parse_error(text.empty() ? "an entry of the list is empty"
                                        : in_quotes(text) + " is not ID=HOST:PORT");
    }
    const ParseResult<std::uint64_t> id = parse_node_id(text.substr(0, equals));
    if (!id) {
        return id.error();
    }
    ParseResult<Address> raft = parse_address(text.substr(equals + 1), PortZero::refused);
    if (!raft) {
        return raft.error();
    }
    return InitialMember{*id, *std::move(raft)};
}

// What is wrong with the list as a whole, or nothing.
std::string objection_to(const InitialCluster& members) {
    if (members.size() > initial_members_max) {
        return "the list names more than " + std::to_string(initial_members_max) + " nodes";
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
        const InitialMember& member = members[i];
        if (i > 0 && members[i - 1].id == member.id) {
            return "id " + std::to_string(member.id) + " is in the list twice";
        }
        if (members.size() > 1 && member.raft.is_wildcard()) {
            return in_quotes(member.raft.text()) + " is an address that other nodes can't dial";
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (members[j].raft == member.raft) {
                return "nodes " + std::to_string(members[j].id) + " and " +
                       std::to_string(member.id) + " have the same address " +
                       in_quotes(member.raft.text());
            }
        }
    }
    return {};
}

}  // namespace

ParseResult<std::uint64_t> parse_node_id(std::string_view text) {
    std::uint64_t id = 0;
    const char* end = text.data() + text.size();
    const std::from_chars_result read = std::from_chars(text.data(), end, id);
    if (text.empty() || read.ec != std::errc() || read.ptr != end || id < 1 || id > node_id_max) {
        return parse_error(in_quotes(text) + " is not an id, a whole number from 1 to " +
                           std::to_string(node_id_max));
    }
    return id;
}

ParseResult<InitialCluster> parse_initial_cluster(std::string_view text) {
    InitialCluster members;
    std::string_view rest = text;
    while (true) {
        const std::size_t comma = rest.find(',');
        ParseResult<InitialMember> member = parse_member(trim(rest.substr(0, comma)));
        if (!member) {
            return member.error();
        }
        members.push_back(*std::move(member));
        // One more than allowed is enough to refuse the list.
        if (comma == std::string_view::npos || members.size() > initial_members_max) {
            break;
        }
        rest.remove_prefix(comma + 1);
    }
    std::ranges::sort(members, {}, &InitialMember::id);
    if (std::string objection = objection_to(members); !objection.empty()) {
        return parse_error(std::move(objection));
    }
    return members;
}

std::string initial_cluster_text(const InitialCluster& members) {
    std::string text;
    for (const InitialMember& member : members) {
        if (!text.empty()) {
            text += ',';
        }
        text += std::to_string(member.id) + "=" + member.raft.text();
    }
    return text;
}

bool has_member(const InitialCluster& members, std::uint64_t id) {
    return std::ranges::find(members, id, &InitialMember::id) != members.end();
}

std::uint64_t cluster_id_of(const InitialCluster& members) {
    // FNV-1a over the text, then MurmurHash3's finalizer, so that one changed digit changes all
    // bits. Data directories hold the result: it can never change.
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : initial_cluster_text(members)) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3U;
    }
    hash ^= hash >> 33U;
    hash *= 0xff51afd7ed558ccdU;
    hash ^= hash >> 33U;
    hash *= 0xc4ceb9fe1a85ec53U;
    hash ^= hash >> 33U;
    return hash == 0 ? 1 : hash;
}

ClusterMatch match_initial_cluster(const InitialCluster& stored,
                                   const std::optional<InitialCluster>& given) {
    if (!given || *given == stored) {
        return ClusterMatch::same;
    }
    const bool in_common = std::ranges::any_of(*given, [&](const InitialMember& member) {
        return std::ranges::find(stored, member) != stored.end();
    });
    return in_common ? ClusterMatch::stored_wins : ClusterMatch::another_cluster;
}

}  // namespace cairn::server
