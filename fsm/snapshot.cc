#include "fsm/snapshot.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "fsm/command.h"
#include "fsm/name.h"

namespace cairn::fsm {

namespace {

static_assert(value_bytes_max <= UINT32_MAX);

// Room made at once for what a header announces; it may be lying.
constexpr std::uint64_t reserved_values_max = std::uint64_t{1} << 20;

}  // namespace

bool SnapshotLoader::feed(std::string_view bytes) {
    while (!bytes.empty() && error_.empty()) {
        if (payload_begun_) {
            take_payload(bytes);
        } else {
            take_head(bytes);
        }
    }
    return error_.empty();
}

std::optional<StateMachine> SnapshotLoader::finish(std::string& error) {
    if (error_.empty() && stage_ != Stage::done) {
        fail("the snapshot is cut short");
    }
    if (!error_.empty()) {
        error = error_;
        return std::nullopt;
    }
    fail("the state was taken");
    return std::move(machine_);
}

void SnapshotLoader::take_head(std::string_view& bytes) {
    const std::size_t taken = std::min(bytes.size(), head_wanted_ - head_.size());
    head_ += bytes.substr(0, taken);
    bytes.remove_prefix(taken);
    bytes_taken_ += taken;
    if (head_.size() == head_wanted_) {
        on_head();
    }
}

void SnapshotLoader::take_payload(std::string_view& bytes) {
    const std::size_t taken = std::min(bytes.size(), payload_wanted_ - payload_.size());
    payload_ += bytes.substr(0, taken);
    bytes.remove_prefix(taken);
    bytes_taken_ += taken;
    if (payload_.size() == payload_wanted_) {
        on_payload();
    }
}

void SnapshotLoader::on_head() {
    switch (stage_) {
        case Stage::header:
            return on_header();
        case Stage::tag:
            return on_tag();
        case Stage::value:
            return head_.size() == snapshot::value_head_bytes ? on_value_head() : on_name();
        case Stage::outcome:
            return head_.size() == snapshot::outcome_head_bytes ? on_outcome_head() : on_key();
        case Stage::footer:
            return on_footer();
        case Stage::done:
            return fail("bytes follow the end");
    }
}

void SnapshotLoader::on_header() {
    if (!snapshot::decode_header(head_, header_)) {
        return fail("not a snapshot of this version");
    }
    // Each value and each outcome has an entry of its own.
    if (header_.values > header_.applied_index || header_.outcomes > header_.applied_index) {
        return fail("more values or outcomes than entries");
    }
    if (header_.time_ns < 0) {
        return fail("time is before its beginning");
    }
    if (header_.applied_index == 0 && (header_.time_ns != 0 || header_.utc_offset_ns != 0)) {
        return fail("a state without entries that isn't empty");
    }
    snapshot::add_header(header_, digest_);
    machine_.applied_index_ = header_.applied_index;
    machine_.time_ns_ = header_.time_ns;
    machine_.utc_offset_ns_ = header_.utc_offset_ns;
    machine_.values_.reserve(std::min(header_.values, reserved_values_max));
    wait_for_tag();
}

void SnapshotLoader::on_tag() {
    const bool values_left = values_ < header_.values;
    const bool outcomes_left = outcomes_ < header_.outcomes;
    const char expected = values_left     ? snapshot::value_tag
                          : outcomes_left ? snapshot::outcome_tag
                                          : snapshot::footer_tag;
    if (head_[0] != expected) {
        return fail("not the record that has to follow");
    }
    stage_ = values_left ? Stage::value : outcomes_left ? Stage::outcome : Stage::footer;
    head_wanted_ = values_left     ? snapshot::value_head_bytes
                   : outcomes_left ? snapshot::outcome_head_bytes
                                   : snapshot::footer_bytes;
}

void SnapshotLoader::on_value_head() {
    value_ = snapshot::decode_value_head(head_);
    if (value_.name_bytes == 0 || value_.name_bytes > name_bytes_max ||
        value_.bytes > value_bytes_max) {
        return fail("the length of a name or of a value");
    }
    if (!is_index(value_.index) || !is_deadline(value_.deadline_ns)) {
        return fail("the index or the deadline of a value");
    }
    head_wanted_ += value_.name_bytes;
}

void SnapshotLoader::on_name() {
    const std::string_view name = std::string_view(head_).substr(snapshot::value_head_bytes);
    if (name <= last_name_) {
        return fail("names out of order");
    }
    if (!valid_name(name)) {
        return fail("what isn't a name");
    }
    last_name_ = name;
    wait_for_payload(value_.bytes);
}

void SnapshotLoader::on_outcome_head() {
    outcome_ = snapshot::decode_outcome_head(head_);
    if (outcome_.key_bytes == 0 || outcome_.bytes > value_bytes_max) {
        return fail("the length of a key or of an outcome's value");
    }
    if (!is_index(outcome_.entry_index) || outcome_.entry_index <= last_entry_index_) {
        return fail("the entry of an outcome");
    }
    if (outcome_.deadline_ns <= 0 || outcome_.deadline_ns < last_deadline_ns_ ||
        outcome_.deadline_ns > idempotency_deadline_ns(header_.time_ns)) {
        return fail("the deadline of an outcome");
    }
    const bool has_value = outcome_.value_index != 0;
    if (!has_value && (outcome_.bytes != 0 || outcome_.value_deadline_ns != 0)) {
        return fail("an outcome with half a value");
    }
    if (outcome_.status > static_cast<std::uint8_t>(Status::idempotency_mismatch) ||
        outcome_.kind > static_cast<std::uint8_t>(Output::Kind::remove) || outcome_.created > 1) {
        return fail("an outcome of an unknown kind");
    }
    last_entry_index_ = outcome_.entry_index;
    last_deadline_ns_ = outcome_.deadline_ns;
    head_wanted_ += outcome_.key_bytes;
}

void SnapshotLoader::on_key() {
    wait_for_payload(outcome_.bytes);
}

void SnapshotLoader::on_footer() {
    const snapshot::Footer footer = snapshot::decode_footer(head_);
    if (footer.values != header_.values || footer.outcomes != header_.outcomes) {
        return fail("the end counts differently");
    }
    if (footer.digest != digest_.value()) {
        return fail("the state isn't the one that was written");
    }
    stage_ = Stage::done;
    head_.clear();
    head_wanted_ = 1;
}

void SnapshotLoader::on_payload() {
    payload_begun_ = false;
    if (stage_ == Stage::value) {
        on_value();
    } else {
        on_outcome();
    }
    payload_ = std::string();
}

void SnapshotLoader::on_value() {
    Value value;
    value.bytes = std::make_shared<const std::string>(std::move(payload_));
    value.index = value_.index;
    value.deadline_ns = value_.deadline_ns;
    snapshot::add_value_head(last_name_, value, digest_);
    digest_.add_part(*value.bytes);
    machine_.insert(last_name_, std::move(value));
    ++values_;
    wait_for_tag();
}

void SnapshotLoader::on_outcome() {
    KeptOutcome kept;
    kept.key = head_.substr(snapshot::outcome_head_bytes);
    kept.fingerprint = outcome_.fingerprint;
    kept.deadline_ns = outcome_.deadline_ns;
    Output& output = kept.output;
    output.status = static_cast<Status>(outcome_.status);
    output.kind = static_cast<Output::Kind>(outcome_.kind);
    output.created = outcome_.created != 0;
    output.index = outcome_.index;
    output.replayed = true;
    output.first_applied_index = outcome_.entry_index;
    if (outcome_.value_index != 0) {
        Value value;
        value.bytes = std::make_shared<const std::string>(std::move(payload_));
        value.index = outcome_.value_index;
        value.deadline_ns = outcome_.value_deadline_ns;
        auto& place = output.kind == Output::Kind::update ? output.prev_value : output.value;
        place = std::move(value);
    }
    if (!is_output(output)) {
        return fail("an outcome that no command has");
    }
    snapshot::add_outcome_head(outcome_.entry_index, kept, digest_);
    if (const Value* const value = snapshot::value_of(output)) {
        digest_.add_part(*value->bytes);
    }
    if (!machine_.kept_.restore(outcome_.entry_index, std::move(kept))) {
        return fail("a key that is there already, or too many outcomes");
    }
    ++outcomes_;
    wait_for_tag();
}

void SnapshotLoader::wait_for_payload(std::size_t bytes) {
    payload_begun_ = true;
    payload_wanted_ = bytes;
    payload_.reserve(bytes);
    if (bytes == 0) {
        on_payload();
    }
}

void SnapshotLoader::wait_for_tag() {
    stage_ = Stage::tag;
    head_.clear();
    head_wanted_ = 1;
}

void SnapshotLoader::fail(const char* reason) {
    error_ = "snapshot, byte " + std::to_string(bytes_taken_) + ": " + reason;
}

bool SnapshotLoader::is_deadline(std::int64_t deadline_ns) const {
    constexpr std::int64_t end_of_time = std::numeric_limits<std::int64_t>::max();
    return deadline_ns >= 0 && (header_.time_ns > end_of_time - ttl_ns_max ||
                                deadline_ns <= header_.time_ns + ttl_ns_max);
}

bool SnapshotLoader::is_output(const Output& output) const {
    if (!is_coherent(output)) {
        return false;
    }
    const Value* const value = snapshot::value_of(output);
    if (value != nullptr &&
        (value->index >= output.first_applied_index || !is_deadline(value->deadline_ns))) {
        return false;
    }
    const bool wrote = output.status == Status::ok &&
                       (output.kind == Output::Kind::set || output.kind == Output::Kind::update);
    if (wrote) {
        return output.index == output.first_applied_index;
    }
    return output.index < output.first_applied_index &&
           (!output.value || output.index == output.value->index);
}

}  // namespace cairn::fsm
