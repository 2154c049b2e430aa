#include "fsm/pinned_state.h"

#include <algorithm>
#include <utility>

namespace cairn::fsm {

namespace {

// What passing a name that wasn't there costs of a part, about what a small value costs: else one
// part could pass any number of them.
constexpr std::size_t skipped_name_bytes = 64;

}  // namespace

StateMachine::PinnedState::PinnedState(const StateMachine& machine)
    : header_{machine.applied_index_, machine.time_ns_, machine.utc_offset_ns_,
              machine.values_.size(), machine.kept_.outcomes().size()} {
    outcomes_.last = machine.applied_index_;
}

void StateMachine::PinnedState::preserve(std::string_view name, const Value& value) {
    const bool pinned = value.index <= header_.applied_index;
    const bool unread = phase_ <= Phase::values && name > read_name_;
    if (pinned && unread) {
        changed_.emplace(name, value);
    }
}

bool StateMachine::PinnedState::read(const StateMachine& machine, std::size_t bytes_max,
                                     std::string& out) {
    Part part(std::max<std::size_t>(bytes_max, 1), out);
    while (phase_ != Phase::done && !part.is_full()) {
        if (phase_ == Phase::header) {
            write_header(part);
        } else if (phase_ == Phase::values) {
            read_values(machine, part);
        } else if (phase_ == Phase::outcomes) {
            read_outcomes(machine, part);
        } else {
            write_footer(part);
        }
    }
    return phase_ != Phase::done;
}

void StateMachine::PinnedState::read_values(const StateMachine& machine, Part& part) {
    auto live = machine.names_.upper_bound(std::string_view(read_name_));
    while (!part.is_full()) {
        if (bytes_ != nullptr) {
            write_bytes(part);
            continue;
        }
        const bool live_left = live != machine.names_.end();
        if (!live_left && changed_.empty()) {
            phase_ = Phase::outcomes;
            return;
        }
        if (changed_.empty() || (live_left && (*live)->first < changed_.begin()->first)) {
            const auto& [name, value] = **live;
            read_name_ = name;
            if (value.index <= header_.applied_index) {
                write_value(name, value, part);
            } else {
                part.spend(skipped_name_bytes);
            }
            ++live;
        } else {
            auto changed = changed_.extract(changed_.begin());
            write_value(changed.key(), changed.mapped(), part);
            read_name_ = std::move(changed.key());
        }
    }
}

void StateMachine::PinnedState::read_outcomes(const StateMachine& machine, Part& part) {
    const KeptOutcomes& kept = machine.kept_.outcomes();
    auto live = kept.upper_bound(outcomes_.read);
    while (!part.is_full()) {
        if (bytes_ != nullptr) {
            write_bytes(part);
            continue;
        }
        const bool live_left = live != kept.end() && live->first <= outcomes_.last;
        KeptOutcomes& forgotten = outcomes_.forgotten;
        if (!live_left && forgotten.empty()) {
            phase_ = Phase::footer;
            return;
        }
        if (forgotten.empty() || (live_left && live->first < forgotten.begin()->first)) {
            outcomes_.read = live->first;
            write_outcome(live->first, live->second, part);
            ++live;
        } else {
            const auto first = forgotten.extract(forgotten.begin());
            outcomes_.read = first.key();
            write_outcome(first.key(), first.mapped(), part);
        }
    }
}

void StateMachine::PinnedState::write_header(Part& part) {
    snapshot::append_header(header_, part.out);
    snapshot::add_header(header_, digest_);
    part.spend(snapshot::header_bytes);
    phase_ = Phase::values;
}

void StateMachine::PinnedState::write_value(std::string_view name, const Value& value, Part& part) {
    const std::size_t before = part.out.size();
    snapshot::append_value_head(name, value, part.out);
    snapshot::add_value_head(name, value, digest_);
    part.spend(part.out.size() - before);
    bytes_ = value.bytes;
}

void StateMachine::PinnedState::write_outcome(Index index, const KeptOutcome& outcome, Part& part) {
    const std::size_t before = part.out.size();
    snapshot::append_outcome_head(index, outcome, part.out);
    snapshot::add_outcome_head(index, outcome, digest_);
    part.spend(part.out.size() - before);
    if (const Value* const value = snapshot::value_of(outcome.output)) {
        bytes_ = value->bytes;
    }
}

void StateMachine::PinnedState::write_footer(Part& part) {
    snapshot::append_footer({header_.values, header_.outcomes, digest_.value()}, part.out);
    part.spend(snapshot::footer_bytes);
    phase_ = Phase::done;
}

void StateMachine::PinnedState::write_bytes(Part& part) {
    std::string_view rest = std::string_view(*bytes_).substr(bytes_written_);
    // Cut where the digest can go on.
    const std::size_t cut = std::max<std::size_t>(part.bytes_left() & ~std::size_t{7}, 8);
    const bool last = rest.size() <= cut;
    rest = rest.substr(0, cut);
    part.out += rest;
    digest_.add_part(rest);
    part.spend(rest.size());
    bytes_written_ = last ? 0 : bytes_written_ + rest.size();
    if (last) {
        bytes_.reset();
    }
}

}  // namespace cairn::fsm
