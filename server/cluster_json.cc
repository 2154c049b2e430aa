#include "server/cluster_json.h"

#include <algorithm>

#include "server/http_types.h"
#include "server/json_text.h"

namespace cairn::server {
namespace {

void append_key(std::string_view name, std::string& out) {
    out += ",\"";
    out += name;
    out += "\":";
}

void append(std::string_view name, std::uint64_t number, std::string& out) {
    append_key(name, out);
    append_number(number, out);
}

void append(std::string_view name, std::string_view text, std::string& out) {
    append_key(name, out);
    append_json_string(text, out);
}

// As text: 64 bits don't fit into a JavaScript number, and it isn't one.
void append_hexadecimal(std::uint64_t id, std::string& out) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += '"';
    for (int shift = 60; shift >= 0; shift -= 4) {
        out += digits[id >> shift & 15];
    }
    out += '"';
}

void append_member(const MemberStatus& member, std::string& out) {
    out += "{\"id\":";
    append_number(member.id, out);
    append("raft", std::string_view(member.raft_address), out);
    if (!member.http_address.empty()) {
        append("http", std::string_view(member.http_address), out);
    }
    append("role", std::string_view(member.voter ? "voter" : "learner"), out);
    append("state", std::string_view(member.state), out);
    if (member.disk_id != 0) {
        append_key("disk_id", out);
        append_hexadecimal(member.disk_id, out);
    }
    if (member.match_index) {
        append("match_index", *member.match_index, out);
    }
    if (member.lag) {
        append("lag", *member.lag, out);
    }
    if (member.last_contact_ms) {
        const auto ms = std::max<std::int64_t>(*member.last_contact_ms, 0);
        append("last_contact_ms", static_cast<std::uint64_t>(ms), out);
    }
    out += '}';
}

}  // namespace

void append_cluster_json(const ClusterStatus& status, std::string& out) {
    out += '{';
    out += "\"cluster_id\":";
    append_hexadecimal(status.cluster_id, out);
    append("node", status.node, out);
    append("state", std::string_view(status.state), out);
    append("leader", status.leader, out);
    append("term", status.term, out);
    append("commit_index", status.commit_index, out);
    append("applied_index", status.applied_index, out);
    append("last_index", status.last_index, out);
    append_key("ready", out);
    out += status.ready ? "true" : "false";
    append_key("members", out);
    out += '[';
    bool first = true;
    for (const auto& member : status.members) {
        if (!first) {
            out += ',';
        }
        first = false;
        append_member(member, out);
    }
    out += "]}";
}

}  // namespace cairn::server
