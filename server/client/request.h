// The HTTP request that a command is.
//
// Pure functions, any thread. The same request is what is sent and what --curl prints; sending it,
// and sending it again, is done elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "server/client/http_client.h"
#include "server/client/options.h"

namespace cairn::client {

// How often the same request may be sent.
enum class Repeat : std::uint8_t {
    harmless,  // it reads
    keyed,     // it writes, and its Idempotency-Key makes one write of many
    unsafe,    // it writes
};

Repeat repeat_of(Verb verb);

// Whether there is a body that is the value.
bool takes_value(Verb verb);

// In a page of a list: not more values than fit into memory, whatever their size.
constexpr std::uint64_t page_values_max = 100;
constexpr std::uint64_t page_names_max = 1000;

// `value` is the body of set and update. Not of the commands that ask nobody.
server::HttpQuestion make_question(const Options& options, std::string value);

// Adds the deadline that the server keeps. Not to streams: they have none.
void add_deadline(std::chrono::milliseconds deadline, server::HttpQuestion& question);

}  // namespace cairn::client
