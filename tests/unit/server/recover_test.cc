#include "server/tools/recover.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "raft/disk/recovered_log.h"
#include "server/node/new_cluster.h"
#include "server/node/snapshot_service.h"
#include "server/tools/verify.h"
#include "tests/support/sample_data.h"

namespace cairn::server {
namespace {

using raft::test::MemoryFileSystem;
using raft::test::sample_data;
using raft::test::sample_directory;
using raft::test::SampleData;
using raft::test::small_wal_options;

constexpr RecoverNumbers numbers{900, 901, 902, 903};
const std::string aside = sample_directory + "/before-recovery-1";

RecoverResult recover(MemoryFileSystem& files, bool confirmed = true,
                      const RecoverNumbers& drawn = numbers) {
    RecoverOptions options;
    options.data_dir = sample_directory;
    options.confirmed = confirmed;
    return recover_data_directory(files, options, drawn, small_wal_options());
}

std::map<std::string, std::string> contents_of(const MemoryFileSystem& files,
                                               const std::string& below) {
    std::map<std::string, std::string> contents;
    for (const std::string& path : files.paths()) {
        // What a write of the identity that was cut leaves is of no meaning.
        if (path.starts_with(below) && !path.ends_with("/lock") && !path.ends_with(".tmp") &&
            !path.starts_with(sample_directory + "/before-")) {
            contents[path.substr(below.size())] = files.content(path);
        }
    }
    return contents;
}

raft::Identity identity_of(MemoryFileSystem& files) {
    std::optional<raft::Identity> identity;
    REQUIRE(raft::read_identity(files, sample_directory, identity) == "");
    REQUIRE(identity.has_value());
    return *identity;
}

// What a node does at its start with log and snapshots, or why it refuses.
std::string start(MemoryFileSystem& files) {
    const raft::Identity identity = identity_of(files);
    if (identity.has_log) {
        const auto log = files.list(sample_directory + "/wal");
        if (!log || log->empty()) {
            return "the log is gone";
        }
    }
    raft::SnapshotOptions options;
    options.cluster_id = identity.cluster_id;
    options.group = 1;
    raft::SnapshotFailure failure;
    const auto store =
        raft::SnapshotStore::open(files, sample_directory + "/snapshot", options, failure);
    if (!store) {
        return failure.detail;
    }
    raft::WalOptions log_options = small_wal_options();
    log_options.cluster_id = identity.cluster_id;
    log_options.node_id = identity.node_id;
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure log_failure;
    const auto log =
        raft::Wal::open(files, sample_directory + "/wal", log_options, recovered, log_failure);
    return log ? "" : log_failure.detail;
}

// The directory is the new one, whole.
void check_recovered(MemoryFileSystem& files, const SampleData& data, std::uint64_t cluster_id) {
    const raft::Identity identity = identity_of(files);
    CHECK(identity.cluster_id == cluster_id);
    CHECK(identity.disk_id == cluster_id + 1);
    CHECK(identity.node_id == 2);
    CHECK_FALSE(identity.joined);
    using Addresses = std::vector<std::pair<raft::NodeId, std::string>>;
    CHECK(identity.founders == Addresses{{2, "127.0.0.1:7080"}});
    CHECK(identity.members == identity.founders);
    std::string refusal;
    VerifiedState verified;
    const auto report = verify_data_directory(files, sample_directory, refusal, &verified);
    REQUIRE(report.has_value());
    REQUIRE_MESSAGE(report->is_sound(), report->damage.front().what);
    REQUIRE(report->fits);
    CHECK(verified.last == raft::LogPosition{9 + index_leap, 4, 9 * 1000 + 4});
    CHECK(report->hard_state == raft::HardState{5, 0});
    CHECK(verified.configuration.voters == std::vector<raft::NodeId>{2});
    CHECK(verified.configuration.removed.empty());
    CHECK(verified.configuration.details.front().disk_id == identity.disk_id);
    CHECK(verified.state.size() == data.state.size());
    for (int i = 0; i < 4; ++i) {
        const std::string name = "name/" + std::to_string(i);
        REQUIRE(verified.state.get(name) != nullptr);
        CHECK(*verified.state.get(name)->bytes == *data.state.get(name)->bytes);
        CHECK(verified.state.get(name)->index == data.state.get(name)->index);
    }
    CHECK(start(files).empty());
}

TEST_CASE("recover: only says what it would do until it is confirmed") {
    SampleData data = sample_data();
    data.wal.reset();
    const std::uint64_t operations = data.files->operations();
    const RecoverResult result = recover(*data.files, false);
    CHECK(result.outcome == RecoverOutcome::planned);
    CHECK(result.text.find("Lost is") != std::string::npos);
    CHECK(data.files->operations() == operations);
}

TEST_CASE("recover: the new cluster has everything, the old data is kept, and both ids differ") {
    SampleData data = sample_data();
    data.wal.reset();
    const auto before = contents_of(*data.files, sample_directory);
    const RecoverResult result = recover(*data.files);
    REQUIRE_MESSAGE(result.outcome == RecoverOutcome::done, result.reason);
    data.files->crash(MemoryFileSystem::Crash::drop, 1);  // all of it is durable
    check_recovered(*data.files, data, 900);
    std::map<std::string, std::string> kept;
    for (const std::string& path : data.files->paths()) {
        if (path.starts_with(aside)) {
            kept[path.substr(aside.size())] = data.files->content(path);
        }
    }
    CHECK(kept == before);
    // Again: beside the first.
    const RecoverResult again = recover(*data.files, true, {1900, 1901, 1902, 1903});
    REQUIRE_MESSAGE(again.outcome == RecoverOutcome::done, again.reason);
    CHECK(identity_of(*data.files).cluster_id == 1900);
    CHECK(*data.files->exists(sample_directory + "/before-recovery-2/wal"));
    CHECK(start(*data.files).empty());
}

TEST_CASE(
    "recover: with the power lost at any operation nothing is lost, and another finishes it") {
    SampleData data = sample_data();
    data.wal.reset();
    const auto before = contents_of(*data.files, sample_directory);
    const auto trial = data.files->clone();
    const std::uint64_t first = trial->operations() + 1;
    REQUIRE(recover(*trial).outcome == RecoverOutcome::done);
    const std::uint64_t last = trial->operations();
    REQUIRE(last - first > 20);
    int old_whole = 0;
    int unfinished = 0;
    int all_done = 0;
    for (const auto kind : {MemoryFileSystem::Crash::drop, MemoryFileSystem::Crash::keep,
                            MemoryFileSystem::Crash::tear}) {
        for (std::uint64_t operation = first; operation <= last; ++operation) {
            const auto files = data.files->clone();
            files->power_off_at(operation);
            const RecoverResult cut = recover(*files);
            REQUIRE(cut.outcome == RecoverOutcome::refused);
            REQUIRE_FALSE(cut.reason.empty());
            files->crash(kind, operation);
            const bool is_new = identity_of(*files).cluster_id == 900;
            if (!is_new) {
                // The old directory, byte for byte.
                ++old_whole;
                REQUIRE(contents_of(*files, sample_directory) == before);
                REQUIRE(start(*files->clone()) == "");
            } else if (start(*files).empty()) {
                ++all_done;
                check_recovered(*files, data, 900);
                if (!*files->exists(aside + "/new-identity")) {
                    continue;  // only the last sync was missing: there is nothing to finish
                }
            } else {
                ++unfinished;  // and nothing that the attempt to start did stands in the way
            }
            const RecoverResult next = recover(*files, true, {900, 901, 904, 905});
            REQUIRE_MESSAGE(
                next.outcome == (is_new ? RecoverOutcome::finished : RecoverOutcome::done),
                next.reason << " after operation " << operation);
            check_recovered(*files, data, 900);
            REQUIRE(*files->exists(aside + "/wal"));
            REQUIRE_FALSE(*files->exists(aside + "/new-identity"));
            REQUIRE_FALSE(*files->exists(sample_directory + "/before-recovery-2"));
            for (const std::string name : {"/wal", "/snapshot"}) {
                for (const std::string& file : *files->list(aside + name)) {
                    REQUIRE(files->content(aside + name + "/" + file) ==
                            before.at(name + "/" + file));
                }
            }
        }
    }
    CHECK(old_whole > 0);
    CHECK(unfinished > 0);
    CHECK(all_done > 0);
}

TEST_CASE("recover: what an attempt left doesn't outlive writes that came after it") {
    SampleData data = sample_data();
    data.wal.reset();
    const auto trial = data.files->clone();
    REQUIRE(recover(*trial).outcome == RecoverOutcome::done);
    // Just before the identity is replaced: everything else is there.
    for (std::uint64_t operation = trial->operations();; --operation) {
        const auto files = data.files->clone();
        files->power_off_at(operation);
        recover(*files);
        files->crash(MemoryFileSystem::Crash::keep, 1);
        if (identity_of(*files).cluster_id == 900) {
            continue;
        }
        REQUIRE(*files->exists(aside + "/new-identity"));
        SampleData goes_on = sample_data();
        goes_on.wal.reset();
        goes_on.files = files->clone();
        goes_on.open_log();
        raft::test::Part part{.group = 1};
        part.entries = {goes_on.command_entry(10, 4, "name/0", 33)};
        goes_on.append(part);
        goes_on.wal.reset();
        REQUIRE(recover(*goes_on.files, true, {1900, 1901, 1902, 1903}).outcome ==
                RecoverOutcome::done);
        std::string refusal;
        VerifiedState verified;
        REQUIRE(verify_data_directory(*goes_on.files, sample_directory, refusal, &verified));
        CHECK(verified.last.index == 10 + index_leap);
        CHECK(verified.state.get("name/0")->bytes->size() == 33);
        CHECK(identity_of(*goes_on.files).cluster_id == 1900);
        break;
    }
}

TEST_CASE("recover: all who were members are barred, and the address may be another") {
    SampleData data = sample_data();
    raft::Configuration configuration = raft::configuration_of({2, 3, 5});
    configuration.learners = {9};
    configuration.removed = {1};
    configuration.details = {{2, "10.0.0.2:70", 0, false}};
    raft::test::Part part{.group = 1};
    part.entries = {{.index = 10,
                     .term = 4,
                     .stamp_ns = 20'000,
                     .kind = raft::EntryKind::configuration,
                     .payload = raft::Payload::copy_of(raft::encode_configuration(configuration))}};
    data.append(part);
    data.wal.reset();
    for (const bool moved : {false, true}) {
        const auto files = data.files->clone();
        RecoverOptions options;
        options.data_dir = sample_directory;
        options.confirmed = true;
        if (moved) {
            options.raft = Address{"10.0.0.7", 71};
        }
        const RecoverResult result =
            recover_data_directory(*files, options, numbers, small_wal_options());
        REQUIRE_MESSAGE(result.outcome == RecoverOutcome::done, result.reason);
        std::string refusal;
        VerifiedState verified;
        REQUIRE(verify_data_directory(*files, sample_directory, refusal, &verified));
        CHECK(verified.configuration.removed == std::vector<raft::NodeId>{1, 3, 5, 9});
        CHECK(verified.configuration.members() == std::vector<raft::NodeId>{2});
        const std::string address = moved ? "10.0.0.7:71" : "10.0.0.2:70";
        CHECK(verified.configuration.detail(2)->address == address);
        CHECK(identity_of(*files).founders.front().second == address);
    }
}

TEST_CASE("recover: damage is refused, and so is what has nothing to recover") {
    SampleData data = sample_data();
    data.wal.reset();
    for (const std::string& path :
         {raft::test::sample_segment(1), raft::test::sample_snapshot(5, 4)}) {
        const auto files = data.files->clone();
        files->flip_bit(path, files->content(path).size() * 4);
        const auto before = contents_of(*files, sample_directory);
        const std::uint64_t operations = files->operations();
        const RecoverResult result = recover(*files);
        CHECK(result.outcome == RecoverOutcome::damaged);
        CHECK(result.text.find(path) != std::string::npos);
        CHECK(files->operations() == operations);
        CHECK(contents_of(*files, sample_directory) == before);
    }
    // It joined, and has heard of no configuration.
    SampleData joined;
    joined.files->set_content(
        sample_directory + "/identity",
        raft::encode_identity(
            {.cluster_id = 77, .node_id = 2, .joined = true, .members = {{2, "127.0.0.1:7080"}}}));
    joined.open_log();
    joined.append({.group = 1, .hard_state = raft::HardState{.term = 1, .voted_for = 0}});
    joined.wal.reset();
    const RecoverResult result = recover(*joined.files);
    CHECK(result.outcome == RecoverOutcome::refused);
    CHECK(result.reason.find("never heard") != std::string::npos);
    SampleData fresh;
    CHECK(recover(*fresh.files).reason.find("no log yet") != std::string::npos);
}

}  // namespace
}  // namespace cairn::server
