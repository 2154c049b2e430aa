#include "server/client/text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "server/base/base64.h"
#include "server/base/printable.h"

namespace cairn::client {
namespace {

using Json = nlohmann::json;
using server::printable;

constexpr std::size_t value_bytes_shown = 100;

const Json& member_of(const Json& object, const char* key) {
    static const Json none;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found == object.end() ? none : *found;
}

// A string or a whole number, to be shown.
std::string shown(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    if (member.is_string()) {
        return printable(member.get_ref<const std::string&>());
    }
    return member.is_number_unsigned() ? std::to_string(member.get<std::uint64_t>()) : "";
}

std::string or_dash(std::string text) {
    return text.empty() ? "-" : text;
}

bool is_true(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_boolean() && member.get<bool>();
}

// How a value begins, on one line.
std::string shown_value(const Json& holder) {
    const std::optional<std::string> bytes = value_bytes(holder);
    if (!bytes) {
        return {};
    }
    std::size_t kept = std::min(bytes->size(), value_bytes_shown);
    // Not through the middle of a character; of bytes that aren't text, not far back.
    for (int i = 0; i < 3 && kept > 0 && kept < bytes->size() &&
                    (static_cast<unsigned char>((*bytes)[kept]) & 0xc0U) == 0x80;
         ++i) {
        --kept;
    }
    return printable(std::string_view(*bytes).substr(0, kept)) +
           (kept < bytes->size() ? "… (" + std::to_string(bytes->size()) + " bytes)" : "");
}

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

std::string contact_text(const Json& member) {
    const std::string ms = shown(member, "last_contact_ms");
    return ms.empty() ? "-" : ms + " ms ago";
}

const Json& members_of(const Json& cluster) {
    return member_of(cluster, "members");
}

}  // namespace

std::optional<std::string> value_bytes(const Json& holder) {
    const Json& text = member_of(holder, "value");
    if (text.is_string()) {
        return text.get<std::string>();
    }
    const Json& encoded = member_of(holder, "value_base64");
    std::string bytes;
    if (encoded.is_string() &&
        server::decode_base64(encoded.get_ref<const std::string&>(), bytes)) {
        return bytes;
    }
    return std::nullopt;
}

ShownValue terminal_value(std::string_view bytes) {
    bool is_text = true;
    for (std::string_view rest = bytes; !rest.empty() && is_text;) {
        const server::DecodedCharacter character = server::decode_utf8(rest);
        const bool lays_out = character.code_point == U'\n' || character.code_point == U'\t';
        is_text = character.valid && (lays_out || !server::is_unprintable(character.code_point));
        rest.remove_prefix(character.size_bytes);
    }
    ShownValue shown{is_text ? std::string(bytes) : printable(bytes), !is_text};
    if (!shown.text.empty() && shown.text.back() != '\n') {
        shown.text += '\n';
    }
    return shown;
}

std::string json_line(std::string_view json) {
    std::string line;
    line.reserve(json.size() + 1);
    while (!json.empty()) {
        const server::DecodedCharacter character = server::decode_utf8(json);
        if (!character.valid) {
            line += "\\ufffd";
        } else if (character.code_point < 0x20) {
            line += ' ';  // between two parts: inside of strings they are escaped already
        } else if (server::is_unprintable(character.code_point)) {
            std::array<char, 8> escape;
            const int size = std::snprintf(escape.data(), escape.size(), "\\u%04x",
                                           static_cast<unsigned>(character.code_point));
            line.append(escape.data(), static_cast<std::size_t>(size));
        } else {
            line += json.substr(0, character.size_bytes);
        }
        json.remove_prefix(character.size_bytes);
    }
    return line + "\n";
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const std::vector<std::string>& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width_of(row[i]));
        }
    }
    std::string text;
    for (const std::vector<std::string>& row : rows) {
        std::size_t owed = 0;  // spaces, unless nothing follows
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (!row[i].empty()) {
                text.append(owed, ' ');
                owed = 0;
            }
            text += row[i];
            owed += widths[i] - width_of(row[i]) + 2;
        }
        text += '\n';
    }
    return text;
}

std::string list_text(const Json& page, bool with_header) {
    std::vector<std::vector<std::string>> rows;
    if (with_header) {
        rows.push_back({"NAME", "INDEX", "EXPIRE", "VALUE"});
    }
    for (const Json& value : member_of(page, "values")) {
        rows.push_back({shown(value, "name"), shown(value, "index"),
                        or_dash(shown(value, "expire")), shown_value(value)});
    }
    return table(rows);
}

std::string members_text(const Json& cluster) {
    std::vector<std::vector<std::string>> rows{
        {"ID", "ROLE", "STATE", "RAFT", "HTTP", "MATCH", "LAG", "CONTACT"}};
    for (const Json& member : members_of(cluster)) {
        rows.push_back({shown(member, "id"), shown(member, "role"), shown(member, "state"),
                        or_dash(shown(member, "raft")), or_dash(shown(member, "http")),
                        or_dash(shown(member, "match_index")), or_dash(shown(member, "lag")),
                        contact_text(member)});
    }
    return table(rows);
}

std::string status_text(const Json& cluster) {
    const std::string leader = shown(cluster, "leader");
    std::string text = "cluster  " + shown(cluster, "cluster_id") + "\n";
    text += "leader   " + (leader == "0" || leader.empty() ? "none" : "node " + leader) +
            ", term " + shown(cluster, "term") + "\n";
    text += "seen by  node " + shown(cluster, "node") + ", " + shown(cluster, "state") +
            (is_true(cluster, "ready") ? ", ready" : ", not ready") + "\n";
    text += "index    " + shown(cluster, "last_index") + " last, " +
            shown(cluster, "commit_index") + " committed, " + shown(cluster, "applied_index") +
            " applied\n\n";
    return text + members_text(cluster);
}

std::string written_text(Verb verb, unsigned status, const Json& answer) {
    const std::string name = shown(answer, "name");
    const std::string index = shown(answer, "index");
    switch (verb) {
        case Verb::set:
            return (status == 201 ? "created " : "set ") + name + " at index " + index + "\n";
        case Verb::update: {
            const Json& before = member_of(answer, "prev_value");
            return "updated " + name + " at index " + index + ", before at " +
                   shown(before, "index") + ": " + shown_value(before) + "\n";
        }
        case Verb::remove:
            return "deleted " + name + ", was at index " + index + ": " + shown_value(answer) +
                   "\n";
        case Verb::add_member:
            return (status == 201 ? "added node " : "already a member: node ") +
                   shown(answer, "id") + " at " + shown(answer, "raft") + "\n";
        case Verb::remove_member:
            return "removed node " + shown(answer, "id") + "\n";
        default:
            return "node " + shown(answer, "leader") + " leads\n";
    }
}

std::string message_text(const Json& message) {
    const std::string type = shown(message, "type");
    if (type == "gap") {
        return "-\tgap\n";
    }
    const bool is_value = type == "value";
    if (!is_value && type != "created" && type != "updated" && type != "deleted") {
        return {};
    }
    const bool is_gone = type == "deleted" || (is_value && !value_bytes(message));
    std::string index = shown(message, type == "deleted" ? "deleted_index" : "index");
    std::string line = or_dash(std::move(index)) + "\t";
    if (is_gone) {
        line += is_true(message, "expired") ? "expired" : type == "deleted" ? "deleted" : "not set";
    } else {
        line += type;
    }
    line += "\t" + shown(message, "name");
    return line + (is_gone ? "" : "\t" + shown_value(message)) + "\n";
}

}  // namespace cairn::client
