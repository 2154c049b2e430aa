// What goes wrong, and what operators do: crashes, pauses, partitions, disks, clocks; members that
// come and go, leadership handed over, snapshots asked for.
//
// It keeps within what the cluster promises to survive: at most a minority of the voters has its
// disk damaged at a time, and none is removed meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "tests/sim/clients.h"

namespace cairn::sim {

class Faults {
 public:
    Faults(Surroundings surroundings, Nodes& nodes, BatchListener& listener);

    void start();
    // No more of it; everything is mended, everybody is up. Messages are not lost any more either,
    // unless a test wants it.
    void stop(bool with_mischief);
    // After stop(): whoever isn't needed for a majority, drawn at random, goes down, stands still,
    // is cut off or hard to reach, for ever.
    void set_aside();
    bool is_aside(raft::NodeId id) const { return aside_.contains(id); }
    // Again and again: whoever is down starts, whoever is a member is there.
    void bring_everybody_up();

 private:
    using Act = void (Faults::*)();
    void repeat(std::int64_t every_ns, Act act);
    SimNode* some_node();
    std::int64_t some_while() { return random_.around(world_.swarm.fault_lasts_ns); }
    void restart_later(raft::NodeId id);

    void crash();
    void storm();
    void pause();
    void partition();
    void trap_leader();
    void reset_connection();
    void clog();
    void jump_clock();
    void stall_disk();
    void fail_disk();
    void fill_disk();

    void change_members();
    void add_member();
    void remove_member();
    void transfer();
    void take_snapshot();
    void ask(std::shared_ptr<server::Operation> operation);

    std::vector<raft::Configuration> configurations() const;
    std::vector<raft::NodeId> draw_core();
    void set_aside(raft::NodeId id);
    void flap(raft::NodeId id);
    void cut(const std::vector<raft::NodeId>& from, const std::vector<raft::NodeId>& to,
             std::int64_t lasts_ns, bool both_ways);
    bool may_damage(raft::NodeId id);
    bool is_impaired();
    const raft::Configuration& newest_configuration() const {
        return world_.observer.reference().configuration();
    }
    void create(raft::NodeId id, bool joined);

    Surroundings world_;
    Nodes& nodes_;
    BatchListener& listener_;
    Random random_;
    bool stopped_ = false;
    std::set<raft::NodeId> aside_;
    raft::NodeId damaged_ = 0;  // whose disk may not be what it was
    raft::NodeId newest_node_ = 0;
};

}  // namespace cairn::sim
