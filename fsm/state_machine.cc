#include "fsm/state_machine.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include <google/protobuf/arena.h>

#include "cairn/server/v1/command.pb.h"
#include "fsm/command.h"
#include "fsm/digest.h"
#include "fsm/invariant.h"
#include "fsm/name.h"
#include "fsm/pinned_state.h"
#include "fsm/snapshot_format.h"

namespace cairn::fsm {

namespace {

namespace seed = ::atomix::multiraft::atomic::value::v1;

Output output_of(Output::Kind kind, Status status) {
    Output output;
    output.kind = kind;
    output.status = status;
    return output;
}

static_assert(idempotency_key_bytes_max + value_bytes_max <= idempotency_bytes_max,
              "every outcome fits");

// None: an input that isn't for the log.
Output::Kind kind_of(seed::AtomicValueInput::InputCase input) {
    switch (input) {
        case seed::AtomicValueInput::kGet:
            return Output::Kind::get;
        case seed::AtomicValueInput::kSet:
            return Output::Kind::set;
        case seed::AtomicValueInput::kUpdate:
            return Output::Kind::update;
        case seed::AtomicValueInput::kDelete:
            return Output::Kind::remove;
        case seed::AtomicValueInput::kWatch:
        case seed::AtomicValueInput::kEvents:
        case seed::AtomicValueInput::INPUT_NOT_SET:
            break;
    }
    return Output::Kind::none;
}

}  // namespace

// The messages of one command live in an arena that is emptied after it and keeps its first block,
// so that a command costs no allocation but its name's and its value's bytes, which move on.
class StateMachine::Interpreter {
 public:
    Output run(StateMachine& machine, std::string_view bytes, std::vector<Event>& events);

 private:
    static google::protobuf::ArenaOptions options_over(std::array<char, 4096>& block) {
        google::protobuf::ArenaOptions options;
        options.initial_block = block.data();
        options.initial_block_size = block.size();
        return options;
    }

    static Output parse_and_run(google::protobuf::Arena& arena, StateMachine& machine,
                                std::string_view bytes, std::vector<Event>& events);
    static Output run(StateMachine& machine, server::v1::ValueCommand& command,
                      std::vector<Event>& events);
    static Output run(StateMachine& machine, Output::Kind kind, server::v1::ValueCommand& command,
                      std::vector<Event>& events);
    static Output get(StateMachine& machine, const std::string& name, std::vector<Event>& events);
    static Output set(StateMachine& machine, server::v1::ValueCommand& command,
                      std::vector<Event>& events);
    static Output update(StateMachine& machine, server::v1::ValueCommand& command,
                         std::vector<Event>& events);
    static Output remove(StateMachine& machine, const std::string& name,
                         const seed::DeleteInput& input, std::vector<Event>& events);
    template <typename Input>
    static std::optional<Value> new_value(const StateMachine& machine, Input& input);

    alignas(std::max_align_t) std::array<char, 4096> first_block_;
    google::protobuf::Arena arena_{options_over(first_block_)};
};

Output StateMachine::Interpreter::run(StateMachine& machine, std::string_view bytes,
                                      std::vector<Event>& events) {
    Output output = parse_and_run(arena_, machine, bytes, events);
    arena_.Reset();
    return output;
}

Output StateMachine::Interpreter::parse_and_run(google::protobuf::Arena& arena,
                                                StateMachine& machine, std::string_view bytes,
                                                std::vector<Event>& events) {
    const Output invalid = output_of(Output::Kind::none, Status::invalid);
    if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        return invalid;
    }
    auto* command = google::protobuf::Arena::CreateMessage<server::v1::Command>(&arena);
    if (!command->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return invalid;
    }
    switch (command->command_case()) {
        case server::v1::Command::kValue:
            return run(machine, *command->mutable_value(), events);
        case server::v1::Command::kClock:
            if (command->clock().has_utc_offset_ns()) {
                machine.utc_offset_ns_ = command->clock().utc_offset_ns();
            }
            return {};
        case server::v1::Command::COMMAND_NOT_SET:
            return invalid;
    }
    return invalid;
}

