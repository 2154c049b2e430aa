// Flags of a command, declared to CLI11 and read back as text: each with one value, given once.
//
// For the command line's parsers, on the main thread. What is wrong is answered as one sentence;
// nothing is thrown and nothing is printed here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "server/base/parse_result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cairn::server {

// --name VALUE_NAME
void add_flag(CLI::App& app, const std::string& name, const std::string& value_name,
              const std::string& help);

// --name
void add_switch(CLI::App& app, const std::string& name, const std::string& help);

// What stands at a place of its own.
CLI::Option& add_word(CLI::App& app, const std::string& name, const std::string& help);

bool is_given(const CLI::App& app, const std::string& name);

// `text` stays as it is when the flag wasn't given.
std::string read_text(const CLI::App& app, const std::string& name, std::string& text);
std::string read_number(const CLI::App& app, const std::string& name, std::uint64_t& number);

// By `parse`, which answers a ParseResult<Value>.
template <class Value, class Parse>
std::string read_parsed(const CLI::App& app, const std::string& name, const Parse& parse,
                        std::optional<Value>& value) {
    std::string text;
    if (std::string wrong = read_text(app, name, text); !wrong.empty() || !is_given(app, name)) {
        return wrong;
    }
    ParseResult<Value> parsed = parse(text);
    if (!parsed) {
        return "--" + name + ": " + parsed.error().text;
    }
    value = *std::move(parsed);
    return {};
}

}  // namespace cairn::server
