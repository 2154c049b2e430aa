#include "raft/disk/data_directory.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/memory_file_system.h"

namespace cairn::raft {
namespace {

Identity sample_identity() {
    return {.cluster_id = 0xfedcba9876543210U,
            .node_id = 2,
            .disk_id = 222,
            .replaced_disk_id = 111,
            .joined = true,
            .founders = {{1, "a.example:7001"}, {2, "[::1]:7002"}, {3, "10.0.0.3:7003"}},
            .members = {{2, "[::1]:7002"}, {4, "d.example:7004"}}};
}

// A place on the real disk that goes away again.
class Scratch {
 public:
    Scratch() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "cairn-data-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root_ = pattern;
    }
    ~Scratch() { std::filesystem::remove_all(root_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    std::string data() const { return (root_ / "some" / "data").string(); }

 private:
    std::filesystem::path root_;
};

std::unique_ptr<DataDirectory> open_at(const std::string& path, std::string& error) {
    return DataDirectory::open(posix_file_system(), path, error);
}

std::string identity_bytes(const std::string& data) {
    std::ifstream stream(data + "/identity", std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void set_identity_bytes(const std::string& data, const std::string& bytes) {
    std::ofstream(data + "/identity", std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("identity: text that survives, and no flipped bit or missing byte passes") {
    std::string bytes = encode_identity(sample_identity());
    std::string error;
    CHECK(bytes.find("founder 2 [::1]:7002\n") != std::string::npos);
    REQUIRE(decode_identity(bytes, error) == sample_identity());
    REQUIRE(decode_identity(encode_identity({.cluster_id = 1, .node_id = 1}), error).has_value());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE_FALSE(decode_identity(bytes.substr(0, size), error).has_value());
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        const char kept = bytes[bit / 8];
        bytes[bit / 8] = static_cast<char>(static_cast<unsigned char>(kept) ^ (1U << (bit % 8)));
        REQUIRE_FALSE(decode_identity(bytes, error).has_value());
        REQUIRE_FALSE(error.empty());
        bytes[bit / 8] = kept;
    }
    CHECK_FALSE(decode_identity(bytes + "\n", error).has_value());
}

TEST_CASE("data directory: fresh, initialised, opened again") {
    const Scratch scratch;
    std::string error;
    {
        const auto directory = open_at(scratch.data(), error);
        REQUIRE_MESSAGE(directory != nullptr, error);
        CHECK_FALSE(directory->identity().has_value());
        struct stat status{};
        REQUIRE(::stat(scratch.data().c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0700);
        CHECK(directory->initialise(sample_identity()) == "");
        CHECK(directory->identity() == sample_identity());
        CHECK(directory->initialise(sample_identity()).find("already belongs") !=
              std::string::npos);
        CHECK(directory->wal_directory() == scratch.data() + "/wal");
    }
    const auto directory = open_at(scratch.data(), error);
    REQUIRE_MESSAGE(directory != nullptr, error);
    CHECK(directory->identity() == sample_identity());
}

TEST_CASE("data directory: only one may use it") {
    const Scratch scratch;
    std::string error;
    auto first = open_at(scratch.data(), error);
    REQUIRE(first != nullptr);
    CHECK(open_at(scratch.data(), error) == nullptr);
    CHECK(error == scratch.data() + ": another process is using this data directory");
    first.reset();
    CHECK(open_at(scratch.data(), error) != nullptr);
}

TEST_CASE("data directory: nothing is left of one that became nobody's") {
    namespace fs = std::filesystem;
    const Scratch scratch;
    const fs::path data = scratch.data();
    const fs::path parent = data.parent_path();
    std::string error;
    SUBCASE("also not above it") {
        CHECK(open_at(data.string() + "//", error) != nullptr);
        CHECK_FALSE(fs::exists(parent));
    }
    SUBCASE("but what was there before") {
        fs::create_directory(parent);
        CHECK(open_at(data, error) != nullptr);
        CHECK(fs::is_empty(parent));
        fs::create_directory(data);
        CHECK(open_at(data, error) != nullptr);
        CHECK(fs::is_empty(data));
    }
    SUBCASE("but what was put there") {
        auto directory = open_at(data, error);
        REQUIRE(directory != nullptr);
        std::ofstream(data / "something") << "x";
        directory.reset();
        CHECK(fs::exists(data / "something"));
        CHECK(fs::exists(data / "lock"));
    }
    SUBCASE("but what another process has") {
        const auto first = open_at(data, error);
        REQUIRE(first != nullptr);
        CHECK(open_at(data, error) == nullptr);
        CHECK(fs::exists(data / "lock"));
    }
    SUBCASE("somebody's stays") {
        CHECK(open_at(data, error)->initialise(sample_identity()) == "");
        CHECK(fs::exists(data / "identity"));
        CHECK(fs::exists(data / "lock"));
    }
}

TEST_CASE("data directory: a damaged or missing identity is never a reason to start afresh") {
    const Scratch scratch;
    std::string error;
    REQUIRE(open_at(scratch.data(), error)->initialise(sample_identity()) == "");
    std::filesystem::create_directory(scratch.data() + "/wal");
    const std::string path = scratch.data() + "/identity";
    SUBCASE("empty") {
        set_identity_bytes(scratch.data(), "");
    }
    SUBCASE("changed") {
        std::string bytes = identity_bytes(scratch.data());
        bytes[20] = 'X';
        set_identity_bytes(scratch.data(), bytes);
    }
    SUBCASE("missing, though there is a log") {
        std::filesystem::remove(path);
    }
    CHECK(open_at(scratch.data(), error) == nullptr);
    CHECK(error.find(path + ": ") == 0);
    CHECK(error.find('\n') == std::string::npos);
}

TEST_CASE("data directory: members that change are written down") {
    const Scratch scratch;
    std::string error;
    REQUIRE(open_at(scratch.data(), error)->initialise(sample_identity()) == "");
    REQUIRE(open_at(scratch.data(), error)->note_members({{4, "d:1"}, {5, "e:1"}}) == "");
    const auto directory = open_at(scratch.data(), error);
    REQUIRE(directory != nullptr);
    Identity expected = sample_identity();
    expected.members = {{4, "d:1"}, {5, "e:1"}};
    CHECK(directory->identity() == expected);
    CHECK(directory->note_members({{4, "d 1"}}) != "");
    CHECK(directory->identity() == expected);
}

TEST_CASE("data directory: damaged data is put aside, and the node is another one from then on") {
    const Scratch scratch;
    std::string error;
    const auto directory = open_at(scratch.data(), error);
    Identity founder = sample_identity();
    founder.joined = false;
    founder.replaced_disk_id = 0;
    REQUIRE(directory->initialise(founder) == "");
    for (std::uint64_t time = 1; time <= 3; ++time) {
        std::filesystem::create_directory(scratch.data() + "/wal");
        std::ofstream(scratch.data() + "/wal/segment") << time;
        REQUIRE(directory->start_afresh(1000 + time) == "");
        const std::string aside = scratch.data() + "/damaged-" + std::to_string(time);
        CHECK(std::filesystem::exists(aside + "/wal/segment"));
        CHECK_FALSE(std::filesystem::exists(scratch.data() + "/wal"));
        CHECK(directory->identity()->disk_id == 1000 + time);
        CHECK(directory->identity()->replaced_disk_id == founder.disk_id);
        CHECK(directory->identity()->joined);
        CHECK(directory->identity()->members == founder.members);
    }
    CHECK(directory->start_afresh(2000).find("look after the disk") != std::string::npos);
    CHECK(directory->identity()->disk_id == 1003);
}

TEST_CASE("data directory: what can't be an identity is refused") {
    const Scratch scratch;
    std::string error;
    const auto directory = open_at(scratch.data(), error);
    REQUIRE(directory != nullptr);
    Identity identity = sample_identity();
    SUBCASE("nobody") {
        identity.node_id = 0;
    }
    SUBCASE("member nobody") {
        identity.founders[0].first = 0;
    }
    SUBCASE("an address of several lines") {
        identity.founders[0].second = "a:1\nb";
    }
    SUBCASE("an empty address") {
        identity.founders[0].second = "";
    }
    CHECK(directory->initialise(identity) != "");
    CHECK_FALSE(directory->identity().has_value());
    CHECK(identity_bytes(scratch.data()).empty());
}

TEST_CASE("write_file_atomically: whatever the crash, the old content or the new, whole") {
    using test::MemoryFileSystem;
    for (std::uint64_t operation = 1; operation <= 6; ++operation) {
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
            MemoryFileSystem files;
            files.set_content("/data/identity", "old");
            files.set_content("/data/identity.tmp", "left over");
            const std::string fresh(3000, 'n');
            files.power_off_at(operation);
            const bool written =
                write_file_atomically(files, "/data", "identity", fresh).has_value();
            files.crash(seed == 0   ? MemoryFileSystem::Crash::drop
                        : seed == 1 ? MemoryFileSystem::Crash::keep
                                    : MemoryFileSystem::Crash::tear,
                        seed);
            const std::string content = files.content("/data/identity");
            CHECK_FALSE(written);
            CHECK((content == fresh || content == "old"));
            REQUIRE(write_file_atomically(files, "/data", "identity", fresh).has_value());
            files.crash(MemoryFileSystem::Crash::drop, 1);
            CHECK(files.content("/data/identity") == fresh);
        }
    }
}

}  // namespace cairn::raft