Output StateMachine::Interpreter::run(StateMachine& machine, server::v1::ValueCommand& command,
                                      std::vector<Event>& events) {
    const Output::Kind kind = kind_of(command.input().input_case());
    // A precondition that the input doesn't know must not be ignored.
    const bool misplaced = command.create_only() && kind != Output::Kind::set;
    if (kind == Output::Kind::none || misplaced || !valid_name(command.name()) ||
        command.idempotency_key().size() > idempotency_key_bytes_max) {
        return output_of(Output::Kind::none, Status::invalid);
    }
    if (command.idempotency_key().empty()) {
        return run(machine, kind, command, events);
    }
    const KeptOutcome* kept = machine.kept_.find(command.idempotency_key(), machine.time_ns_);
    if (kept != nullptr) {
        return kept->fingerprint == command.idempotency_fingerprint()
                   ? kept->output
                   : output_of(kind, Status::idempotency_mismatch);
    }
    Output output = run(machine, kind, command, events);
    if (output.status != Status::invalid) {
        machine.kept_.keep(machine.applied_index_, machine.time_ns_,
                           std::move(*command.mutable_idempotency_key()),
                           command.idempotency_fingerprint(), output, machine.pinned_outcomes());
    }
    return output;
}

Output StateMachine::Interpreter::run(StateMachine& machine, Output::Kind kind,
                                      server::v1::ValueCommand& command,
                                      std::vector<Event>& events) {
    switch (kind) {
        case Output::Kind::get:
            return get(machine, command.name(), events);
        case Output::Kind::set:
            return set(machine, command, events);
        case Output::Kind::update:
            return update(machine, command, events);
        case Output::Kind::remove:
            return remove(machine, command.name(), command.input().delete_(), events);
        case Output::Kind::none:
            break;
    }
    return output_of(Output::Kind::none, Status::invalid);
}

Output StateMachine::Interpreter::get(StateMachine& machine, const std::string& name,
                                      std::vector<Event>& events) {
    const auto found = machine.find_for_command(name, events);
    if (found == machine.values_.end()) {
        return output_of(Output::Kind::get, Status::not_found);
    }
    Output output = output_of(Output::Kind::get, Status::ok);
    output.index = found->second.index;
    output.value = found->second;
    return output;
}

// The value that a SetInput or an UpdateInput writes, its bytes moved out of the input; none when
// they are too many, or when the ttl is not one.
template <typename Input>
std::optional<Value> StateMachine::Interpreter::new_value(const StateMachine& machine,
                                                          Input& input) {
    if (input.value().size() > value_bytes_max) {
        return std::nullopt;
    }
    Value value;
    if (input.has_ttl()) {
        const auto ttl_ns = ttl_ns_of(input.ttl());
        if (!ttl_ns || *ttl_ns > std::numeric_limits<std::int64_t>::max() - machine.time_ns_) {
            return std::nullopt;
        }
        value.deadline_ns = machine.time_ns_ + *ttl_ns;
    }
    value.index = machine.applied_index_;
    value.bytes = std::make_shared<const std::string>(std::move(*input.mutable_value()));
    return value;
}

Output StateMachine::Interpreter::set(StateMachine& machine, server::v1::ValueCommand& command,
                                      std::vector<Event>& events) {
    std::optional<Value> value = new_value(machine, *command.mutable_input()->mutable_set());
    if (!value) {
        return output_of(Output::Kind::set, Status::invalid);
    }
    const auto found = machine.find_for_command(command.name(), events);
    Output output = output_of(Output::Kind::set, Status::ok);
    output.index = machine.applied_index_;
    if (found == machine.values_.end()) {
        output.created = true;
        machine.create(std::move(*command.mutable_name()), std::move(*value), events);
    } else if (command.create_only()) {
        output.status = Status::already_exists;
        output.index = found->second.index;
    } else {
        machine.replace(found, std::move(*command.mutable_name()), std::move(*value), events);
    }
    return output;
}

