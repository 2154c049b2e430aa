#include "server/api/cluster_json.h"

#include <algorithm>

#include "server/base/json_text.h"
#include "server/base/rfc3339.h"
#include "server/http/http_types.h"

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

void append(std::string_view name, bool yes, std::string& out) {
    append_key(name, out);
    out += yes ? "true" : "false";
}

void append_time(std::string_view name, std::int64_t utc_ns, std::string& out) {
    append_key(name, out);
    out += '"';
    append_rfc3339(utc_ns, out);
    out += '"';
}

// Milliseconds to three places, cut.
void append_ms(std::string_view name, std::int64_t ns, std::string& out) {
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0) / 1000);
    append_key(name, out);
    append_number(us / 1000, out);
    out += '.';
    const std::string fraction = std::to_string(1000 + us % 1000);
    out += std::string_view(fraction).substr(1);
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
    if (member.rtt_ns) {
        append_ms("rtt_ms", *member.rtt_ns, out);
    }
    if (member.hears) {
        append("hears", *member.hears, out);
    }
    if (member.reaches) {
        append("reaches", *member.reaches, out);
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
    append("snapshot_index", status.snapshot_index, out);
    append("ready", status.ready, out);
    if (!status.ready && !status.not_ready_reason.empty()) {
        append("not_ready_reason", std::string_view(status.not_ready_reason), out);
    }
    append("version", std::string_view(CAIRN_VERSION), out);
    append_time("started_at", status.started_utc_ns, out);
    if (status.leader_since_utc_ns != 0) {
        append_time("leader_since", status.leader_since_utc_ns, out);
    }
    if (status.disk_ns != 0) {
        append_ms("disk_ms", status.disk_ns, out);
    }
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
    out += ']';
    append_key("removed", out);
    out += '[';
    for (std::size_t i = 0; i < status.removed.size(); ++i) {
        out += i == 0 ? "" : ",";
        append_number(status.removed[i], out);
    }
    out += "]}";
}

}  // namespace cairn::server
