#include "server/tools/verify.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "fsm/state_machine.h"
#include "raft/disk/recovered_log.h"
#include "raft/disk/snapshot_reader.h"
#include "server/base/printable.h"
#include "server/node/snapshot_service.h"
#include "server/node/value_group.h"

namespace cairn::server {
namespace {

// What a record may not do after those before it, or an empty string.
std::string step_back(const raft::WalReplay& replay, const raft::WalRecordHeader& record) {
    const auto found = replay.groups.find(record.group);
    if (found == replay.groups.end()) {
        return {};
    }
    const raft::WalGroupState& state = found->second;
    const raft::HardState& before = state.hard_state;
    if (record.type == raft::WalRecordType::hard_state) {
        if (record.term < before.term) {
            return "term " + std::to_string(record.term) + " after term " +
                   std::to_string(before.term);
        }
        if (record.term == before.term && before.voted_for != 0 &&
            record.index != before.voted_for) {
            return "a second vote in term " + std::to_string(record.term);
        }
        return {};
    }
    if (record.type != raft::WalRecordType::entry || state.entries.empty() ||
        record.index <= state.entries.front().index ||
        record.index > state.entries.back().index + 1) {
        return {};
    }
    const raft::Entry& previous = state.entries[record.index - 1 - state.entries.front().index];
    if (record.term < previous.term) {
        return "entry " + std::to_string(record.index) + " is of term " +
               std::to_string(record.term) + ", the one before it of term " +
               std::to_string(previous.term);
    }
    if (record.stamp_ns < previous.stamp_ns) {
        return "entry " + std::to_string(record.index) +
               " has an earlier stamp than the one before it";
    }
    return {};
}

class Verifier {
 public:
    Verifier(raft::FileSystem& files, const std::string& directory) : files_(files) {
        report_.directory = directory;
    }

    VerifyReport run(VerifiedState* verified) {
        check_identity();
        check_snapshots();
        check_log();
        check_fit();
        if (verified != nullptr) {
            *verified = std::move(verified_);
        }
        return std::move(report_);
    }

 private:
    void damage(std::string file, std::optional<std::uint64_t> offset, std::string what) {
        report_.damage.push_back({std::move(file), offset, std::move(what)});
    }
    // What is "FILE: what" elsewhere.
    void damage_of(const std::string& file, std::optional<std::uint64_t> offset,
                   const std::string& detail) {
        const std::string prefix = file + ": ";
        damage(file, offset, detail.starts_with(prefix) ? detail.substr(prefix.size()) : detail);
    }
    void note(std::string text) { report_.notes.push_back(std::move(text)); }

    void check_identity();
    void check_snapshots();
    void check_snapshot(const std::string& path, const raft::SnapshotId& id);
    std::optional<std::string> objection_to(const raft::SnapshotMeta& meta,
                                            const raft::SnapshotId& id) const;
    void check_log();
    void read_log(raft::WalReader& reader);
    void take_segment(const raft::WalReader& reader);
    void check_fit();
    void apply_log(const raft::CoreStart& start);

