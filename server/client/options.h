// What `cairn get`, `set` and the other commands for a running cluster have been told.
//
// Plain values, any thread. flags.h makes them from the command line; what is in them has been
// checked as far as that is possible without asking anybody.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "server/base/address.h"

namespace cairn::client {

enum class Verb : std::uint8_t {
    get,
    set,
    update,
    remove,
    list,
    watch,
    events,
    status,
    members,
    add_member,
    remove_member,
    lead,
    completion,  // the script for a shell
    complete,    // what that script asks
};

enum class ValueSource : std::uint8_t { text, standard_input, file };

struct Options {
    Verb verb = Verb::get;
    std::vector<server::Address> endpoints{{"127.0.0.1", 8080}};
    std::chrono::milliseconds timeout{10'000};  // for all attempts together
    bool json = false;
    bool curl = false;  // print the curl line instead

    std::string name;        // of a value; of a list or with is_prefix: how names begin
    bool is_prefix = false;  // watch, events
    ValueSource source = ValueSource::text;
    std::string value;  // the text, or the file's name
    std::string ttl;
    std::string if_match;  // "*", or an index
    bool create = false;
    std::string idempotency_key;  // empty: one of its own

    std::string output;  // a file; empty: standard output
    std::string consistency;
    std::string min_index;
    std::string after_index;            // get: wait for another index than this
    std::chrono::milliseconds wait{0};  // get

    std::uint64_t limit = 0;  // list: values; watch, events: messages; 0: all
    bool keys_only = false;
    std::string after_name;  // list
    std::string at_index;    // list, from its second page on: that of the first
    std::string cursor;

    std::string member_id;
    std::string member_address;
    bool learner = false;

    std::string shell;
    std::vector<std::string> words;  // complete: after the program's name, the last unfinished
};

// For scripts: these don't change. In the order of client.md.
enum Exit : int {
    exit_done = 0,
    exit_refused = 1,
    exit_usage = 2,
    exit_not_found = 3,
    exit_condition = 4,
    exit_unavailable = 5,
    exit_unknown = 6,
};

}  // namespace cairn::client
