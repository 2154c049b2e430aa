#include "server/tools/dump.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "fsm/state_machine.h"
#include "raft/disk/data_directory.h"
#include "raft/disk/snapshot_reader.h"
#include "raft/disk/wal_reader.h"
#include "server/node/snapshot_service.h"
#include "server/tools/dump_record.h"
#include "server/tools/verify.h"

namespace cairn::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t values_per_page = 1000;

// The one place that says what a snapshot's configuration is.
class Dump {
 public:
    Dump(raft::FileSystem& files, const DumpOptions& options,
         const std::function<void(const std::string&)>& line)
        : files_(files), options_(options), line_(line) {}

    DumpOutcome run() {
        if (options_.snapshot) {
            show_snapshot();
        } else {
            show_log();
        }
        return damaged_ ? DumpOutcome::damaged : DumpOutcome::whole;
    }

 private:
    void show(const Json& json) {
        line_((options_.json ? json_text(json) : plain_text(json)) + "\n");
    }
    void show_damage(const std::string& file, std::optional<std::uint64_t> offset,
                     const std::string& what);
    // Counts towards the limit. Whether it is reached by now.
    bool show_counted(const Json& json);

    void show_log();
    bool show_segment(const std::string& path, const raft::WalReader& reader);
    void show_end(const std::string& path, const raft::WalReader& reader);
    bool is_wanted(const raft::WalRecordHeader& record) const;
    void show_snapshot();
    void show_values(const fsm::StateMachine& state);

    raft::FileSystem& files_;
    const DumpOptions& options_;
    const std::function<void(const std::string&)>& line_;
    std::uint64_t shown_ = 0;
    bool damaged_ = false;
};

void Dump::show_damage(const std::string& file, std::optional<std::uint64_t> offset,
                       const std::string& what) {
    damaged_ = true;
    Json json{{"record", "damaged"}, {"file", file}};
    if (offset) {
        json["offset"] = *offset;
    }
    json["what"] = what;
    show(json);
}

bool Dump::show_counted(const Json& json) {
    if (shown_ < options_.limit) {
        show(json);
        ++shown_;
        return false;
    }
    show({{"record", "limit reached, there is more"}});
    return true;
}

bool Dump::is_wanted(const raft::WalRecordHeader& record) const {
    const bool everything =
        options_.from == 0 && options_.to == std::numeric_limits<raft::Index>::max();
    return everything || (record.type == raft::WalRecordType::entry &&
                          record.index >= options_.from && record.index <= options_.to);
}

void Dump::show_log() {
    std::optional<raft::Identity> identity;
    const std::string error = raft::read_identity(files_, options_.data_dir, identity);
    std::optional<raft::WalOwner> owner;
    if (identity) {
        owner = raft::WalOwner{identity->cluster_id, identity->node_id};
    } else {
        show_damage(options_.data_dir + "/identity", std::nullopt, error);
    }
    const std::string directory = raft::wal_directory_of(options_.data_dir);
    if (const raft::IoResult<bool> exists = files_.exists(directory); exists && !*exists) {
        show({{"record", "no log"}});
        return;
    }
    raft::WalReader reader(files_, directory, owner);
    const auto show_fault = [&] {
        const raft::WalFault& fault = reader.fault();
        show_damage(fault.name.empty() ? directory : directory + "/" + fault.name, fault.offset,
                    fault.what);
    };
    if (!reader.open()) {
        show_fault();
        return;
    }
    for (raft::WalReader::Step step = reader.next(); step != raft::WalReader::Step::end;
         step = reader.next()) {
        const std::string path = directory + "/" + reader.name();
        if (reader.has_segment() && !show_segment(path, reader)) {
            return;
        }
        if (step == raft::WalReader::Step::fault) {
            show_fault();
        } else if (reader.is_newest()) {
            show_end(path, reader);
        }
    }
}

// False: enough was shown.
bool Dump::show_segment(const std::string& path, const raft::WalReader& reader) {
    const raft::WalSegmentHeader& header = reader.header();
    show({{"record", "segment"},
          {"file", path},
          {"epoch", header.epoch},
          {"first_append", header.append_sequence_base},
          {"bytes", header.segment_bytes}});
    for (const raft::WalRecord& record : reader.scan().records) {
        if (is_wanted(record.header) && show_counted(describe_record(record, options_.values))) {
            return false;
        }
    }
    return true;
}

void Dump::show_end(const std::string& path, const raft::WalReader& reader) {
    Json json{{"record", "end of the log"}, {"file", path}, {"offset", reader.scan().end_offset}};
    switch (raft::examine_wal_tail(reader.bytes(), reader.header(), reader.scan())) {
        case raft::WalTail::blank:
            break;
        case raft::WalTail::torn:
            json["behind_it"] = "a torn append, which the next start cuts off";
            break;
        case raft::WalTail::other_bytes:
            json["behind_it"] = "bytes of an earlier use of the file, or of a torn append";
            break;
    }
    show(json);
}

void Dump::show_snapshot() {
    const std::string directory = raft::snapshot_directory_of(options_.data_dir);
    const raft::IoResult<bool> exists = files_.exists(directory);
    std::vector<std::string> names;
    if (!exists || *exists) {
        raft::IoResult<std::vector<std::string>> listed = files_.list(directory);
        if (!listed) {
            show_damage(directory, std::nullopt, listed.error().message());
            return;
        }
        names = std::move(*listed);
    }
    std::erase_if(names, [](const std::string& name) { return !raft::parse_snapshot_name(name); });
    if (names.empty()) {
        show({{"record", "no snapshot"}});
        return;
    }
    const std::string path = directory + "/" + names.back();
    raft::SnapshotFailure failure;
    const std::unique_ptr<raft::SnapshotReader> reader =
        raft::SnapshotReader::open(files_, path, failure);
    if (!reader) {
        show_damage(path, failure.offset, failure.detail);
        return;
    }
    const raft::SnapshotMeta& meta = reader->meta();
    show({{"record", "snapshot"},
          {"file", path},
          {"index", meta.last_included_index},
          {"term", meta.last_included_term},
          {"stamp_ns", meta.last_included_stamp_ns},
          {"group", meta.group},
          {"configuration", describe_configuration(meta.configuration)},
          {"bytes", reader->content_bytes()}});
    std::string error;
    const std::optional<fsm::StateMachine> state = load_state_machine(*reader, error);
    if (!state) {
        show_damage(path, reader->damage_offset(), error);
        return;
    }
    show_values(*state);
}

void Dump::show_values(const fsm::StateMachine& state) {
    std::string after;
    bool more = true;
    while (more) {
        const std::vector<fsm::ListItem> items = state.list("", after, values_per_page, more);
        for (const fsm::ListItem& item : items) {
            Json json{{"record", "value"}};
            describe_text("name", item.name, json);
            json["index"] = item.value.index;
            describe_value(*item.value.bytes, options_.values, json);
            if (item.value.deadline_ns != 0) {
                json["deadline_ns"] = item.value.deadline_ns;
            }
            if (show_counted(json)) {
                return;
            }
        }
        if (!items.empty()) {
            after = items.back().name;
        }
    }
}

}  // namespace

DumpOutcome dump_data_directory(raft::FileSystem& files, const DumpOptions& options,
                                const std::function<void(const std::string&)>& line,
                                std::string& refusal) {
    refusal = refuse_directory(files, options.data_dir);
    return refusal.empty() ? Dump(files, options, line).run() : DumpOutcome::refused;
}

}  // namespace cairn::server
