// The bytes of a snapshot: what its records are made of and how they go into the state's digest.
// Plain functions, for any thread; who writes one is fsm/pinned_state.h, who reads one is
// fsm/snapshot.h.
//
// A snapshot is a header, the values in the order of their names (by byte), the outcomes kept under
// idempotency keys in the order of their entries, and a footer. All numbers are little-endian, so
// that the same state is the same bytes everywhere:
//
//   header   magic[8] version:4 applied_index:8 time_ns:8 utc_offset_ns:8 values:8 outcomes:8
//   value    'v' name_bytes:2 bytes:4 index:8 deadline_ns:8 name[] bytes[]
//   outcome  'k' key_bytes:1 bytes:4 entry_index:8 deadline_ns:8 fingerprint:8 status:1 kind:1
//            created:1 index:8 value_index:8 value_deadline_ns:8 key[] bytes[]
//   footer   'e' values:8 outcomes:8 digest:8
//
// An outcome has at most one value (what was read, deleted or replaced; the kind says which); its
// three fields are 0 where there is none. The digest is that of the state, which doesn't depend on
// this layout. The decode_* functions take exactly the fixed bytes of a record and judge nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fsm/digest.h"
#include "fsm/idempotency.h"
#include "fsm/types.h"

namespace cairn::fsm::snapshot {

constexpr std::string_view magic = "CairnFSM";
constexpr std::uint32_t version = 1;

constexpr char value_tag = 'v';
constexpr char outcome_tag = 'k';
constexpr char footer_tag = 'e';

// A record without its name or key and without its value.
constexpr std::size_t header_bytes = 52;
constexpr std::size_t value_head_bytes = 23;
constexpr std::size_t outcome_head_bytes = 57;
constexpr std::size_t footer_bytes = 25;

struct Header {
    Index applied_index = 0;
    std::int64_t time_ns = 0;
    std::int64_t utc_offset_ns = 0;
    std::uint64_t values = 0;
    std::uint64_t outcomes = 0;
};

struct ValueHead {
    std::size_t name_bytes = 0;
    std::size_t bytes = 0;
    Index index = 0;
    std::int64_t deadline_ns = 0;
};

struct OutcomeHead {
    std::size_t key_bytes = 0;
    std::size_t bytes = 0;
    Index entry_index = 0;
    std::int64_t deadline_ns = 0;
    std::uint64_t fingerprint = 0;
    std::uint8_t status = 0;
    std::uint8_t kind = 0;
    std::uint8_t created = 0;
    Index index = 0;
    Index value_index = 0;  // 0: there is no value
    std::int64_t value_deadline_ns = 0;
};

struct Footer {
    std::uint64_t values = 0;
    std::uint64_t outcomes = 0;
    std::uint64_t digest = 0;
};

void append_header(const Header& header, std::string& out);
// All of the record but the value's bytes.
void append_value_head(std::string_view name, const Value& value, std::string& out);
void append_outcome_head(Index entry_index, const KeptOutcome& outcome, std::string& out);
void append_footer(const Footer& footer, std::string& out);

// False when it isn't a snapshot, or one of another version.
bool decode_header(std::string_view bytes, Header& header);
ValueHead decode_value_head(std::string_view bytes);
OutcomeHead decode_outcome_head(std::string_view bytes);
Footer decode_footer(std::string_view bytes);

// The value that an outcome comes with; null when there is none.
const Value* value_of(const Output& output);

void add_header(const Header& header, Digest& digest);
// All but the value's bytes, whose size is added.
void add_value_head(std::string_view name, const Value& value, Digest& digest);
void add_outcome_head(Index entry_index, const KeptOutcome& outcome, Digest& digest);

}  // namespace cairn::fsm::snapshot
