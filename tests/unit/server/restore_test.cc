#include "server/tools/restore.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "raft/disk/recovered_log.h"
#include "server/node/new_cluster.h"
#include "server/tools/verify.h"
#include "tests/support/sample_data.h"

namespace cairn::server {
namespace {

using raft::test::MemoryFileSystem;
using raft::test::sample_data;
using raft::test::sample_snapshot;
using raft::test::SampleData;
using raft::test::small_wal_options;

const std::string target = "/restored";
constexpr RestoreNumbers numbers{5, 6, 7};

InitialCluster founders_of(std::string_view text) {
    return *parse_initial_cluster(text);
}

const std::string three = "1=10.0.0.1:70,2=10.0.0.2:70,3=10.0.0.3:70";

std::string restore(MemoryFileSystem& files, raft::NodeId id) {
    std::string error;
    std::optional<Backup> backup = read_backup(files, sample_snapshot(5, 4), error);
    REQUIRE_MESSAGE(backup.has_value(), error);
    return restore_backup(files, target, *std::move(backup), id, founders_of(three), numbers,
                          small_wal_options());
}

TEST_CASE("restore: any flipped bit and any cut of a backup is found") {
    const SampleData data = sample_data();
    const std::string path = sample_snapshot(5, 4);
    const std::uint64_t bytes = data.files->content(path).size();
    for (std::uint64_t byte = 0; byte < bytes; ++byte) {
        for (std::uint64_t bit = byte % 3; bit < 8; bit += 3) {
            const auto files = data.files->clone();
            files->flip_bit(path, byte * 8 + bit);
            std::string error;
            REQUIRE_FALSE(read_backup(*files, path, error).has_value());
            REQUIRE(error.find(path) != std::string::npos);
        }
        if (byte % 13 == 0) {
            const auto files = data.files->clone();
            files->truncate(path, byte);
            std::string error;
            REQUIRE_FALSE(read_backup(*files, path, error).has_value());
        }
    }
}

TEST_CASE("restore: every founder begins with the same state, later by the leap") {
    const SampleData data = sample_data();
    std::vector<std::uint64_t> digests;
    for (raft::NodeId id = 1; id <= 3; ++id) {
        const auto files = data.files->clone();
        REQUIRE(restore(*files, id) == "");
        files->crash(MemoryFileSystem::Crash::drop, 1);  // all of it is durable
        std::string refusal;
        VerifiedState verified;
        const auto report = verify_data_directory(*files, target, refusal, &verified);
        REQUIRE(report.has_value());
        REQUIRE_MESSAGE(report->is_sound(), report->damage.front().what);
        REQUIRE(report->fits);
        CHECK(report->identity->node_id == id);
        CHECK(report->identity->has_log);
        CHECK(report->identity->founders.size() == 3);
        CHECK(report->hard_state == raft::HardState{4, 0});
        CHECK(verified.last == raft::LogPosition{5 + index_leap, 4, 5004});
        CHECK(verified.state.applied_index() == 5 + index_leap);
        CHECK(verified.state.time_ns() == 5004);
        CHECK(verified.state.size() == 4);
        CHECK(verified.state.get("name/1")->index == 5);
        CHECK(verified.configuration.voters == std::vector<raft::NodeId>{1, 2, 3});
        CHECK(verified.configuration.detail(3)->address == "10.0.0.3:70");
        CHECK(verified.configuration.removed.empty());
        digests.push_back(report->digest);
    }
    CHECK(digests[0] == digests[1]);
    CHECK(digests[1] == digests[2]);
}

TEST_CASE("restore: the cluster's id depends on the file and the list, and on nothing else") {
    raft::SnapshotMeta meta;
    meta.cluster_id = 77;
    meta.last_included_index = 5;
    meta.last_included_term = 4;
    const raft::SnapshotContent content{1000, 17};
    const std::uint64_t id = restored_cluster_id(founders_of(three), meta, content);
    // For ever: it is in data directories.
    CHECK(id == 0xa94d665e41b402e4U);
    CHECK(id != cluster_id_of(founders_of(three)));
    CHECK(id == restored_cluster_id(founders_of("3=10.0.0.3:70,2=10.0.0.2:70,1=10.0.0.1:70"), meta,
                                    content));
    CHECK(id != restored_cluster_id(founders_of("1=10.0.0.1:70"), meta, content));
    CHECK(id != restored_cluster_id(founders_of(three), meta, {1000, 18}));
    CHECK(id != restored_cluster_id(founders_of(three), meta, {1001, 17}));
    for (auto* const number :
         {&meta.cluster_id, &meta.last_included_index, &meta.last_included_term}) {
        ++*number;
        CHECK(id != restored_cluster_id(founders_of(three), meta, content));
        --*number;
    }
}

TEST_CASE("restore: with the power lost at any operation no start takes what there is for data") {
    const SampleData data = sample_data();
    const auto trial = data.files->clone();
    const std::uint64_t first = trial->operations() + 1;
    REQUIRE(restore(*trial, 1) == "");
    for (std::uint64_t operation = first; operation <= trial->operations(); ++operation) {
        for (const auto kind : {MemoryFileSystem::Crash::drop, MemoryFileSystem::Crash::keep,
                                MemoryFileSystem::Crash::tear}) {
            const auto files = data.files->clone();
            files->power_off_at(operation);
            REQUIRE_FALSE(restore(*files, 1).empty());
            files->crash(kind, operation);
            std::optional<raft::Identity> identity;
            const std::string error = raft::read_identity(*files, target, identity);
            if (identity) {
                // The last step had come so far: all of it is there.
                std::string refusal;
                const auto report = verify_data_directory(*files, target, refusal);
                REQUIRE(report->is_sound());
                REQUIRE(report->last_index == 5 + index_leap);
            } else {
                // Nothing at all, or something that a start refuses.
                REQUIRE((!error.empty() || !*files->exists(target + "/snapshot")));
            }
        }
    }
}

}  // namespace
}  // namespace cairn::server
