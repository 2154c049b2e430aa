// Checks a data directory that no node uses: is all of it what was written, and does it fit
// together?
//
// On one thread, any. Reads everything and changes nothing: no torn tail is cut, no file removed.
// It holds what a node holds after its start, the log and the state, in memory. What is found comes
// as a value; verify_report.h makes text and JSON of it. That nobody uses the directory is the
// caller's affair (raft/disk/shared_lock.h).
//
// Damage is everything that a node would refuse to start with, and besides what a node doesn't look
// at: older snapshots, terms and stamps that go back, a vote that changes within a term. What a
// crash can leave behind isn't damage. The last append of the newest segment is the one thing about
// which nobody can tell: damaged, it can't be told from one that a crash has cut short.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fsm/state_machine.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "raft/disk/data_directory.h"
#include "raft/disk/file_system.h"
#include "raft/disk/wal_reader.h"

namespace cairn::server {

struct Damage {
    std::string file;
    std::optional<std::uint64_t> offset;  // when it is at a certain place
    std::string what;                     // one line
};

struct SegmentReport {
    std::string file;
    std::uint64_t epoch = 0;
    std::uint64_t appends = 0;
    std::uint64_t records = 0;
    raft::Index first_index = 0;  // smallest and largest of the entries in it; 0: there is none
    raft::Index last_index = 0;
    std::uint64_t end_offset = 0;  // behind the last complete append
    bool newest = false;
    raft::WalTail tail = raft::WalTail::blank;
};

struct SnapshotReport {
    std::string file;
    raft::LogPosition last_included;
    std::uint64_t bytes = 0;  // of its content
    std::uint64_t values = 0;
    std::uint64_t digest = 0;  // of the state: the same on every node at that index
};

struct VerifyReport {
    std::string directory;
    std::optional<raft::Identity> identity;  // none: it is damaged
    std::vector<SegmentReport> segments;     // those that can be read, oldest first
    std::uint64_t reserves = 0;
    std::vector<SnapshotReport> snapshots;  // the sound ones, oldest first

    raft::HardState hard_state;
    raft::Index first_index = 0;  // of the log; 0: it holds no entry
    raft::Index last_index = 0;   // of log and snapshot
    raft::Index snapshot_index = 0;
    bool log_replaced = false;  // the log doesn't go on from the snapshot; a start gives it up
    // Whether log and newest snapshot were held against each other, and the log applied.
    bool fits = false;
    // Of the state that all of the log makes, its end included, which may not be committed.
    std::uint64_t values = 0;
    std::uint64_t digest = 0;

    std::vector<Damage> damage;
    std::vector<std::string> notes;  // harmless things, a line each

    bool is_sound() const { return damage.empty(); }
};

// What log and newest snapshot make together: what a node would start with.
struct VerifiedState {
    fsm::StateMachine state;
    raft::LogPosition last;  // of the log; the snapshot's when nothing follows it
    // In force there; empty when neither log nor snapshot tells of one.
    raft::Configuration configuration;
};

// Nothing, and `refusal` in one line, when there is no such directory or it isn't a data directory.
// `verified` is filled when report.fits.
std::optional<VerifyReport> verify_data_directory(raft::FileSystem& files,
                                                  const std::string& directory,
                                                  std::string& refusal,
                                                  VerifiedState* verified = nullptr);

// Empty, or why this isn't a data directory at all, in one line.
std::string refuse_directory(raft::FileSystem& files, const std::string& directory);

}  // namespace cairn::server