Output StateMachine::Interpreter::update(StateMachine& machine, server::v1::ValueCommand& command,
                                         std::vector<Event>& events) {
    seed::UpdateInput& input = *command.mutable_input()->mutable_update();
    std::optional<Value> value = new_value(machine, input);
    if (!value) {
        return output_of(Output::Kind::update, Status::invalid);
    }
    const auto found = machine.find_for_command(command.name(), events);
    if (found == machine.values_.end()) {
        return output_of(Output::Kind::update, Status::not_found);
    }
    Output output = output_of(Output::Kind::update, Status::ok);
    if (input.prev_index() != 0 && input.prev_index() != found->second.index) {
        output.status = Status::conflict;
        output.index = found->second.index;
        return output;
    }
    output.index = machine.applied_index_;
    machine.replace(found, std::move(*command.mutable_name()), std::move(*value), events);
    output.prev_value = events.back().prev_value;
    return output;
}

Output StateMachine::Interpreter::remove(StateMachine& machine, const std::string& name,
                                         const seed::DeleteInput& input,
                                         std::vector<Event>& events) {
    const auto found = machine.find_for_command(name, events);
    if (found == machine.values_.end()) {
        return output_of(Output::Kind::remove, Status::not_found);
    }
    Output output = output_of(Output::Kind::remove, Status::ok);
    output.index = found->second.index;
    if (input.prev_index() != 0 && input.prev_index() != found->second.index) {
        output.status = Status::conflict;
        return output;
    }
    output.value = machine.remove(found, false, events);
    return output;
}

StateMachine::StateMachine() : interpreter_(std::make_unique<Interpreter>()) {}
StateMachine::~StateMachine() = default;
StateMachine::StateMachine(StateMachine&&) noexcept = default;
StateMachine& StateMachine::operator=(StateMachine&&) noexcept = default;

Output StateMachine::apply(Index index, std::int64_t stamp_ns, std::string_view command,
                           std::vector<Event>& events) {
    FSM_INVARIANT(index > applied_index_);
    applied_index_ = index;
    time_ns_ = std::max(time_ns_, stamp_ns);

    const std::size_t first_event = events.size();
    expire_overdue(events);
    kept_.expire(time_ns_, pinned_outcomes());
    Output output;
    if (!command.empty()) {
        output = interpreter_->run(*this, command, events);
    }
    for (std::size_t i = first_event; i < events.size(); ++i) {
        events[i].at_index = index;
        events[i].at_position = static_cast<std::uint32_t>(i - first_event);
        events[i].last_of_index = i + 1 == events.size();
    }
    return output;
}

void StateMachine::expire_overdue(std::vector<Event>& events) {
    for (std::size_t i = 0; i < expiries_per_entry_max && !deadlines_.empty(); ++i) {
        const Deadline first = *deadlines_.begin();
        if (first.at_ns > time_ns_) {
            return;
        }
        remove(values_.find(first.stored->first), true, events);
    }
}

StateMachine::Values::iterator StateMachine::find_for_command(std::string_view name,
                                                              std::vector<Event>& events) {
    const auto found = values_.find(name);
    if (found == values_.end() || !is_overdue(found->second)) {
        return found;
    }
    remove(found, true, events);
    return values_.end();
}

void StateMachine::insert(std::string name, Value value) {
    const auto [created, inserted] = values_.try_emplace(std::move(name), std::move(value));
    FSM_INVARIANT(inserted);
    bytes_ += size_of(*created);
    names_.insert(names_.end(), &*created);  // where it belongs, at once when it is the last
    move_deadline(*created, 0, created->second.deadline_ns);
}

