// What the cluster has agreed on, as the observer saw it: the one log of committed entries, applied
// to a state machine of its own, with every value that every name ever had, every event and every
// output. What nodes and clients see is held against it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fsm/history.h"
#include "fsm/state_machine.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "tests/checker/idempotency_check.h"
#include "tests/sim/trace.h"

namespace cairn::sim {

std::uint64_t digest_of(const fsm::Event& event);
// Of what one entry did: its result, bytes and all, and its events.
std::uint64_t digest_of(const fsm::Output& output, std::span<const fsm::Event> events);

class Reference {
 public:
    struct Committed {
        raft::Term term = 0;
        std::uint64_t digest = 0;
        std::uint64_t payload_hash = 0;
        std::int64_t stamp_ns = 0;
        std::int64_t seen_ns = 0;  // virtual time
        fsm::Output output;
        std::uint64_t outcome = 0;  // digest of what it did
        // Of whoever was first to know it committed; it was committed in this term, or before.
        raft::Term seen_term = 0;
    };

    explicit Reference(Trace& trace) : trace_(trace) {}

    raft::Index last_index() const { return log_.size(); }
    const Committed& at(raft::Index index) const { return log_.at(index - 1); }
    // The entry after last_index() is committed.
    void append(const raft::Entry& entry, std::int64_t now_ns, raft::Term seen_term);

    // Whether the digest of the whole state is taken after this entry, here and on every node:
    // after each of the first ones, where it costs little, then after some.
    static bool is_digest_due(raft::Index index) { return index <= 128 || index % 16 == 0; }
    // The digest of the state after `index`, for which one is due, or which is the last.
    std::uint64_t digest_at(raft::Index index) const;

    // As of `index`; null: there was none.
    const fsm::Value* value_at(const std::string& name, raft::Index index) const;
    std::vector<std::string> names_at(const std::string& prefix, raft::Index index) const;
    const std::vector<fsm::Event>& events() const { return events_; }
    // Of those in events(): the first one after that place.
    std::size_t first_after(const fsm::Cursor& cursor) const;

    // How often a command with these bytes is in the log, and was done.
    std::size_t times_committed(std::uint64_t payload_hash) const;
    std::size_t times_done(std::uint64_t payload_hash) const;
    const fsm::StateMachine& machine() const { return machine_; }
    // The commands with an idempotency key, in order, and what became of them.
    const std::vector<checker::KeyedCommand>& keyed() const { return keyed_; }

    // The newest that is committed.
    const raft::Configuration& configuration() const { return configuration_; }
    void found(const raft::Configuration& founders) { configuration_ = founders; }

    // When a value with these bytes was first asked for.
    void note_asked(const std::string& bytes, std::int64_t now_ns) {
        asked_ns_.emplace(hash_of(bytes), now_ns);
    }
    // Of log time, what clocks may be ahead of virtual time.
    void set_drift(int per_mille) { drift_per_mille_ = per_mille; }

 private:
    struct Version {
        raft::Index index = 0;
        std::optional<fsm::Value> value;
    };
    void take_keyed(const raft::Entry& entry, const fsm::Output& output);
    void take(const fsm::Event& event, std::int64_t stamp_ns, std::int64_t now_ns);

    Trace& trace_;
    std::vector<Committed> log_;
    fsm::StateMachine machine_;
    raft::Configuration configuration_;
    std::vector<fsm::Event> events_;
    std::map<std::string, std::vector<Version>> versions_;
    std::vector<checker::KeyedCommand> keyed_;
    std::map<raft::Index, std::uint64_t> digests_;
    std::map<std::uint64_t, std::size_t> times_committed_;
    std::map<std::uint64_t, std::size_t> times_done_;
    std::map<std::uint64_t, std::int64_t> asked_ns_;
    int drift_per_mille_ = 0;
};

}  // namespace cairn::sim
