// A group of nodes in one process: whole replicas over fakes, on a clock of the test's, with
// messages that arrive at once unless the test cuts somebody off.
//
// Header only; one thread. Who may speak to whom is what each node told its transport, judged by
// the real handshake (raft/peers/handshake.h) before every round of messages.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "raft/peers/handshake.h"
#include "server/node/replica.h"
#include "tests/support/snapshot_testing.h"
#include "tests/unit/server/replica_testing.h"

namespace cairn::server::test {

constexpr std::uint64_t group_cluster_id = 77;

inline std::string address_of_node(raft::NodeId id) {
    return "n" + std::to_string(id) + ".example:7000";
}

// The founding configuration of nodes 1 to `size`.
inline raft::Configuration founders(raft::NodeId size) {
    raft::Configuration configuration;
    for (raft::NodeId id = 1; id <= size; ++id) {
        configuration.voters.push_back(id);
        configuration.details.push_back({id, address_of_node(id), 0, false});
    }
    return configuration;
}

// What a node's data directory says of it.
struct Disk {
    std::uint64_t id = 0;
    std::uint64_t replaced_id = 0;
    bool joined = false;
};

// A node of a group, its disk held or not.
struct Member {
    Member(raft::NodeId id, raft::Configuration configuration, const Disk& its_disk,
           FakeClock& clock)
        : disk(its_disk),
          store(raft::test::open_snapshots(files)),
          replica(raft::Core(options_of(id, disk), {{}, std::move(configuration), {}, {}}), {},
                  storage, transport, runner, replica_options(), view, clock,
                  [this] { turn_wanted = true; }) {
        replica.add_port(port);
    }
    static raft::CoreOptions options_of(raft::NodeId id, const Disk& disk) {
        raft::CoreOptions options = core_options();
        options.id = id;
        options.random_seed = 100 + id;
        options.disk_id = disk.id;
        options.joined = disk.joined;
        return options;
    }
    ReplicaOptions replica_options() {
        ReplicaOptions options;
        options.cluster_id = group_cluster_id;
        options.membership.disk_id = disk.id;
        options.on_members = [this](const Membership::Members& members) { noted = members; };
        options.on_removed = [this] { ++removals; };
        return options;
    }
    void write_down() {
        if (!disk_held && !storage.batches.empty()) {
            const auto written = std::exchange(storage.batches, {});
            replica.on_persisted(written.back().sequence);
        }
    }
    const raft::Core& core() const { return replica.node().core(); }
    const raft::Configuration& configuration() const { return core().configuration(); }

