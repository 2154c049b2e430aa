#include "raft/disk/shared_lock.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

#include "raft/disk/data_directory.h"

namespace cairn::raft {

TEST_CASE("shared lock: excludes a node, not others that look, and makes nothing") {
    namespace fs = std::filesystem;
    const fs::path root =
        fs::temp_directory_path() / ("cairn-lock-test-" + std::to_string(::getpid()));
    fs::create_directories(root / "bare");
    const std::string data = (root / "data").string();
    std::string error;
    {
        auto node = DataDirectory::open(posix_file_system(), data, error);
        REQUIRE_MESSAGE(node != nullptr, error);
        REQUIRE(node->initialise({.cluster_id = 1, .node_id = 1}) == "");
        CHECK(SharedLock::acquire(data, error) == nullptr);
        CHECK(error == data + ": a running node is using this data directory");
        node.reset();
        const auto first = SharedLock::acquire(data, error);
        const auto second = SharedLock::acquire(data, error);
        REQUIRE(first != nullptr);
        REQUIRE(second != nullptr);
        CHECK(DataDirectory::open(posix_file_system(), data, error) == nullptr);
    }
    CHECK(DataDirectory::open(posix_file_system(), data, error) != nullptr);
    CHECK(SharedLock::acquire((root / "bare").string(), error) != nullptr);
    CHECK(fs::is_empty(root / "bare"));
    CHECK(SharedLock::acquire((root / "data" / "lock").string(), error) == nullptr);
    fs::remove_all(root);
}

}  // namespace cairn::raft
