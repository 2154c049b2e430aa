#include "server/tools/verify_report.h"

#include <cinttypes>
#include <cstdio>
#include <string_view>

#include <nlohmann/json.hpp>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

using Json = nlohmann::ordered_json;

std::string hexadecimal(std::uint64_t number) {
    char buffer[17];
    std::snprintf(buffer, sizeof buffer, "%016" PRIx64, number);
    return buffer;
}

std::string counted(std::uint64_t count, std::string_view singular) {
    return std::to_string(count) + " " + std::string(singular) + (count == 1 ? "" : "s");
}

std::string_view tail_name(raft::WalTail tail) {
    switch (tail) {
        case raft::WalTail::blank:
            return "blank";
        case raft::WalTail::torn:
            return "torn";
        case raft::WalTail::other_bytes:
            break;
    }
    return "other bytes";
}

void append_segment(const SegmentReport& segment, std::string& out) {
    out += printable(segment.file) + ": ";
    out += counted(segment.records, "record") + " in " + counted(segment.appends, "append");
    if (segment.first_index != 0) {
        out += ", entries " + std::to_string(segment.first_index) + " to " +
               std::to_string(segment.last_index);
    }
    out += ", ends at offset " + std::to_string(segment.end_offset);
    if (segment.tail == raft::WalTail::torn) {
        out += "; torn tail: a last append is not whole there, the next start cuts it off";
    } else if (segment.tail == raft::WalTail::other_bytes) {
        out += "; other bytes behind it: of an earlier use of the file, or of a torn last append";
    }
    out += '\n';
}

void append_snapshot(const SnapshotReport& snapshot, std::string& out) {
    out += printable(snapshot.file) + ": index " + std::to_string(snapshot.last_included.index) +
           ", term " + std::to_string(snapshot.last_included.term) + ", " +
           counted(snapshot.bytes, "byte") + ", " + counted(snapshot.values, "value") +
           ", digest " + hexadecimal(snapshot.digest) + "\n";
}

void append_summary(const VerifyReport& report, std::string& out) {
    out += report.is_sound() ? "sound: "
                             : "NOT SOUND, " + std::to_string(report.damage.size()) +
                                   " damaged, what can be read: ";
    if (report.identity) {
        out += "cluster " + hexadecimal(report.identity->cluster_id) + ", node " +
               std::to_string(report.identity->node_id) + ", ";
    }
    out +=
        "term " + std::to_string(report.hard_state.term) + ", vote for " +
        (report.hard_state.voted_for == 0 ? "nobody" : std::to_string(report.hard_state.voted_for));
    out += ", log from index " + std::to_string(report.first_index) + " to " +
           std::to_string(report.last_index) + ", snapshot at index " +
           std::to_string(report.snapshot_index);
    if (report.fits) {
        out += ", " + counted(report.values, "value") + ", digest " + hexadecimal(report.digest);
    }
    out += '\n';
}

Json json_of(const SegmentReport& segment) {
    return {{"file", segment.file},
            {"newest", segment.newest},
            {"epoch", segment.epoch},
            {"appends", segment.appends},
            {"records", segment.records},
            {"first_index", segment.first_index},
            {"last_index", segment.last_index},
            {"end_offset", segment.end_offset},
            {"tail", tail_name(segment.tail)}};
}

Json json_of(const SnapshotReport& snapshot) {
    return {{"file", snapshot.file},
            {"index", snapshot.last_included.index},
            {"term", snapshot.last_included.term},
            {"stamp_ns", snapshot.last_included.stamp_ns},
            {"bytes", snapshot.bytes},
            {"values", snapshot.values},
            {"digest", hexadecimal(snapshot.digest)}};
}

Json json_of(const Damage& damage) {
    Json json{{"file", damage.file}};
    if (damage.offset) {
        json["offset"] = *damage.offset;
    }
    json["what"] = damage.what;
    return json;
}

template <class Reports>
Json json_list(const Reports& reports) {
    Json list = Json::array();
    for (const auto& report : reports) {
        list.push_back(json_of(report));
    }
    return list;
}

}  // namespace

std::string verify_text(const VerifyReport& report) {
    std::string out;
    if (report.identity) {
        out += printable(report.directory) + "/identity: cluster " +
               hexadecimal(report.identity->cluster_id) + ", node " +
               std::to_string(report.identity->node_id) + "\n";
    }
    for (const SegmentReport& segment : report.segments) {
        append_segment(segment, out);
    }
    for (const SnapshotReport& snapshot : report.snapshots) {
        append_snapshot(snapshot, out);
    }
    if (!report.fits) {
        out += "log and snapshot: don't fit together, or could not be compared\n";
    } else if (report.log_replaced) {
        out +=
            "log and snapshot: the log ends before the snapshot or differs from it, as after a "
            "crash while one was installed; the next start gives the log up\n";
    } else {
        out += "log and snapshot: fit together\n";
    }
    for (const std::string& note : report.notes) {
        out += "note: " + printable(note) + "\n";
    }
    for (const Damage& damage : report.damage) {
        out += "damaged: " + printable(damage.file + ": " + damage.what) + "\n";
    }
    append_summary(report, out);
    return out;
}

std::string verify_json(const VerifyReport& report) {
    Json json{{"directory", report.directory}, {"sound", report.is_sound()}};
    if (report.identity) {
        json["cluster_id"] = hexadecimal(report.identity->cluster_id);
        json["node_id"] = report.identity->node_id;
    }
    json["term"] = report.hard_state.term;
    json["voted_for"] = report.hard_state.voted_for;
    json["first_index"] = report.first_index;
    json["last_index"] = report.last_index;
    json["snapshot_index"] = report.snapshot_index;
    json["fits"] = report.fits;
    json["log_replaced"] = report.log_replaced;
    if (report.fits) {
        json["values"] = report.values;
        json["digest"] = hexadecimal(report.digest);
    }
    json["segments"] = json_list(report.segments);
    json["reserves"] = report.reserves;
    json["snapshots"] = json_list(report.snapshots);
    json["damage"] = json_list(report.damage);
    json["notes"] = report.notes;
    return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace cairn::server