    Disk disk;
    FakeStorage storage;
    FakeTransport transport;
    FakePort port;
    NodeView view;
    HeldRunner runner;
    std::vector<raft::Message> messages_sent;  // on their way
    std::vector<FakeTransport::Note> notes_sent;
    Membership::Members noted;
    int removals = 0;
    bool turn_wanted = true;
    bool disk_held = false;
    bool cut_off = false;
    raft::test::MemoryFileSystem files;
    std::unique_ptr<raft::SnapshotStore> store;
    Replica replica;
};

struct Group {
    explicit Group(raft::NodeId size = 3, bool with_disks = false) {
        for (raft::NodeId id = 1; id <= size; ++id) {
            const Disk disk{with_disks ? 100 + id : 0, 0, false};
            members.push_back(make_member(id, founders(size), disk));
        }
        pass(2000 * ms);
        REQUIRE(leader() != nullptr);
    }
    std::unique_ptr<Member> make_member(raft::NodeId id, raft::Configuration configuration,
                                        const Disk& disk) {
        auto made = std::make_unique<Member>(id, std::move(configuration), disk, clock);
        made->transport.on_flush = [this, each = made.get()] { flush(*each); };
        return made;
    }
    Member& member(raft::NodeId id) { return *members.at(id - 1); }
    // A node that begins empty.
    Member& join(const Disk& disk = {0, 0, true}) {
        members.push_back(make_member(members.size() + 1, {}, disk));
        return *members.back();
    }
    Member& begin_anew(raft::NodeId id, const Disk& disk) {
        members.at(id - 1) = make_member(id, {}, disk);
        return member(id);
    }
    // The one that leads, if exactly one does.
    Member* leader() {
        Member* found = nullptr;
        for (const auto& one : members) {
            if (one->replica.leads() && !one->cut_off) {
                REQUIRE(found == nullptr);
                found = one.get();
            }
        }
        return found;
    }
    Member& follower() { return *members[leader() == members[0].get() ? 1 : 0]; }
    // Whether `from` has a connection to `to`: to members, and back to whoever has one to it.
    static bool dials(const Member& from, const Member& to) {
        return from.transport.times_told == 0 || knows(from, to) ||
               (knows(to, from) && !is_removed(from, to));
    }
    static bool knows(const Member& node, const Member& other) {
        const auto& known = node.transport.members;
        return std::any_of(known.begin(), known.end(),
                           [&](const auto& each) { return each.id == other.view.node; });
    }
    static bool is_removed(const Member& node, const Member& other) {
        const auto& removed = node.transport.removed;
        return std::find(removed.begin(), removed.end(), other.view.node) != removed.end();
    }
    static raft::HandshakeReason greet(const Member& from, const Member& to) {
        const raft::Hello hello{
            raft::protocol_version, group_cluster_id,     from.view.node, to.view.node, "", "",
            from.disk.id,           from.disk.replaced_id};
        return raft::validate_hello(
            hello, {group_cluster_id, to.view.node, to.transport.members, to.transport.removed});
    }
    static bool is_linked(const Member& from, const Member& to) {
        return &from != &to && !from.cut_off && !to.cut_off && dials(from, to) &&
               greet(from, to) == raft::HandshakeReason::accepted;
    }
    void shake_hands() {
        for (const auto& to : members) {
            to->transport.statuses.clear();
            for (const auto& from : members) {
                if (from == to || from->cut_off || to->cut_off || !dials(*from, *to)) {
                    continue;
                }
                const raft::HandshakeReason reason = greet(*from, *to);
                if (reason == raft::HandshakeReason::removed) {
                    from->replica.on_removed(to->view.node);
                } else if (reason == raft::HandshakeReason::readmission) {
                    to->replica.on_disk_replaced(from->view.node, from->disk.id);
                } else if (reason == raft::HandshakeReason::accepted) {
                    raft::PeerStatus status;
                    status.id = from->view.node;
                    status.disk_id = from->disk.id;
                    status.heard = true;
                    status.connected = is_linked(*to, *from);
                    to->transport.statuses.push_back(status);
                }
            }
        }
    }
    // What was flushed while there was a connection arrives, also when the sender ends it then.
    void flush(Member& from) {
        const auto has_way = [&](raft::NodeId to) {
            return to <= members.size() && is_linked(from, member(to));
        };
        for (raft::Message& message : std::exchange(from.transport.messages, {})) {
            if (has_way(raft::header_of(message).to)) {
                from.messages_sent.push_back(std::move(message));
            }
        }
        for (FakeTransport::Note& note : std::exchange(from.transport.notes, {})) {
            if (has_way(note.to)) {
                from.notes_sent.push_back(std::move(note));
            }
        }
    }
    static bool takes_from(const Member& to, const Member& from) {
        return !from.cut_off && !to.cut_off && greet(from, to) == raft::HandshakeReason::accepted;
    }
    void deliver() {
        for (const auto& from : members) {
            for (raft::Message& message : std::exchange(from->messages_sent, {})) {
                Member& to = member(raft::header_of(message).to);
                if (takes_from(to, *from)) {
                    to.replica.on_message(std::move(message));
                }
            }
            for (const FakeTransport::Note& note : std::exchange(from->notes_sent, {})) {
                Member& to = member(note.to);
                if (takes_from(to, *from)) {
                    to.replica.on_application(from->view.node, note.note.SerializeAsString());
                }
            }
        }
    }
    void settle(int rounds = 20) {
        shake_hands();
        for (int round = 0; round < rounds; ++round) {
            for (const auto& one : members) {
                one->replica.turn();
                one->write_down();
            }
            deliver();
        }
    }
    void pass(std::int64_t ns) {
        for (const std::int64_t end = clock.steady + ns; clock.steady < end;) {
            clock.pass(10 * ms);
            for (const auto& one : members) {
                one->replica.tick();
            }
            settle();
        }
    }
    // Time passes until it is so; not for ever.
    template <typename Condition>
    bool pass_until(Condition condition, std::int64_t ns_max = 20'000 * ms) {
        const std::int64_t end = clock.steady + ns_max;
        while (!condition() && clock.steady < end) {
            pass(10 * ms);
        }
        return condition();
    }
    Failure write(Member& through, std::string command) {
        const auto operation = make_write(std::move(command));
        through.replica.submit(operation, through.port);
        settle();
        REQUIRE(is_done(through, operation));
        return operation->failure;
    }
    ClusterStatus status(Member& of) {
        const auto operation = std::make_shared<Operation>();
        operation->kind = Operation::Kind::cluster_status;
        of.replica.submit(operation, of.port);
        settle();
        REQUIRE(of.port.done.back() == operation);
        return operation->cluster;
    }
    static bool is_done(const Member& through, const std::shared_ptr<Operation>& operation) {
        const auto& done = through.port.done;
        return std::find(done.begin(), done.end(), operation) != done.end();
    }
    raft::Term term() { return leader()->core().term(); }

    FakeClock clock;
    std::vector<std::unique_ptr<Member>> members;
};

}  // namespace cairn::server::test