void StateMachine::create(std::string name, Value value, std::vector<Event>& events) {
    Event& event = events.emplace_back();
    event.kind = Event::Kind::created;
    event.name = name;
    event.value = value;
    insert(std::move(name), std::move(value));
}

void StateMachine::replace(Values::iterator found, std::string name, Value value,
                           std::vector<Event>& events) {
    if (pinned_) {
        pinned_->preserve(found->first, found->second);
    }
    Event& event = events.emplace_back();
    event.kind = Event::Kind::updated;
    event.name = std::move(name);
    event.value = value;
    move_deadline(*found, found->second.deadline_ns, value.deadline_ns);
    bytes_ -= size_of(*found);
    event.prev_value = std::exchange(found->second, std::move(value));
    bytes_ += size_of(*found);
}

Value StateMachine::remove(Values::iterator found, bool expired, std::vector<Event>& events) {
    if (pinned_) {
        pinned_->preserve(found->first, found->second);
    }
    names_.erase(&*found);
    bytes_ -= size_of(*found);
    move_deadline(*found, found->second.deadline_ns, 0);
    auto removed = values_.extract(found);
    Event& event = events.emplace_back();
    event.kind = Event::Kind::deleted;
    event.expired = expired;
    event.name = std::move(removed.key());
    event.value = removed.mapped();
    return std::move(removed.mapped());
}

// Most writes leave the deadline as it is, most often none: they don't touch the set.
void StateMachine::move_deadline(const Stored& stored, std::int64_t from_ns, std::int64_t to_ns) {
    if (from_ns == to_ns) {
        return;
    }
    if (from_ns == 0) {
        deadlines_.insert({to_ns, &stored});
        return;
    }
    auto deadline = deadlines_.extract({from_ns, &stored});
    FSM_INVARIANT(!deadline.empty());
    if (to_ns != 0) {
        deadline.value().at_ns = to_ns;
        deadlines_.insert(std::move(deadline));
    }
}

const Value* StateMachine::get(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() || is_overdue(found->second) ? nullptr : &found->second;
}

std::vector<ListItem> StateMachine::list(std::string_view prefix, std::string_view after,
                                         std::size_t limit, bool& more) const {
    std::vector<ListItem> items;
    more = false;
    for_each_stored(prefix, after, [&](std::string_view name, const Value& value) {
        if (is_overdue(value)) {
            return true;
        }
        more = items.size() == limit;
        if (!more) {
            items.push_back({std::string(name), value});
        }
        return !more;
    });
    return items;
}

std::int64_t StateMachine::next_deadline_ns() const {
    return deadlines_.empty() ? 0 : deadlines_.begin()->at_ns;
}

std::uint64_t StateMachine::digest() const {
    Digest digest;
    snapshot::add_header(
        {applied_index_, time_ns_, utc_offset_ns_, values_.size(), kept_.outcomes().size()},
        digest);
    for (const Stored* stored : names_) {
        snapshot::add_value_head(stored->first, stored->second, digest);
        digest.add_part(*stored->second.bytes);
    }
    for (const auto& [index, outcome] : kept_.outcomes()) {
        snapshot::add_outcome_head(index, outcome, digest);
        if (const Value* const value = snapshot::value_of(outcome.output)) {
            digest.add_part(*value->bytes);
        }
    }
    return digest.value();
}

void StateMachine::begin_snapshot() {
    FSM_INVARIANT(!pinned_);
    pinned_ = std::make_unique<PinnedState>(*this);
}

bool StateMachine::read_snapshot(std::size_t bytes_max, std::string& out) {
    FSM_INVARIANT(pinned_);
    return pinned_->read(*this, bytes_max, out);
}

void StateMachine::end_snapshot() {
    pinned_.reset();
}

PinnedOutcomes* StateMachine::pinned_outcomes() {
    return pinned_ ? pinned_->outcomes() : nullptr;
}

}  // namespace cairn::fsm
