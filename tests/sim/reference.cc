#include "tests/sim/reference.h"

#include <algorithm>

#include "cairn/server/v1/command.pb.h"
#include "tests/sim/disk.h"

namespace cairn::sim {

namespace {

std::uint64_t digest_of(const std::optional<fsm::Value>& value) {
    if (!value) {
        return 1;
    }
    return mix(hash_of(*value->bytes) ^ mix(value->index) ^
               mix(static_cast<std::uint64_t>(value->deadline_ns) + 7));
}

}  // namespace

std::uint64_t digest_of(const fsm::Event& event) {
    std::uint64_t digest = hash_of(event.name);
    for (const std::uint64_t word :
         {static_cast<std::uint64_t>(event.kind), std::uint64_t{event.expired}, event.at_index,
          std::uint64_t{event.at_position}, digest_of(event.value), digest_of(event.prev_value)}) {
        digest = mix(digest ^ word);
    }
    return digest;
}

std::uint64_t digest_of(const fsm::Output& output, std::span<const fsm::Event> events) {
    std::uint64_t digest = 0;
    for (const std::uint64_t word :
         {static_cast<std::uint64_t>(output.status), static_cast<std::uint64_t>(output.kind),
          std::uint64_t{output.created}, output.index, digest_of(output.value),
          digest_of(output.prev_value), std::uint64_t{output.replayed},
          output.first_applied_index}) {
        digest = mix(digest ^ word);
    }
    for (const fsm::Event& event : events) {
        digest = mix(digest ^ digest_of(event) ^ std::uint64_t{event.last_of_index});
    }
    return digest;
}

void Reference::append(const raft::Entry& entry, std::int64_t now_ns, raft::Term seen_term) {
    require(entry.index == log_.size() + 1, "the observer missed entry ", log_.size() + 1);
    require(log_.empty() || entry.stamp_ns >= log_.back().stamp_ns, "log time went back at ",
            entry.index);
    require(log_.empty() || entry.term >= log_.back().term, "terms go back at ", entry.index);
    const bool command = entry.kind == raft::EntryKind::command;
    std::vector<fsm::Event> events;
    Committed committed{
        entry.term, digest_of(entry), hash_of(entry.payload.view()), entry.stamp_ns, now_ns, {},
        0,          seen_term};
    committed.output = machine_.apply(entry.index, entry.stamp_ns,
                                      command ? entry.payload.view() : std::string_view(), events);
    committed.outcome = digest_of(committed.output, events);
    if (entry.kind == raft::EntryKind::configuration) {
        require(raft::decode_configuration(entry.payload.view(), configuration_),
                "a configuration that can't be read was committed at ", entry.index);
    }
    if (command) {
        ++times_committed_[committed.payload_hash];
        const bool refused = committed.output.status == fsm::Status::idempotency_mismatch;
        times_done_[committed.payload_hash] += committed.output.replayed || refused ? 0 : 1;
        take_keyed(entry, committed.output);
    }
    if (committed.output.replayed) {
        trace_.sometimes("idempotent replay");
        const raft::Index first = committed.output.first_applied_index;
        require(first < entry.index && !at(first).output.replayed &&
                    at(first).payload_hash == committed.payload_hash,
                "entry ", entry.index, " replays ", first, ", which isn't the same request");
    }
    log_.push_back(std::move(committed));
    if (is_digest_due(entry.index)) {
        digests_[entry.index] = machine_.digest();
    }
    for (fsm::Event& event : events) {
        take(event, entry.stamp_ns, now_ns);
        events_.push_back(std::move(event));
    }
}

void Reference::take(const fsm::Event& event, std::int64_t stamp_ns, std::int64_t now_ns) {
    std::optional<fsm::Value> value;
    if (event.kind != fsm::Event::Kind::deleted) {
        value = event.value;
    }
    versions_[event.name].push_back({event.at_index, value});
    if (!event.expired) {
        return;
    }
    trace_.sometimes("value expired");
    const std::int64_t deadline_ns = event.value.deadline_ns;
    require(deadline_ns != 0 && deadline_ns <= stamp_ns, event.name, " expired early, at ",
            event.at_index);
    const auto asked = asked_ns_.find(hash_of(*event.value.bytes));
    require(asked != asked_ns_.end(), "nobody asked for a value that expired");
    const std::int64_t ttl_ns = deadline_ns - at(event.value.index).stamp_ns;
    require(now_ns - asked->second >= ttl_ns / 1000 * (1000 - drift_per_mille_) - 1 * ms,
            event.name, " with a ttl of ", ttl_ns, " ns was gone after ", now_ns - asked->second);
}

// Read from the bytes anew: what the state machine made of them is what is to be judged.
void Reference::take_keyed(const raft::Entry& entry, const fsm::Output& output) {
    server::v1::Command command;
    const std::string_view bytes = entry.payload.view();
    require(command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
            "a command that can't be read was committed at ", entry.index);
    if (command.value().idempotency_key().empty() || output.status == fsm::Status::invalid) {
        return;
    }
    checker::KeyedCommand keyed;
    keyed.index = entry.index;
    keyed.time_ns = entry.stamp_ns;
    keyed.key = command.value().idempotency_key();
    keyed.fingerprint = command.value().idempotency_fingerprint();
    if (output.status == fsm::Status::idempotency_mismatch) {
        keyed.result = checker::KeyedCommand::Result::mismatch;
        trace_.sometimes("idempotency key refused");
    } else if (output.replayed) {
        keyed.result = checker::KeyedCommand::Result::replayed;
        keyed.first_index = output.first_applied_index;
    }
    fsm::Output answer = output;
    answer.replayed = false;
    answer.first_applied_index = 0;
    keyed.outcome = digest_of(answer, {});
    keyed_.push_back(std::move(keyed));
}

std::uint64_t Reference::digest_at(raft::Index index) const {
    const auto found = digests_.find(index);
    return found == digests_.end() ? machine_.digest() : found->second;
}

const fsm::Value* Reference::value_at(const std::string& name, raft::Index index) const {
    const auto found = versions_.find(name);
    if (found == versions_.end()) {
        return nullptr;
    }
    const std::vector<Version>& all = found->second;
    const auto after =
        std::upper_bound(all.begin(), all.end(), index,
                         [](raft::Index i, const Version& version) { return i < version.index; });
    return after == all.begin() || !std::prev(after)->value ? nullptr : &*std::prev(after)->value;
}

std::vector<std::string> Reference::names_at(const std::string& prefix, raft::Index index) const {
    std::vector<std::string> names;
    for (const auto& [name, versions] : versions_) {
        if (name.starts_with(prefix) && value_at(name, index) != nullptr) {
            names.push_back(name);
        }
    }
    return names;
}

std::size_t Reference::first_after(const fsm::Cursor& cursor) const {
    const auto found =
        std::partition_point(events_.begin(), events_.end(), [&](const fsm::Event& event) {
            return event.at_index < cursor.index ||
                   (event.at_index == cursor.index && cursor.position != fsm::Cursor::whole_entry &&
                    event.at_position < cursor.position) ||
                   (event.at_index == cursor.index && cursor.position == fsm::Cursor::whole_entry);
        });
    return static_cast<std::size_t>(found - events_.begin());
}

std::size_t Reference::times_done(std::uint64_t payload_hash) const {
    const auto found = times_done_.find(payload_hash);
    return found == times_done_.end() ? 0 : found->second;
}

std::size_t Reference::times_committed(std::uint64_t payload_hash) const {
    const auto found = times_committed_.find(payload_hash);
    return found == times_committed_.end() ? 0 : found->second;
}

}  // namespace cairn::sim
