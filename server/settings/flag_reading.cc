#include "server/settings/flag_reading.h"

#include <charconv>
#include <vector>

#include <CLI/CLI.hpp>

#include "server/base/printable.h"

namespace cairn::server {

void add_flag(CLI::App& app, const std::string& name, const std::string& value_name,
              const std::string& help) {
    CLI::Option* option = app.add_option("--" + name, help);
    option->type_name(value_name)->allow_extra_args(false);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// `help` is const, or CLI11 takes it for the variable to write to.
void add_switch(CLI::App& app, const std::string& name, const std::string& help) {
    app.add_flag("--" + name, help)->disable_flag_override();
}

CLI::Option& add_word(CLI::App& app, const std::string& name, const std::string& help) {
    CLI::Option* option = app.add_option(name, help);
    option->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    return *option;
}

bool is_given(const CLI::App& app, const std::string& name) {
    return app.count("--" + name) > 0;
}

std::string read_text(const CLI::App& app, const std::string& name, std::string& text) {
    const std::vector<std::string> given = app.get_option("--" + name)->results();
    if (given.size() > 1) {
        return "--" + name + ": given more than once";
    }
    text = given.empty() ? text : given.front();
    return {};
}

std::string read_number(const CLI::App& app, const std::string& name, std::uint64_t& number) {
    std::string text = std::to_string(number);
    if (std::string wrong = read_text(app, name, text); !wrong.empty()) {
        return wrong;
    }
    const char* const end = text.data() + text.size();
    const std::from_chars_result read = std::from_chars(text.data(), end, number);
    if (text.empty() || read.ec != std::errc() || read.ptr != end) {
        return "--" + name + ": " + in_quotes(text) + " is not a whole number";
    }
    return {};
}

}  // namespace cairn::server
