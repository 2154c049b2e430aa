#include "tests/sim/clients.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "fsm/command.h"

namespace cairn::sim {

namespace {

using Kind = HistoryOperation::Kind;
using Outcome = HistoryOperation::Outcome;
using server::Failure;

constexpr int timeout_ms = 2000;
constexpr std::int64_t patience_ns = 3 * second;  // then the client hangs up

bool is_write(Kind kind) {
    return kind != Kind::get;
}

std::string name_of(std::uint64_t number) {
    return (number % 2 == 0 ? "even/" : "odd/") + std::to_string(number);
}

}  // namespace

Clients::Clients(Surroundings surroundings, Nodes& nodes) : world_(surroundings), nodes_(nodes) {
    clients_.resize(static_cast<std::size_t>(world_.swarm.clients));
    for (Client& client : clients_) {
        client.id = ++next_id_;
        client.random = world_.random.stream("client", client.id);
    }
}

void Clients::start() {
    for (Client& client : clients_) {
        think(client);
    }
}

void Clients::finish() {
    finishing_ = true;
}

void Clients::think(Client& client) {
    world_.queue.after(client.random.around(world_.swarm.think_ns),
                       [this, &client] { next(client); });
}

Kind Clients::draw_kind(Client& client, bool& local, bool& lease) {
    const Swarm& swarm = world_.swarm;
    const std::pair<int, Kind> choices[] = {
        {swarm.weight_set, Kind::set},       {swarm.weight_create, Kind::create},
        {swarm.weight_update, Kind::update}, {swarm.weight_delete, Kind::remove},
        {swarm.weight_get, Kind::get},       {swarm.weight_local, Kind::get},
        {swarm.weight_lease, Kind::get},     {swarm.weight_list, Kind::get}};
    int total = 0;
    for (const auto& [weight, kind] : choices) {
        total += weight;
    }
    auto drawn = static_cast<int>(client.random.below(static_cast<std::uint64_t>(total)));
    for (std::size_t i = 0; i < std::size(choices); ++i) {
        if (drawn < choices[i].first) {
            local = i == 5;
            lease = i == 6;
            client.lists = i == 7;
            return choices[i].second;
        }
        drawn -= choices[i].first;
    }
    return Kind::set;
}

void Clients::next(Client& client) {
    if (client.last) {
        client.done = true;
        ++finished_;
        return;
    }
    client.last = finishing_;
    HistoryOperation operation;
    bool local = false;
    bool lease = false;
    client.lists = false;
    operation.kind = client.last ? Kind::set : draw_kind(client, local, lease);
    operation.client = client.id;
    operation.name = name_of(client.random.below(static_cast<std::uint64_t>(world_.swarm.names)));
    operation.invoke_ns = world_.queue.now_ns();
    client.maybe_applied = false;
    client.floor_index = newest_told_index_;
    client.consistency = local   ? server::Consistency::local
                         : lease ? server::Consistency::lease
                                 : server::Consistency::linearizable;
    client.min_index = local && client.random.chance(7000) ? client.seen_index : 0;
    payload_hashes_.push_back(0);
    keyed_.push_back(false);
    if (is_write(operation.kind)) {
        begin_write(client, operation);
    }
    client.operation = history_.size();
    history_.push_back(std::move(operation));
    attempt(client);
}

void Clients::begin_write(Client& client, HistoryOperation& operation) {
    const Swarm& swarm = world_.swarm;
    client.keyed = client.last || client.random.chance(swarm.keyed_of_10000);
    client.misuses_key =
        client.keyed && !client.last && !client.used_key.empty() && client.random.chance(500);
    const std::string key =
        client.misuses_key ? client.used_key
        : client.keyed ? "key-" + std::to_string(client.id) + "-" + std::to_string(history_.size())
                       : std::string();
    const fsm::Idempotency idempotency{key, client.misuses_key ? values_ + 2 : 1};
    client.key = key;
    operation.value = "value-" + std::to_string(++values_) + "-";
    operation.value.resize(operation.value.size() + client.random.below(swarm.value_bytes_max),
                           'x');
    if (client.random.chance(swarm.ttl_of_10000)) {
        operation.ttl_ns = client.random.around(swarm.ttl_ns) + 1 * ms;
    }
    const auto known = client.known_indexes.find(operation.name);
    if (known != client.known_indexes.end() && client.random.chance(7000)) {
        operation.prev_index = known->second;
    }
    client.command.clear();
    switch (operation.kind) {
        case Kind::set:
        case Kind::create:
            operation.prev_index = 0;
            fsm::encode_set(operation.name, operation.value, operation.ttl_ns,
                            operation.kind == Kind::create, client.command, idempotency);
            break;
        case Kind::update:
            fsm::encode_update(operation.name, operation.value, operation.ttl_ns,
                               operation.prev_index, client.command, idempotency);
            break;
        case Kind::remove:
            operation.value.clear();
            operation.ttl_ns.reset();
            fsm::encode_delete(operation.name, operation.prev_index, client.command, idempotency);
            break;
        case Kind::get:
            break;
    }
    if (!operation.value.empty()) {
        world_.observer.reference().note_asked(operation.value, operation.invoke_ns);
    }
    const bool unique = client.keyed || !operation.value.empty();
    payload_hashes_.back() = unique ? hash_of(client.command) : 0;
    keyed_.back() = client.keyed;
}

void Clients::attempt_later(Client& client, std::int64_t mean_ns) {
    world_.queue.after(client.random.around(mean_ns), [this, &client] { attempt(client); });
}

void Clients::attempt(Client& client) {
    std::vector<raft::NodeId> ids;
    for (const auto& [id, node] : nodes_) {
        ids.push_back(id);
    }
    const HistoryOperation& operation = history_[client.operation];
    auto asked = std::make_shared<server::Operation>();
    asked->timeout_ms = timeout_ms;
    if (is_write(operation.kind)) {
        asked->kind = server::Operation::Kind::write;
        asked->command = client.command;
    } else {
        asked->kind = client.lists ? server::Operation::Kind::list : server::Operation::Kind::get;
        asked->name = client.lists ? operation.name.substr(0, 4) : operation.name;
        asked->limit = 100;
        asked->consistency = client.consistency;
        asked->min_index = client.min_index;
    }
    asked->on_done = [this, &client, number = ++client.attempt] {
        if (client.waits && client.attempt == number) {
            on_answer(client);
        }
    };
    client.at = client.random.pick(ids);
    client.asked = asked;
    client.waits = true;
    if (!nodes_.at(client.at)->submit(asked)) {  // connection refused
        client.waits = false;
        client.asked = nullptr;
        attempt_later(client, 30 * ms);
        return;
    }
    world_.queue.after(patience_ns, [this, &client, number = client.attempt] {
        if (client.waits && client.attempt == number) {
            world_.trace.sometimes("client hung up");
            on_no_answer(client);
        }
    });
}

void Clients::on_down(raft::NodeId node) {
    for (Client& client : clients_) {
        if (client.waits && client.at == node) {
            world_.queue.after(client.random.around(2 * ms),
                               [this, &client, number = client.attempt] {
                                   if (client.waits && client.attempt == number) {
                                       on_no_answer(client);
                                   }
                               });
        }
    }
}

// Hung up, or the connection is lost.
void Clients::on_no_answer(Client& client) {
    client.asked->on_done = nullptr;
    client.asked = nullptr;
    client.waits = false;
    const HistoryOperation& operation = history_[client.operation];
    if (!is_write(operation.kind)) {
        attempt_later(client, 20 * ms);
        return;
    }
    client.maybe_applied = true;
    if (client.keyed) {
        attempt_later(client, 20 * ms);
    } else {
        end(client, Outcome::unknown);
    }
}

void Clients::on_answer(Client& client) {
    const std::shared_ptr<server::Operation> answer = std::exchange(client.asked, nullptr);
    client.waits = false;
    ++answered_;
    world_.trace.note(client.at, "answer", static_cast<std::uint64_t>(answer->failure),
                      answer->served_index);
    if (is_write(history_[client.operation].kind)) {
        on_write_answer(client, *answer);
    } else {
        on_read_answer(client, *answer);
    }
}

void Clients::on_write_answer(Client& client, const server::Operation& answer) {
    switch (answer.failure) {
        case Failure::none:
            check_write(client, answer);
            end(client, Outcome::ok);
            return;
        case Failure::interrupted:
        case Failure::unknown:
            world_.trace.sometimes("write unknown");
            client.maybe_applied = true;
            break;
        case Failure::disk_full:
            world_.trace.sometimes("write refused, disk full");
            break;
        case Failure::overloaded:
            world_.trace.sometimes("write refused, overloaded");
            break;
        case Failure::dropped:
            world_.trace.sometimes("write dropped");
            break;
        case Failure::no_leader:
        case Failure::draining:
            world_.trace.sometimes("write refused, no leader");
            break;
        case Failure::timeout:
            require(false, "a write was answered with timeout");
    }
    if (client.keyed) {
        attempt_later(client, 20 * ms);
    } else {
        end(client, client.maybe_applied ? Outcome::unknown : Outcome::not_applied);
    }
}

// Acknowledged means: in the log, this very command, with this very result.
void Clients::check_write(Client& client, const server::Operation& answer) {
    HistoryOperation& operation = history_[client.operation];
    const Reference& reference = world_.observer.reference();
    const raft::Index index = answer.served_index;
    require(index != 0 && index <= reference.last_index(), "a write was acknowledged at ", index,
            " of ", reference.last_index());
    const Reference::Committed& entry = reference.at(index);
    require(entry.payload_hash == hash_of(client.command), "a write was acknowledged at ", index,
            ", but another one is there");
    require(answer.output.status == entry.output.status &&
                answer.output.kind == entry.output.kind &&
                answer.output.index == entry.output.index &&
                answer.output.created == entry.output.created &&
                answer.output.replayed == entry.output.replayed,
            "a write at ", index, " was answered with another result");
    require(index > client.floor_index, "a write at ", index, " began after something at ",
            client.floor_index, " had been told");
    require((answer.output.status == fsm::Status::idempotency_mismatch) == client.misuses_key,
            "a write at ", index, " with the key ", client.key, " was answered with ",
            static_cast<int>(answer.output.status));
    if (client.keyed && !client.misuses_key) {
        client.used_key = client.key;
    }
    operation.status = static_cast<int>(answer.output.status);
    operation.index = answer.output.index;
    operation.log_index = answer.output.replayed ? answer.output.first_applied_index : index;
    newest_told_index_ = std::max(newest_told_index_, index);
    client.seen_index = std::max(client.seen_index, index);
    if (answer.output.index != 0) {
        client.known_indexes[operation.name] = answer.output.index;
    }
}

void Clients::on_read_answer(Client& client, const server::Operation& answer) {
    if (answer.failure != Failure::none) {
        world_.trace.sometimes("read failed");
        attempt_later(client, 20 * ms);
        return;
    }
    HistoryOperation& operation = history_[client.operation];
    const Reference& reference = world_.observer.reference();
    const raft::Index index = answer.served_index;
    require(index <= reference.last_index(), "a read was served at ", index, " of ",
            reference.last_index());
    if (answer.consistency == server::Consistency::local) {
        require(index >= client.min_index, "a read at ", index, " needed ", client.min_index);
    } else {
        require(index >= client.floor_index, "a stale read at node ", client.at, ": ", index,
                ", though ", client.floor_index, " had been told before",
                answer.consistency == server::Consistency::lease ? " (lease)" : "");
        newest_told_index_ = std::max(newest_told_index_, index);
    }
    if (answer.consistency == server::Consistency::lease) {
        world_.trace.sometimes("lease read served");
    }
    client.seen_index = std::max(client.seen_index, index);
    operation.log_index = index;
    if (client.lists) {
        check_list(answer);
        end(client, Outcome::ok);
        return;
    }
    const fsm::Value* expected = reference.value_at(operation.name, index);
    operation.exists = answer.output.status == fsm::Status::ok;
    require(operation.exists == (expected != nullptr), "a read of ", operation.name, " at ", index,
            operation.exists ? " found what isn't there" : " found nothing");
    if (operation.exists) {
        const fsm::Value& value = *answer.output.value;
        operation.found = *value.bytes;
        operation.found_index = value.index;
        operation.found_deadline_ns = value.deadline_ns;
        require(value.index == expected->index && *value.bytes == *expected->bytes &&
                    value.deadline_ns == expected->deadline_ns,
                "a read of ", operation.name, " at ", index, " found another value");
        client.known_indexes[operation.name] = value.index;
    }
    end(client, Outcome::ok);
}

void Clients::check_list(const server::Operation& answer) const {
    const Reference& reference = world_.observer.reference();
    const std::vector<std::string> names = reference.names_at(answer.name, answer.served_index);
    require(names.size() == answer.items.size() && !answer.more, "a list at ", answer.served_index,
            " has ", answer.items.size(), " of ", names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
        const fsm::Value& expected = *reference.value_at(names[i], answer.served_index);
        const fsm::ListItem& item = answer.items[i];
        require(item.name == names[i] && item.value.index == expected.index &&
                    *item.value.bytes == *expected.bytes,
                "a list at ", answer.served_index, " shows another ", names[i]);
    }
}

void Clients::end(Client& client, Outcome outcome) {
    HistoryOperation& operation = history_[client.operation];
    operation.outcome = outcome;
    if (outcome == Outcome::unknown) {
        become_another(client);
    } else {
        operation.return_ns = world_.queue.now_ns();
    }
    if (client.lists ||
        (!is_write(operation.kind) && client.consistency == server::Consistency::local)) {
        operation.outcome = Outcome::not_applied;  // no part of the linear history
    }
    think(client);
}

void Clients::become_another(Client& client) {
    client.id = ++next_id_;
}

void Clients::check_at_end() const {
    const Reference& reference = world_.observer.reference();
    for (std::size_t i = 0; i < history_.size(); ++i) {
        const HistoryOperation& operation = history_[i];
        if (payload_hashes_[i] == 0) {
            continue;
        }
        const std::size_t times = reference.times_committed(payload_hashes_[i]);
        require(operation.outcome != Outcome::ok || times > 0, "a write of ", operation.name,
                " was acknowledged and is lost");
        require(operation.outcome != Outcome::not_applied || times == 0, "a write of ",
                operation.name, " was answered as not applied and is in the log");
        require(reference.times_done(payload_hashes_[i]) <= 1, "a write of ", operation.name,
                " was done twice");
        require(keyed_[i] || times <= 1, "a write of ", operation.name, " is in the log ", times,
                " times");
    }
}

std::string Clients::describe_waiting() const {
    std::ostringstream text;
    for (const Client& client : clients_) {
        if (!client.done) {
            text << " client " << client.id << (client.waits ? " waits at node " : " tries node ")
                 << client.at << ";";
        }
    }
    return text.str();
}

}  // namespace cairn::sim