    raft::FileSystem& files_;
    VerifyReport report_;
    raft::WalReplay replay_;
    std::size_t snapshot_files_ = 0;
    bool newest_snapshot_sound_ = true;
    std::optional<raft::SnapshotMeta> newest_meta_;
    std::optional<fsm::StateMachine> newest_state_;
    bool log_sound_ = true;
    VerifiedState verified_;
};

void Verifier::check_identity() {
    const std::string error = raft::read_identity(files_, report_.directory, report_.identity);
    if (!error.empty()) {
        damage_of(report_.directory + "/identity", std::nullopt, error);
    }
}

void Verifier::check_snapshots() {
    const std::string directory = raft::snapshot_directory_of(report_.directory);
    const raft::IoResult<bool> exists = files_.exists(directory);
    if (exists && !*exists) {
        return;  // the node has not come so far yet
    }
    const raft::IoResult<std::vector<std::string>> names = files_.list(directory);
    if (!names) {
        newest_snapshot_sound_ = false;
        damage(directory, std::nullopt, "can't be read: " + names.error().message());
        return;
    }
    // Names have a fixed number of digits, so the last one is the newest.
    for (const std::string& name : *names) {
        const std::string path = directory + "/" + name;
        if (const std::optional<raft::SnapshotId> id = raft::parse_snapshot_name(name)) {
            ++snapshot_files_;
            check_snapshot(path, *id);
        } else if (raft::is_snapshot_temporary_name(name)) {
            note(path + ": a snapshot that was not finished; the next start removes it");
        } else {
            note(path + ": not a file of Cairn's");
        }
    }
}

std::optional<std::string> Verifier::objection_to(const raft::SnapshotMeta& meta,
                                                  const raft::SnapshotId& id) const {
    if (raft::id_of(meta) != id) {
        return "is another snapshot than its name says";
    }
    if (meta.group != value_group) {
        return "belongs to group " + std::to_string(meta.group);
    }
    if (report_.identity && meta.cluster_id != report_.identity->cluster_id) {
        return "belongs to cluster " + std::to_string(meta.cluster_id) + ", not to cluster " +
               std::to_string(report_.identity->cluster_id);
    }
    return std::nullopt;
}

void Verifier::check_snapshot(const std::string& path, const raft::SnapshotId& id) {
    newest_snapshot_sound_ = false;
    newest_meta_.reset();
    newest_state_.reset();
    raft::SnapshotFailure failure;
    const std::unique_ptr<raft::SnapshotReader> reader =
        raft::SnapshotReader::open(files_, path, failure);
    if (!reader) {
        damage_of(path, failure.offset, failure.detail);
        return;
    }
    const raft::SnapshotMeta& meta = reader->meta();
    if (const std::optional<std::string> objection = objection_to(meta, id)) {
        damage(path, 0, *objection);
        return;
    }
    if (const raft::IoResult<void> verified = reader->verify(); !verified) {
        const bool known = !reader->damage().empty();
        damage_of(path, reader->damage_offset(),
                  known ? reader->damage() : "can't be read: " + verified.error().message());
        return;
    }
    std::string error;
    newest_state_ = load_state_machine(*reader, error);
    if (!newest_state_) {
        damage_of(path, std::nullopt, "its content can't be used: " + error);
        return;
    }
    newest_meta_ = meta;
    newest_snapshot_sound_ = true;
    report_.snapshots.push_back(
        {.file = path,
         .last_included = {meta.last_included_index, meta.last_included_term,
                           meta.last_included_stamp_ns},
         .bytes = reader->content_bytes(),
         .values = newest_state_->size(),
         .digest = newest_state_->digest()});
}

void Verifier::check_log() {
    const std::string directory = raft::wal_directory_of(report_.directory);
    const raft::IoResult<bool> exists = files_.exists(directory);
    if (!exists || *exists) {
        std::optional<raft::WalOwner> owner;
        if (report_.identity) {
            owner = raft::WalOwner{report_.identity->cluster_id, report_.identity->node_id};
        }
        raft::WalReader reader(files_, directory, owner);
        read_log(reader);
    }
    if (report_.segments.empty() && log_sound_) {
        // Term and vote are in the log, and it was there before any snapshot.
        if (report_.identity && report_.identity->has_log) {
            log_sound_ = false;
            damage(directory, std::nullopt, "the log is gone");
        } else if (snapshot_files_ > 0) {
            log_sound_ = false;
            damage(directory, std::nullopt, "there is a snapshot, but no log");
        } else {
            note(directory + ": no log yet");
        }
    }
    const raft::WalGroupState& state = replay_.groups[value_group];
    report_.hard_state = state.hard_state;
    if (!state.entries.empty()) {
        report_.first_index = state.entries.front().index;
        report_.last_index = state.entries.back().index;
    }
}

void Verifier::read_log(raft::WalReader& reader) {
    const std::string directory = raft::wal_directory_of(report_.directory);
    const auto take_fault = [&] {
        const raft::WalFault& fault = reader.fault();
        log_sound_ = false;
        const bool of_system = fault.error == raft::WalOpenError::io;
        damage(fault.name.empty() ? directory : directory + "/" + fault.name, fault.offset,
               of_system ? "can't be read: " + fault.what : fault.what);
    };
    if (!reader.open()) {
        take_fault();
        return;
    }
    report_.reserves = reader.reserve_names().size();
    for (const std::string& name : reader.other_names()) {
        note(directory + "/" + name + ": not a file of Cairn's");
    }
    for (raft::WalReader::Step step = reader.next(); step != raft::WalReader::Step::end;
         step = reader.next()) {
        if (reader.has_segment()) {
            take_segment(reader);
        }
        if (step == raft::WalReader::Step::fault) {
            take_fault();
            replay_.forget_entries();
        }
    }
}

void Verifier::take_segment(const raft::WalReader& reader) {
    const raft::WalSegmentScan& scan = reader.scan();
    SegmentReport segment{.file = raft::wal_directory_of(report_.directory) + "/" + reader.name(),
                          .epoch = reader.header().epoch,
                          .appends = scan.next_sequence - reader.header().append_sequence_base,
                          .records = scan.records.size(),
                          .end_offset = scan.end_offset,
                          .newest = reader.is_newest()};
    if (segment.newest && scan.corruption.empty()) {
        segment.tail = raft::examine_wal_tail(reader.bytes(), reader.header(), scan);
    }
    for (const raft::WalRecord& record : scan.records) {
        std::string wrong = step_back(replay_, record.header);
        if (const std::string gap = replay_.apply(record); wrong.empty()) {
            wrong = gap;
        }
        if (!wrong.empty()) {
            log_sound_ = false;
            damage(segment.file, record.offset,
                   wrong + ", at offset " + std::to_string(record.offset));
            replay_.forget_entries();
        }
        if (record.header.type == raft::WalRecordType::entry) {
            const raft::Index index = record.header.index;
            segment.first_index =
                segment.first_index == 0 ? index : std::min(segment.first_index, index);
            segment.last_index = std::max(segment.last_index, index);
        }
    }
    report_.segments.push_back(std::move(segment));
}

void Verifier::check_fit() {
    if (!report_.snapshots.empty()) {
        report_.snapshot_index = report_.snapshots.back().last_included.index;
        report_.last_index = std::max(report_.last_index, report_.snapshot_index);
    }
    if (!log_sound_ || !newest_snapshot_sound_) {
        return;
    }
    raft::LogPosition base;
    raft::Configuration configuration;  // matters to a node only
    if (newest_meta_) {
        base = report_.snapshots.back().last_included;
        configuration = newest_meta_->configuration;
    }
    raft::RecoveryFailure failure;
    const std::optional<raft::RecoveredLog> log =
        raft::recover_log(base, configuration, std::move(replay_.groups[value_group]), failure);
    if (!log) {
        damage(report_.directory, std::nullopt, failure.text);
        return;
    }
    report_.hard_state = log->start.hard_state;
    report_.log_replaced = log->log_replaced;
    const std::vector<raft::Entry>& entries = log->start.entries;
    const auto complain = [&](const std::string& what) {
        damage(raft::wal_directory_of(report_.directory), std::nullopt, what);
    };
    if (!entries.empty() && entries.back().term > report_.hard_state.term) {
        complain("entry " + std::to_string(entries.back().index) + " is of term " +
                 std::to_string(entries.back().term) +
                 ", which the node has not reached: it is "
                 "in term " +
                 std::to_string(report_.hard_state.term));
        return;
    }
    if (!entries.empty() && newest_meta_ &&
        (entries.front().stamp_ns < base.stamp_ns || entries.front().term < base.term)) {
        complain("entry " + std::to_string(entries.front().index) +
                 " is older than the snapshot that it follows");
        return;
    }
    report_.fits = true;
    apply_log(log->start);
}

void Verifier::apply_log(const raft::CoreStart& start) {
    fsm::StateMachine& state = verified_.state;
    if (newest_state_) {
        state = std::move(*newest_state_);
    }
    verified_.last = start.base;
    verified_.configuration = start.configuration;
    std::vector<fsm::Event> events;
    for (const raft::Entry& entry : start.entries) {
        const bool command = entry.kind == raft::EntryKind::command;
        state.apply(entry.index, entry.stamp_ns,
                    command ? entry.payload.view() : std::string_view(), events);
        events.clear();
        verified_.last = {entry.index, entry.term, entry.stamp_ns};
        if (entry.kind == raft::EntryKind::configuration &&
            !raft::decode_configuration(entry.payload.view(), verified_.configuration)) {
            damage(raft::wal_directory_of(report_.directory), std::nullopt,
                   "the configuration at index " + std::to_string(entry.index) + " can't be read");
            report_.fits = false;
            return;
        }
    }
    report_.values = state.size();
    report_.digest = state.digest();
}

}  // namespace

std::string refuse_directory(raft::FileSystem& files, const std::string& directory) {
    const raft::IoResult<std::vector<std::string>> names = files.list(directory);
    if (!names) {
        return in_quotes(directory, 1000) + ": " + names.error().message();
    }
    for (const char* const name : {"identity", "wal", "snapshot"}) {
        if (std::ranges::find(*names, name) != names->end()) {
            return {};
        }
    }
    return in_quotes(directory, 1000) + ": not a data directory: there is no identity in it";
}

std::optional<VerifyReport> verify_data_directory(raft::FileSystem& files,
                                                  const std::string& directory,
                                                  std::string& refusal, VerifiedState* verified) {
    refusal = refuse_directory(files, directory);
    if (!refusal.empty()) {
        return std::nullopt;
    }
    return Verifier(files, directory).run(verified);
}

}  // namespace cairn::server
