#include "tests/sim/watchers.h"

#include <utility>

namespace cairn::sim {

using Told = checker::Received::Kind;

Watchers::Watchers(Surroundings surroundings, Nodes& nodes) : world_(surroundings), nodes_(nodes) {
    watchers_.resize(static_cast<std::size_t>(world_.swarm.watchers));
    std::size_t number = 0;
    for (Watcher& watcher : watchers_) {
        watcher.number = number;
        watcher.random = world_.random.stream("watcher", number);
        watcher.prefix = number % 3 == 0 ? "" : number % 3 == 1 ? "even/" : "odd/";
        records_.push_back({watcher.prefix, {}});
        ++number;
    }
}

void Watchers::record(const Watcher& watcher, Told kind, std::optional<fsm::Cursor> cursor) {
    checker::Received received;
    received.kind = kind;
    received.node = watcher.at;
    if (cursor) {
        received.cursor = {cursor->index, cursor->position};
    }
    records_[watcher.number].received.push_back(received);
}

// As clients hear it: a stream that begins says where; after a gap comes what there is now, and the
// last of it says of when that is.
void Watchers::record_present(const Watcher& watcher, const server::StreamOpen& open) {
    const fsm::Cursor now{open.applied_index, fsm::Cursor::whole_entry};
    if (!open.gap) {
        record(watcher, Told::subscribed, now);
        return;
    }
    record(watcher, Told::subscribed, watcher.cursor);
    const fsm::Cursor from = open.present.empty() ? now : *watcher.cursor;
    record(watcher, Told::gap, from);
    std::vector<checker::Received>& received = records_[watcher.number].received;
    for (const fsm::ListItem& item : open.present) {
        received.push_back(received_value(item));
        const fsm::Cursor& at = &item == &open.present.back() ? now : from;
        received.back().cursor = {at.index, at.position};
    }
    record(watcher, Told::progress, now);
}

void Watchers::start() {
    for (Watcher& watcher : watchers_) {
        connect_later(watcher);
    }
}

void Watchers::connect_later(Watcher& watcher) {
    if (std::exchange(watcher.open, false)) {
        record(watcher, Told::closed);
    }
    watcher.at = 0;
    const std::uint64_t attempt = ++watcher.attempt;
    world_.queue.after(watcher.random.around(50 * ms), [this, &watcher, attempt] {
        if (watcher.attempt == attempt) {
            connect(watcher);
        }
    });
}

// At the end readers ask who is ready (as /readyz would say), or the many that are no members would
// keep them from those that are.
bool Watchers::is_worth_a_try(const SimNode& node) const {
    return !finishing_ || (node.is_running() && node.replica().node().core().leader_id() != 0);
}

void Watchers::connect(Watcher& watcher) {
    std::vector<raft::NodeId> ids;
    for (const auto& [id, node] : nodes_) {
        ids.push_back(id);
    }
    const raft::NodeId at = watcher.random.pick(ids);
    const std::uint64_t attempt = ++watcher.attempt;
    const auto open = std::make_shared<server::StreamOpen>();
    open->name = watcher.prefix;
    open->prefix = true;
    open->wants_present = true;
    if (watcher.cursor) {
        open->after_index = watcher.cursor->index;
        open->after_position = watcher.cursor->position;
    }
    open->on_done = [this, &watcher, attempt, answer = open.get()] {
        if (watcher.attempt == attempt) {
            on_opened(watcher, *answer);
        }
    };
    if (!is_worth_a_try(*nodes_.at(at)) || !nodes_.at(at)->open_stream(open)) {
        connect_later(watcher);
        return;
    }
    watcher.at = at;
    const std::int64_t stays_ns = watcher.random.around(finishing_ ? second : 5 * second);
    world_.queue.after(stays_ns, [this, &watcher, attempt] {
        if (watcher.attempt == attempt) {
            connect_later(watcher);
        }
    });
}

void Watchers::on_opened(Watcher& watcher, const server::StreamOpen& open) {
    if (open.failure != server::Failure::none) {
        connect_later(watcher);
        return;
    }
    watcher.open = true;
    record(watcher, Told::opened, watcher.cursor);
    const Reference& reference = world_.observer.reference();
    if (watcher.cursor && !open.gap) {
        world_.trace.sometimes("stream resumed");
        record(watcher, Told::subscribed, watcher.cursor);
        for (const fsm::Event& event : open.replay) {
            see(watcher, event);
        }
        see_all_up_to(watcher, open.applied_index);
        return;
    }
    if (open.gap) {
        world_.trace.sometimes("stream told of a gap");
        require(open.applied_index >= watcher.cursor->index || open.present.empty() ||
                    open.applied_index > 0,
                "a gap that leads back");
    }
    record_present(watcher, open);
    const std::vector<std::string> names = reference.names_at(watcher.prefix, open.applied_index);
    require(names.size() == open.present.size(), "a stream at ", open.applied_index,
            " begins with ", open.present.size(), " values of ", names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
        const fsm::Value& expected = *reference.value_at(names[i], open.applied_index);
        require(open.present[i].name == names[i] && open.present[i].value.index == expected.index &&
                    *open.present[i].value.bytes == *expected.bytes,
                "a stream at ", open.applied_index, " begins with another ", names[i]);
    }
    watcher.cursor = fsm::Cursor{open.applied_index, fsm::Cursor::whole_entry};
}

void Watchers::on_batch(raft::NodeId node, const server::EventBatch& batch) {
    for (Watcher& watcher : watchers_) {
        if (!watcher.open || watcher.at != node) {
            continue;
        }
        if (batch.history_lost) {
            world_.trace.sometimes("stream lost its history");
            connect_later(watcher);
            continue;
        }
        if (!see_batch(watcher, batch)) {
            connect_later(watcher);
        }
    }
}

// False: the connection broke in the middle of it.
bool Watchers::see_batch(Watcher& watcher, const server::EventBatch& batch) {
    for (const fsm::Event& event : batch.events) {
        if (event.name.starts_with(watcher.prefix) && *watcher.cursor < fsm::Cursor::after(event)) {
            see(watcher, event);
            if (watcher.random.chance(200)) {
                return false;
            }
        }
    }
    see_all_up_to(watcher, batch.applied_index);
    return true;
}

// It must be the very next one.
void Watchers::see(Watcher& watcher, const fsm::Event& event) {
    const std::vector<fsm::Event>& events = world_.observer.reference().events();
    records_[watcher.number].received.push_back(received_event(event));
    std::size_t next = world_.observer.reference().first_after(*watcher.cursor);
    while (next < events.size() && !events[next].name.starts_with(watcher.prefix)) {
        ++next;
    }
    require(next < events.size(), "a stream tells of ", event.name, " at ", event.at_index,
            ", which nobody agreed on");
    require(digest_of(events[next]) == digest_of(event), "a stream at node ", watcher.at,
            " tells of ", event.name, " at ", event.at_index, ", but next is ", events[next].name,
            " at ", events[next].at_index);
    watcher.cursor = fsm::Cursor::after(event);
    world_.trace.sometimes("event seen");
}

void Watchers::see_all_up_to(Watcher& watcher, raft::Index index) {
    const fsm::Cursor there{index, fsm::Cursor::whole_entry};
    if (there < *watcher.cursor || there == *watcher.cursor) {
        return;
    }
    const Reference& reference = world_.observer.reference();
    const std::vector<fsm::Event>& events = reference.events();
    for (std::size_t i = reference.first_after(*watcher.cursor);
         i < events.size() && events[i].at_index <= index; ++i) {
        require(!events[i].name.starts_with(watcher.prefix), "a stream at node ", watcher.at,
                " left out ", events[i].name, " at ", events[i].at_index);
    }
    record(watcher, Told::progress, there);
    watcher.cursor = there;
}

void Watchers::on_down(raft::NodeId node) {
    for (Watcher& watcher : watchers_) {
        if (watcher.at == node) {
            connect_later(watcher);
        }
    }
}

bool Watchers::have_seen(raft::Index index) const {
    for (const Watcher& watcher : watchers_) {
        if (!watcher.cursor || watcher.cursor->index < index) {
            return false;
        }
    }
    return true;
}

}  // namespace cairn::sim
