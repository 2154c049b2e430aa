// What a node makes of its data directory at start, on the real disk.
#include "server/program/node_data.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "fsm/types.h"
#include "raft/disk/wal_format.h"
#include "tests/support/snapshot_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
namespace fs = std::filesystem;

InitialCluster cluster(const std::string& text) {
    ParseResult<InitialCluster> members = parse_initial_cluster(text);
    REQUIRE(members.has_value());
    return *members;
}

// A node's directory, on the real disk for the time of a test.
struct Rig {
    Rig() {
        std::string pattern = (fs::temp_directory_path() / "cairn-node-data-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root = pattern;
        options.id = 2;
        options.data_dir = (root / "data").string();
        options.raft = {"b.example", 7002};
        options.unsafe_no_fsync = true;
        options.initial_cluster = cluster("1=a.example:7001,2=b.example:7002,3=c.example:7003");
    }
    ~Rig() { fs::remove_all(root); }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    fs::path data() const { return options.data_dir; }
    // Opens; what was found is kept until the next time.
    std::optional<StartRefusal> open() {
        node.reset();
        node = std::make_unique<NodeData>();
        if (std::optional<StartRefusal> refusal = node->claim(options)) {
            return refusal;
        }
        return node->open(options);
    }
    void must_open() {
        const std::optional<StartRefusal> refusal = open();
        REQUIRE_MESSAGE(!refusal.has_value(), refusal->reason);
    }
    void close() { node.reset(); }
    // A log of some entries.
    void write_log(int count, raft::EntryKind kind = raft::EntryKind::command) {
        must_open();
        RaftThread::Data taken = node->take_data();
        for (int i = 1; i <= count; ++i) {
            raft::Entry entry;
            entry.index = static_cast<raft::Index>(i);
            entry.term = 3;
            entry.stamp_ns = i;
            entry.kind = kind;
            entry.payload = raft::Payload::copy_of("payload-" + std::to_string(i) + "-" +
                                                   std::string(200, 'x'));
            const std::vector<raft::Entry> entries{entry};
            const raft::WalAppend part{value_group, raft::HardState{3, 1}, std::nullopt, entries};
            REQUIRE(taken.wal->append({&part, 1}).has_value());
        }
        close();
    }
    void write_snapshot(raft::Index index, const std::string& bytes) {
        must_open();
        RaftThread::Data taken = node->take_data();
        raft::SnapshotMeta meta = raft::test::snapshot_meta(index);
        meta.cluster_id = node->identity().cluster_id;
        meta.group = value_group;
        REQUIRE(raft::test::write_snapshot(*taken.snapshots, meta, bytes).has_value());
        close();
    }
    static std::string content(const fs::path& path) {
        std::ifstream stream(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    // Flips a bit of what follows `marker` in some file of `directory`.
    void damage(const std::string& directory, const std::string& marker) {
        for (const fs::directory_entry& file : fs::directory_iterator(data() / directory)) {
            std::string bytes = content(file.path());
            const std::size_t at = bytes.find(marker);
            if (at != std::string::npos) {
                bytes[at + marker.size()] ^= 1;
                std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << bytes;
                return;
            }
        }
        FAIL("no such marker");
    }
    const raft::Identity& identity() const { return node->identity(); }
    // The node came up empty and without a voice, and what was there is aside.
    void check_fresh(std::uint64_t lost_disk_id) {
        CHECK(identity().joined);
        CHECK(identity().has_log);
        CHECK(identity().replaced_disk_id == lost_disk_id);
        CHECK(identity().disk_id != lost_disk_id);
        CHECK(fs::exists(data() / "damaged-1"));
        const RaftThread::Data taken = node->take_data();
        CHECK(taken.log.start.entries.empty());
        CHECK(taken.log.start.base.index == 0);
        CHECK(taken.log.start.hard_state.term == 0);
        CHECK(taken.log.start.configuration.members().empty());
        CHECK(taken.state.applied_index() == 0);
    }

    fs::path root;
    ServeOptions options;
    std::unique_ptr<NodeData> node;
};

}  // namespace

TEST_CASE("node data: a founder begins with the founders' configuration") {
    Rig rig;
    rig.must_open();
    CHECK(rig.identity().node_id == 2);
    CHECK(rig.identity().cluster_id == cluster_id_of(*rig.options.initial_cluster));
    CHECK(rig.identity().disk_id != 0);
    CHECK(rig.identity().replaced_disk_id == 0);
    CHECK_FALSE(rig.identity().joined);
    CHECK(rig.identity().has_log);
    CHECK(rig.identity().members == rig.identity().founders);
    const raft::Configuration configuration = rig.node->take_data().log.start.configuration;
    CHECK(configuration.voters == std::vector<raft::NodeId>{1, 2, 3});
    CHECK(raft::validate(configuration).empty());
    CHECK(configuration.detail(3)->address == "c.example:7003");
    CHECK(configuration.detail(3)->disk_id == 0);
    const std::vector<raft::PeerAddress> peers = rig.node->peers();
    REQUIRE(peers.size() == 2);
    CHECK(peers[0].id == 1);
    CHECK(peers[1].host == "c.example");
    CHECK(peers[1].port == 7003);
    const std::uint64_t disk_id = rig.identity().disk_id;
    rig.must_open();
    CHECK(rig.identity().disk_id == disk_id);  // drawn once
}

TEST_CASE("node data: a node alone founds a cluster of itself") {
    Rig rig;
    rig.options.initial_cluster.reset();
    rig.must_open();
    CHECK(rig.node->peers().empty());
    CHECK(rig.node->take_data().log.start.configuration.voters == std::vector<raft::NodeId>{2});
}

TEST_CASE("node data: where a node listens, and what others are told") {
    Rig rig;
    rig.must_open();
    const Address given{"0.0.0.0", 9000};
    SUBCASE("the founders' list knows") {
        rig.options.raft = {"127.0.0.1", 7080};  // the default
        CHECK(rig.node->listen_address(rig.options).text() == "b.example:7002");
        CHECK(rig.node->advertised_address(rig.options).text() == "b.example:7002");
    }
    SUBCASE("--raft says where to listen, not what others are told") {
        rig.options.raft = given;
        rig.options.raft_given = true;
        CHECK(rig.node->listen_address(rig.options) == given);
        CHECK(rig.node->advertised_address(rig.options).text() == "b.example:7002");
    }
    SUBCASE("the members, as last heard of, know better") {
        REQUIRE(rig.node->directory().note_members({{1, "a:1"}, {2, "moved:2"}}) == "");
        CHECK(rig.node->listen_address(rig.options).text() == "moved:2");
        CHECK(rig.node->advertised_address(rig.options).text() == "moved:2");
        REQUIRE(rig.node->peers().size() == 1);
        CHECK(rig.node->peers()[0].host == "a");
    }
    SUBCASE("one that was forgotten listens where it was founded") {
        REQUIRE(rig.node->directory().note_members({{1, "a:1"}}) == "");
        CHECK(rig.node->listen_address(rig.options).text() == "b.example:7002");
    }
}

TEST_CASE("node data: another node's directory, another cluster's, another list") {
    Rig rig;
    rig.must_open();
    const raft::Identity before = rig.identity();
    SUBCASE("another node") {
        rig.options.id = 3;
        const auto refusal = rig.open();
        REQUIRE(refusal.has_value());
        CHECK(refusal->exit_status == 2);
        CHECK(refusal->reason ==
              "data directory " + rig.options.data_dir + " belongs to node 2, not to node 3");
    }
    SUBCASE("another cluster") {
        rig.options.initial_cluster = cluster("2=x:1,7=y:1,8=z:1");
        const auto refusal = rig.open();
        REQUIRE(refusal.has_value());
        CHECK(refusal->exit_status == 2);
        CHECK(refusal->reason.find("belongs to another cluster: 1=a.example") != std::string::npos);
    }
    SUBCASE("another list of the same cluster: what is stored counts") {
        rig.options.initial_cluster = cluster("2=b.example:7002,1=a.example:7001");
        rig.must_open();
        CHECK(rig.identity() == before);
    }
    SUBCASE("--join on a node that is somebody already asks nobody") {
        rig.options.initial_cluster.reset();
        rig.options.join = Address{"127.0.0.1", 1};  // where nobody is
        rig.must_open();
        CHECK(rig.identity() == before);
    }
    SUBCASE("another process has it") {
        NodeData second;
        const auto refusal = second.claim(rig.options);
        REQUIRE(refusal.has_value());
        CHECK(refusal->exit_status == 1);
        CHECK(refusal->reason.find("another process") != std::string::npos);
    }
}

TEST_CASE("node data: a node that joined knows its members, and no configuration") {
    Rig rig;
    rig.options.id = 4;
    raft::Identity joined{.cluster_id = 99, .node_id = 4, .disk_id = 5, .joined = true};
    joined.members = {{1, "a:1"}, {4, "d:4"}};
    std::string error;
    {
        const auto directory =
            raft::DataDirectory::open(raft::posix_file_system(), rig.options.data_dir, error);
        REQUIRE(directory != nullptr);
        REQUIRE(directory->initialise(joined) == "");
    }
    rig.options.initial_cluster.reset();
    rig.must_open();
    CHECK(rig.node->take_data().log.start.configuration.members().empty());
    CHECK(rig.node->peers().size() == 1);
    CHECK(rig.node->advertised_address(rig.options).text() == "d:4");
    rig.close();

    rig.options.initial_cluster = cluster("1=a:1,4=d:4");  // of no importance
    rig.must_open();
    CHECK(rig.identity().cluster_id == 99);
    CHECK(rig.node->take_data().log.start.configuration.members().empty());
}

TEST_CASE("node data: what can't be trusted is put aside where others have it") {
    Rig rig;
    rig.write_log(10);
    rig.must_open();
    const std::uint64_t disk_id = rig.identity().disk_id;
    CHECK(rig.node->take_data().log.start.entries.size() == 10);
    rig.close();
    SUBCASE("a damaged log") {
        rig.damage("wal", "payload-3-");
        rig.must_open();
        rig.check_fresh(disk_id);
        CHECK(fs::exists(rig.data() / "damaged-1" / "wal"));
    }
    SUBCASE("a log that is gone") {
        fs::remove_all(rig.data() / "wal");
        rig.must_open();
        rig.check_fresh(disk_id);
    }
    SUBCASE("a log of which only the segments made ahead are left") {
        fs::rename(rig.data() / "wal" / raft::wal_segment_name(1),
                   rig.data() / "wal" / raft::wal_reserve_name(99));
        rig.must_open();
        rig.check_fresh(disk_id);
    }
    SUBCASE("a log whose only segment the disk gives back as zeros") {
        const fs::path segment = rig.data() / "wal" / raft::wal_segment_name(1);
        const std::size_t size = fs::file_size(segment);
        fs::resize_file(segment, 0);
        fs::resize_file(segment, size);
        rig.must_open();
        rig.check_fresh(disk_id);
    }
    SUBCASE("an empty directory in the log's place") {
        fs::remove_all(rig.data() / "wal");
        fs::create_directory(rig.data() / "wal");
        rig.must_open();
        rig.check_fresh(disk_id);
    }
    SUBCASE("a damaged snapshot") {
        rig.write_snapshot(7, "snapshot-" + std::string(1000, 's'));
        rig.damage("snapshot", "snapshot-");
        rig.must_open();
        rig.check_fresh(disk_id);
        CHECK(fs::exists(rig.data() / "damaged-1" / "snapshot"));
        CHECK(fs::exists(rig.data() / "damaged-1" / "wal"));
    }
    SUBCASE("a snapshot that is whole, and of no state") {
        rig.write_snapshot(7, std::string(1000, 's'));
        rig.must_open();
        rig.check_fresh(disk_id);
    }
    SUBCASE("twice, the first time interrupted: what is replaced is what the cluster knows") {
        rig.damage("wal", "payload-3-");
        rig.must_open();
        const std::uint64_t second = rig.identity().disk_id;
        rig.close();
        fs::remove_all(rig.data() / "wal");
        fs::rename(rig.data() / "damaged-1" / "wal", rig.data() / "wal");
        rig.must_open();
        rig.check_fresh(disk_id);
        CHECK(rig.identity().disk_id != second);
        CHECK(fs::exists(rig.data() / "damaged-2" / "wal"));
    }
    // And it goes on from there.
    const std::uint64_t fresh = rig.identity().disk_id;
    CHECK(rig.node->peers().size() == 2);
    rig.must_open();
    CHECK(rig.identity().disk_id == fresh);
    CHECK(rig.node->take_data().log.start.configuration.members().empty());
}

TEST_CASE("node data: what can't be trusted stays where nobody else has it") {
    Rig rig;
    rig.options.initial_cluster.reset();
    rig.write_log(10);
    const std::string identity = Rig::content(rig.data() / "identity");
    std::string expected;
    SUBCASE("a damaged log") {
        rig.damage("wal", "payload-3-");
    }
    SUBCASE("a log that is gone") {
        fs::remove_all(rig.data() / "wal");
        expected = "the log is gone";
    }
    SUBCASE("a damaged snapshot") {
        rig.write_snapshot(7, "snapshot-" + std::string(1000, 's'));
        rig.damage("snapshot", "snapshot-");
    }
    const auto refusal = rig.open();
    REQUIRE(refusal.has_value());
    CHECK(refusal->exit_status == 1);
    CHECK(refusal->reason.find(rig.options.data_dir) != std::string::npos);
    CHECK(refusal->reason.find(expected) != std::string::npos);
    CHECK_FALSE(fs::exists(rig.data() / "damaged-1"));
    CHECK(Rig::content(rig.data() / "identity") == identity);
}

TEST_CASE("node data: one of two isn't put aside: the other is no majority to take it in again") {
    Rig rig;
    rig.options.initial_cluster = cluster("1=a:1,2=b:2");
    rig.write_log(10);
    const std::string identity = Rig::content(rig.data() / "identity");
    rig.damage("wal", "payload-3-");
    const auto refusal = rig.open();
    REQUIRE(refusal.has_value());
    CHECK(refusal->exit_status == 1);
    CHECK_FALSE(fs::exists(rig.data() / "damaged-1"));
    CHECK(Rig::content(rig.data() / "identity") == identity);
}

TEST_CASE("node data: the largest value may have any size") {
    Rig rig;
    for (const std::uint64_t bytes : {1, 16'777'217, 20'000'001, 67'108'863, 67'108'864}) {
        CAPTURE(bytes);
        fs::remove_all(rig.data());
        rig.options.max_value_bytes = bytes;
        rig.must_open();
    }
}

// Another node may allow them, or this one did before.
TEST_CASE("node data: the log takes values that are larger than this node allows") {
    Rig rig;
    rig.must_open();
    raft::Entry entry{.index = 1, .term = 1, .stamp_ns = 1, .kind = raft::EntryKind::command};
    entry.payload = raft::Payload::taken_from(std::string(fsm::value_bytes_max + 1000, 'x'));
    const raft::WalAppend part{value_group, raft::HardState{1, 1}, std::nullopt, {&entry, 1}};
    {
        RaftThread::Data taken = rig.node->take_data();
        REQUIRE(taken.wal->append({&part, 1}).has_value());
    }
    rig.must_open();
    CHECK(rig.node->take_data().log.start.entries.back().payload.view() == entry.payload.view());
}

TEST_CASE("node data: what belongs to others is refused, never put aside") {
    Rig rig;
    rig.write_log(3);
    Rig other;
    other.options.initial_cluster = cluster("2=b:1,8=h:1");
    other.write_log(3);
    fs::remove_all(rig.data() / "wal");
    fs::copy(other.data() / "wal", rig.data() / "wal", fs::copy_options::recursive);
    const auto refusal = rig.open();
    REQUIRE(refusal.has_value());
    CHECK(refusal->exit_status == 2);
    CHECK_FALSE(fs::exists(rig.data() / "damaged-1"));
    CHECK(fs::exists(rig.data() / "wal"));
}

TEST_CASE("node data: what only a later version can read is refused, never put aside") {
    Rig rig;
    rig.write_log(1, raft::EntryKind::configuration);
    const auto refusal = rig.open();
    REQUIRE(refusal.has_value());
    CHECK(refusal->exit_status == 1);
    CHECK(refusal->reason.find("this program doesn't know") != std::string::npos);
    CHECK_FALSE(fs::exists(rig.data() / "damaged-1"));
}
