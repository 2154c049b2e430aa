// What the tests of snapshots share: metas, contents, whole snapshots made in one call.
//
// Header only; one thread.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "raft/base/crc32c.h"
#include "raft/disk/snapshot_store.h"
#include "tests/support/memory_file_system.h"

namespace cairn::raft::test {

inline const std::string snapshot_directory = "/data/snapshot";

inline SnapshotOptions small_snapshot_options() {
    return {.cluster_id = 77,
            .group = 5,
            .salt = 4711,
            .chunk_bytes = 16,
            .sync_interval_bytes = 64,
            .sync = true};
}

inline SnapshotMeta snapshot_meta(Index index, Term term = 3) {
    SnapshotMeta meta;
    meta.cluster_id = 77;
    meta.group = 5;
    meta.last_included_index = index;
    meta.last_included_term = term;
    meta.last_included_stamp_ns = -1'000'000'007;
    meta.configuration = {.voters = {1, 2, 3}, .outgoing_voters = {2, 3, 4}, .learners = {9}};
    meta.configuration.details = {{1, "a.example:7001", 11, false},
                                  {2, "[::1]:7002", 12, false},
                                  {4, "", 0, false},
                                  {9, "10.0.0.9:7009", 19, true}};
    meta.configuration.removed = {5, 6};
    return meta;
}

// Differs from place to place and from seed to seed.
inline std::string snapshot_bytes(std::size_t size, std::uint64_t seed = 1) {
    std::string bytes;
    std::uint64_t state = seed;
    while (bytes.size() < size) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        bytes += static_cast<char>(state >> 56);
    }
    return bytes;
}

inline SnapshotContent content_of(const std::string& bytes) {
    return {.bytes = bytes.size(), .crc = crc32c(bytes)};
}

inline std::string snapshot_path(Index index, Term term = 3) {
    return snapshot_directory + "/" + snapshot_name({.index = index, .term = term});
}

inline std::unique_ptr<SnapshotStore> open_snapshots(
    FileSystem& files, const SnapshotOptions& options = small_snapshot_options()) {
    SnapshotFailure failure;
    std::unique_ptr<SnapshotStore> store =
        SnapshotStore::open(files, snapshot_directory, options, failure);
    REQUIRE_MESSAGE(store != nullptr, failure.detail);
    return store;
}

inline IoResult<void> write_snapshot(SnapshotStore& store, const SnapshotMeta& meta,
                                     const std::string& bytes) {
    SnapshotWriter& writer = store.writer();
    if (const IoResult<void> created = writer.create(meta); !created) {
        return created;
    }
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
        if (const IoResult<void> appended = writer.append(std::string_view(bytes).substr(at, 7));
            !appended) {
            return appended;
        }
    }
    return writer.commit();
}

// All of the newest one, verified; nothing when there is none.
inline std::optional<std::string> latest_bytes(const SnapshotStore& store) {
    if (store.latest() == nullptr) {
        return std::nullopt;
    }
    SnapshotFailure failure;
    const std::unique_ptr<SnapshotReader> reader = store.open_latest(failure);
    REQUIRE_MESSAGE(reader != nullptr, failure.detail);
    CHECK(reader->meta() == store.latest()->meta);
    CHECK(reader->content() == store.latest()->content);
    REQUIRE(reader->verify().has_value());
    std::string bytes;
    REQUIRE(reader->read(0, reader->content_bytes(), bytes).has_value());
    CHECK(content_of(bytes) == reader->content());
    return bytes;
}

inline IoResult<void> receive_snapshot(SnapshotStore& store, const SnapshotMeta& meta,
                                       const std::string& bytes) {
    SnapshotReceiver& receiver = store.receiver();
    IoResult<std::uint64_t> next = receiver.begin(meta, content_of(bytes));
    while (next && *next < bytes.size()) {
        next = receiver.accept(*next, std::string_view(bytes).substr(*next, 21));
    }
    if (!next) {
        return next.error();
    }
    return receiver.finish();
}

inline Index latest_index(const SnapshotStore& store) {
    return store.latest() == nullptr ? 0 : store.latest()->meta.last_included_index;
}

// Names of the store's files that begin so.
inline std::size_t count_files(const MemoryFileSystem& files, const std::string& prefix) {
    const std::vector<std::string> paths = files.paths();
    return static_cast<std::size_t>(
        std::count_if(paths.begin(), paths.end(), [&](const std::string& path) {
            return path.starts_with(snapshot_directory + "/" + prefix);
        }));
}

}  // namespace cairn::raft::test
