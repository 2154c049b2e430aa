#include "fsm/snapshot_format.h"

#include "fsm/invariant.h"
#include "fsm/name.h"

namespace cairn::fsm::snapshot {

namespace {

static_assert(name_bytes_max <= UINT16_MAX && idempotency_key_bytes_max <= UINT8_MAX);

template <std::size_t size>
void append(std::uint64_t number, std::string& out) {
    char bytes[size];
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>(number >> (8 * i));
    }
    out.append(bytes, size);
}

void append_signed(std::int64_t number, std::string& out) {
    append<8>(static_cast<std::uint64_t>(number), out);
}

// Takes one number after the other from the front.
class Fields {
 public:
    explicit Fields(std::string_view bytes) : rest_(bytes) {}

    std::uint64_t next(std::size_t size) {
        FSM_INVARIANT(rest_.size() >= size);
        std::uint64_t number = 0;
        for (std::size_t i = 0; i < size; ++i) {
            number |= std::uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
        }
        rest_.remove_prefix(size);
        return number;
    }
    std::int64_t next_signed() { return static_cast<std::int64_t>(next(8)); }
    std::uint8_t next_byte() { return static_cast<std::uint8_t>(next(1)); }

 private:
    std::string_view rest_;
};

}  // namespace

void append_header(const Header& header, std::string& out) {
    out += magic;
    append<4>(version, out);
    append<8>(header.applied_index, out);
    append_signed(header.time_ns, out);
    append_signed(header.utc_offset_ns, out);
    append<8>(header.values, out);
    append<8>(header.outcomes, out);
}

void append_value_head(std::string_view name, const Value& value, std::string& out) {
    out += value_tag;
    append<2>(name.size(), out);
    append<4>(value.bytes->size(), out);
    append<8>(value.index, out);
    append_signed(value.deadline_ns, out);
    out += name;
}

void append_outcome_head(Index entry_index, const KeptOutcome& outcome, std::string& out) {
    const Output& output = outcome.output;
    const Value* const value = value_of(output);
    out += outcome_tag;
    append<1>(outcome.key.size(), out);
    append<4>(value != nullptr ? value->bytes->size() : 0, out);
    append<8>(entry_index, out);
    append_signed(outcome.deadline_ns, out);
    append<8>(outcome.fingerprint, out);
    append<1>(static_cast<std::uint64_t>(output.status), out);
    append<1>(static_cast<std::uint64_t>(output.kind), out);
    append<1>(output.created ? 1 : 0, out);
    append<8>(output.index, out);
    append<8>(value != nullptr ? value->index : 0, out);
    append_signed(value != nullptr ? value->deadline_ns : 0, out);
    out += outcome.key;
}

void append_footer(const Footer& footer, std::string& out) {
    out += footer_tag;
    append<8>(footer.values, out);
    append<8>(footer.outcomes, out);
    append<8>(footer.digest, out);
}

bool decode_header(std::string_view bytes, Header& header) {
    if (!bytes.starts_with(magic)) {
        return false;
    }
    Fields fields(bytes.substr(magic.size()));
    if (fields.next(4) != version) {
        return false;
    }
    header.applied_index = fields.next(8);
    header.time_ns = fields.next_signed();
    header.utc_offset_ns = fields.next_signed();
    header.values = fields.next(8);
    header.outcomes = fields.next(8);
    return true;
}

ValueHead decode_value_head(std::string_view bytes) {
    Fields fields(bytes.substr(1));
    ValueHead head;
    head.name_bytes = fields.next(2);
    head.bytes = fields.next(4);
    head.index = fields.next(8);
    head.deadline_ns = fields.next_signed();
    return head;
}

OutcomeHead decode_outcome_head(std::string_view bytes) {
    Fields fields(bytes.substr(1));
    OutcomeHead head;
    head.key_bytes = fields.next(1);
    head.bytes = fields.next(4);
    head.entry_index = fields.next(8);
    head.deadline_ns = fields.next_signed();
    head.fingerprint = fields.next(8);
    head.status = fields.next_byte();
    head.kind = fields.next_byte();
    head.created = fields.next_byte();
    head.index = fields.next(8);
    head.value_index = fields.next(8);
    head.value_deadline_ns = fields.next_signed();
    return head;
}

Footer decode_footer(std::string_view bytes) {
    Fields fields(bytes.substr(1));
    Footer footer;
    footer.values = fields.next(8);
    footer.outcomes = fields.next(8);
    footer.digest = fields.next(8);
    return footer;
}

const Value* value_of(const Output& output) {
    if (output.value) {
        return &*output.value;
    }
    return output.prev_value ? &*output.prev_value : nullptr;
}

void add_header(const Header& header, Digest& digest) {
    digest.add(header.applied_index);
    digest.add(static_cast<std::uint64_t>(header.time_ns));
    digest.add(static_cast<std::uint64_t>(header.utc_offset_ns));
    digest.add(header.values);
    digest.add(header.outcomes);
}

void add_value_head(std::string_view name, const Value& value, Digest& digest) {
    digest.add(name);
    digest.add(value.index);
    digest.add(static_cast<std::uint64_t>(value.deadline_ns));
    digest.add(value.bytes->size());
}

void add_outcome_head(Index entry_index, const KeptOutcome& outcome, Digest& digest) {
    const Output& output = outcome.output;
    digest.add(outcome.key);
    digest.add(entry_index);
    digest.add(static_cast<std::uint64_t>(outcome.deadline_ns));
    digest.add(outcome.fingerprint);
    digest.add(static_cast<std::uint64_t>(output.status));
    digest.add(static_cast<std::uint64_t>(output.kind));
    digest.add(output.created ? 1 : 0);
    digest.add(output.index);
    if (const Value* const value = value_of(output)) {
        digest.add(value->index);
        digest.add(static_cast<std::uint64_t>(value->deadline_ns));
        digest.add(value->bytes->size());
    }
}

}  // namespace cairn::fsm::snapshot
