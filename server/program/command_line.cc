#include "server/program/command_line.h"

#include <algorithm>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "server/base/printable.h"
#include "server/client/completion.h"
#include "server/client/flags.h"
#include "server/settings/flag_reading.h"
#include "server/settings/settings_file.h"

#ifndef CAIRN_VERSION
#error "CAIRN_VERSION, the version as a string, comes from the build"
#endif

namespace cairn::server {
namespace {

// `cairn verify`, `dump`, `recover` and `restore`: flags alone, but for the data directory, which
// is that of `cairn serve`.
class ToolFlags {
 public:
    explicit ToolFlags(CLI::App& app)
        : verify_(app.add_subcommand("verify", "Check a data directory, changing nothing")),
          dump_(app.add_subcommand("dump", "Show what is in the log or in the newest snapshot")),
          recover_(app.add_subcommand(
              "recover", "Make one survivor a new cluster, when the majority is lost for good")),
          restore_(app.add_subcommand("restore", "Make a node of a new cluster from a backup")) {
        verify_->footer(
            "No node may be using the directory. Exit status: 0 sound, 1 damaged, 2 not checked.");
        dump_->footer(
            "No node may be using the directory. Exit status: 0 shown, 1 damaged (what can be "
            "read\n"
            "is shown), 2 not looked at.");
        recover_->footer(
            "No node may be using the directory. The old data is kept in DIR/before-recovery-N.\n"
            "Without --yes it only says what it would do. Exit status: 0 done, 1 the data is\n"
            "damaged, 2 not done.");
        restore_->footer(
            "The directory must be new. With --initial-cluster, restore the same file on each of\n"
            "its nodes. Exit status: 0 done, 1 the file is damaged, 2 not done.");
        for (CLI::App* tool : {verify_, dump_, recover_, restore_}) {
            tool->get_formatter()->column_width(34);
            add_flag(*tool, "data-dir", "DIR",
                     "The data directory\n[CAIRN_DATA_DIR, ./cairn-data]");
        }
        for (CLI::App* tool : {verify_, dump_}) {
            add_switch(*tool, "json", "Print JSON");
        }
        add_flag(*recover_, "raft", "HOST:PORT",
                 "Where new nodes will reach this one, when that has changed");
        add_switch(*recover_, "yes", "Do it");
        add_word(*restore_, "FILE", "The backup").required();
        add_flag(*restore_, "id", "ID", "The node's id\n[1]");
        add_flag(*restore_, "raft", "HOST:PORT",
                 "Where other nodes connect, when this node begins alone\n[127.0.0.1:7080]");
        add_flag(*restore_, "initial-cluster", "LIST",
                 "Ids and Raft addresses of the nodes that begin together,\n"
                 "1=HOST:PORT,2=HOST:PORT,…");
        add_flag(*dump_, "from", "INDEX", "Only entries, and of them those from this index on");
        add_flag(*dump_, "to", "INDEX", "Only entries, and of them those up to this index");
        add_flag(*dump_, "limit", "N", "At most so many records or values");
        add_switch(*dump_, "snapshot", "Show the newest snapshot instead of the log");
        add_switch(*dump_, "values", "Show how values begin, not only their sizes");
    }

    const CLI::App* parsed() const {
        for (const CLI::App* tool : {verify_, dump_, recover_, restore_}) {
            if (tool->parsed()) {
                return tool;
            }
        }
        return nullptr;
    }

    // One of them was parsed. Answers what is wrong, or nothing.
    std::string read(const EnvironmentLookup& environment, CommandLineResult& result) const {
        const CLI::App& tool = *parsed();
        std::string data_dir = "./cairn-data";
        if (const std::optional<std::string> told = told_by(environment, "data-dir")) {
            data_dir = *told;
        }
        if (std::string wrong = read_text(tool, "data-dir", data_dir); !wrong.empty()) {
            return wrong;
        }
        if (data_dir.empty()) {
            return "--data-dir: empty";
        }
        if (&tool == verify_) {
            result.action = CommandLineResult::Action::verify;
            result.verify = {.data_dir = data_dir, .json = tool.count("--json") > 0};
            return {};
        }
        if (&tool == recover_) {
            result.action = CommandLineResult::Action::recover;
            return read_recover(data_dir, result.recover);
        }
        if (&tool == restore_) {
            result.action = CommandLineResult::Action::restore;
            return read_restore(data_dir, result.restore);
        }
        result.action = CommandLineResult::Action::dump;
        return read_dump(data_dir, result.dump);
    }

 private:
    std::string read_dump(const std::string& data_dir, DumpOptions& dump) const {
        const CLI::App& tool = *dump_;
        dump.data_dir = data_dir;
        dump.snapshot = tool.count("--snapshot") > 0;
        dump.values = tool.count("--values") > 0;
        dump.json = tool.count("--json") > 0;
        for (const auto& [name, number] :
             {std::pair{"from", &dump.from}, {"to", &dump.to}, {"limit", &dump.limit}}) {
            if (std::string wrong = read_number(tool, name, *number); !wrong.empty()) {
                return wrong;
            }
        }
        if (dump.snapshot && (tool.count("--from") > 0 || tool.count("--to") > 0)) {
            return "--from and --to are of the log, not of a snapshot";
        }
        return dump.from > dump.to ? "--from: beyond --to" : "";
    }

    std::string read_recover(const std::string& data_dir, RecoverOptions& recover) const {
        recover.data_dir = data_dir;
        recover.confirmed = recover_->count("--yes") > 0;
        return read_parsed(*recover_, "raft", parse_peer_address, recover.raft);
    }

    std::string read_restore(const std::string& data_dir, RestoreOptions& restore) const {
        const std::vector<std::string> files = restore_->get_option("FILE")->results();
        if (files.size() != 1 || files.front().empty()) {
            return "restore takes one FILE";
        }
        restore.file = files.front();
        restore.data_dir = data_dir;
        std::optional<std::uint64_t> id;
        std::optional<Address> raft;
        std::optional<InitialCluster> founders;
        for (const std::string& wrong :
             {read_parsed(*restore_, "id", parse_node_id, id),
              read_parsed(*restore_, "raft", parse_peer_address, raft),
              read_parsed(*restore_, "initial-cluster", parse_initial_cluster, founders)}) {
            if (!wrong.empty()) {
                return wrong;
            }
        }
        restore.id = id.value_or(restore.id);
        if (founders && raft) {
            return "--raft: it is in --initial-cluster";
        }
        restore.founders =
            founders.value_or(InitialCluster{{restore.id, raft.value_or(ServeOptions{}.raft)}});
        return has_member(restore.founders, restore.id)
                   ? ""
                   : "--initial-cluster: id " + std::to_string(restore.id) + " is not in it";
    }

    static ParseResult<Address> parse_peer_address(std::string_view text) {
        return parse_address(text, PortZero::refused);
    }

    CLI::App* verify_;
    CLI::App* dump_;
    CLI::App* recover_;
    CLI::App* restore_;
};

// CLI11 reads the flags and writes the help; the environment and the settings file are read here.
// Its own order is flag, file, environment, and its file parser cuts quoted strings at a "#",
// takes 5 for "5" and skips what it doesn't understand.
class Flags {
 public:
    Flags() : app_("Cairn: named values, replicated by Raft.", "cairn") {
        app_.set_version_flag("--version", "cairn " CAIRN_VERSION, "Print the version and exit");
        app_.set_help_flag("--help,-h", "Print this help and exit");
        app_.footer("`cairn serve --help` lists what a node can be told.");
        app_.require_subcommand(0, 1);
        serve_ = app_.add_subcommand("serve", "Run a node");
        serve_->footer(
            "Each flag has the environment variable named beside it, and a key in the settings\n"
            "file: its name without the dashes, as in  id = 1  or  data-dir = \"/var/lib/cairn\".\n"
            "A flag beats the environment, which beats the file.");
        app_.get_formatter()->column_width(34);
        serve_->get_formatter()->column_width(34);
        tools_.emplace(app_);
        client_.emplace(app_);
        add("config", "FILE", "", "A TOML file with settings", false);
        for (const Setting& setting : serve_settings()) {
            add(setting.name, setting.value_name, setting.default_text, setting.help,
                setting.kind == SettingKind::choice);
        }
    }

    // What is left to do afterwards: nothing when there is a result.
    std::optional<CommandLineResult> parse(const std::vector<std::string>& arguments) {
        try {
            app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
        } catch (const CLI::CallForHelp&) {
            return CommandLineResult{.out = app_.help()};
        } catch (const CLI::CallForVersion& version) {
            return CommandLineResult{.out = std::string(version.what()) + "\n"};
        } catch (const CLI::ExtrasError&) {
            return CommandLineResult{.exit_status = 2,
                                     .err = "cairn: unexpected " + in_quotes(first_extra()) +
                                            ", see cairn " + command() + "--help\n"};
        } catch (const CLI::ParseError& error) {
            return CommandLineResult{.exit_status = 2,
                                     .err = "cairn: " + printable(error.what()) + "\n"};
        }
        if (app_.get_subcommands().empty()) {
            return CommandLineResult{.exit_status = 2, .err = app_.help()};
        }
        return std::nullopt;
    }

    const ToolFlags& tools() const { return *tools_; }
    const client::Flags& client() const { return *client_; }
    const CLI::App& app() const { return app_; }

    // What was given for the flag, in order; empty when it was not.
    std::vector<std::string> given(std::string_view name) const {
        return options_.find(name)->second->results();
    }

 private:
    // CLI11 counts a "--" before it too.
    std::string first_extra() const {
        const std::vector<std::string> extras = app_.remaining(true);
        return extras.size() > 1 && extras.front() == "--" ? extras[1] : extras.front();
    }

    // Whose help to read.
    std::string command() const {
        std::string names;
        for (const CLI::App* app = &app_; !app->get_subcommands().empty();) {
            app = app->get_subcommands().front();
            names += app->get_name() + " ";
        }
        return names;
    }

    void add(std::string_view name, std::string_view value_name, std::string_view default_text,
             std::string_view help, bool choice) {
        const std::string flag = "--" + std::string(name);
        const std::string default_note =
            default_text.empty() ? "" : ", default " + std::string(default_text);
        // Const, or CLI11 takes it for the variable to write to.
        const std::string text =
            std::string(help) + "\n[" + environment_name(name) + default_note + "]";
        CLI::Option* option =
            choice ? serve_->add_flag(flag, text) : serve_->add_option(flag, text);
        if (!choice) {
            option->type_name(std::string(value_name));
            // One value per flag: not also the words that follow it, nor the inside of [::1].
            option->allow_extra_args(false);
        }
        // All that was given is kept; make_options() refuses a second value where there is one.
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        options_.emplace(name, option);
    }

    CLI::App app_;
    CLI::App* serve_ = nullptr;
    std::optional<ToolFlags> tools_;
    std::optional<client::Flags> client_;
    std::map<std::string, const CLI::Option*, std::less<>> options_;
};

FileSetting::Kind file_kind(SettingKind kind) {
    switch (kind) {
        case SettingKind::number:
            return FileSetting::Kind::integer;
        case SettingKind::choice:
            return FileSetting::Kind::boolean;
        case SettingKind::list:
            return FileSetting::Kind::array;
        case SettingKind::text:
            break;
    }
    return FileSetting::Kind::string;
}

std::string_view kind_name(FileSetting::Kind kind) {
    switch (kind) {
        case FileSetting::Kind::integer:
            return "an integer";
        case FileSetting::Kind::boolean:
            return "true or false";
        case FileSetting::Kind::array:
            return "an array of strings";
        case FileSetting::Kind::string:
            break;
    }
    return "a string";
}

// Reads the file into `given`. Answers what is wrong, or nothing.
std::string read_file_settings(const std::string& path, GivenSettings& given) {
    const std::string file = "settings file " + in_quotes(path, 1000);
    const ParseResult<std::string> content = read_settings_file(path);
    if (!content) {
        return file + ": " + content.error().text;
    }
    ParseResult<std::vector<FileSetting>> settings = parse_settings(*content);
    if (!settings) {
        return file + ": " + settings.error().text;
    }
    for (FileSetting& read : *settings) {
        const std::string place = file + ": line " + std::to_string(read.line);
        const auto setting = std::ranges::find(serve_settings(), read.name, &Setting::name);
        if (setting == serve_settings().end()) {
            return place + ": there is no setting " + in_quotes(read.name);
        }
        // A list of one may be written as a string.
        const FileSetting::Kind wanted = file_kind(setting->kind);
        const bool list_of_one =
            setting->kind == SettingKind::list && read.kind == FileSetting::Kind::string;
        if (read.kind != wanted && !list_of_one) {
            return place + ": " + read.name + " is " + std::string(kind_name(wanted)) + ", not " +
                   std::string(kind_name(read.kind));
        }
        given[read.name] = {std::move(read.texts), place + ": " + read.name};
    }
    return {};
}

// Collects what is given for each setting, each from the place that is heard.
std::string collect(const Flags& flags, const EnvironmentLookup& environment,
                    GivenSettings& given) {
    std::vector<std::string> config = flags.given("config");
    if (config.size() > 1) {
        return "--config: given more than once";
    }
    if (config.empty()) {
        if (std::optional<std::string> value = told_by(environment, "config")) {
            config.push_back(*std::move(value));
        }
    }
    if (!config.empty()) {
        if (std::string wrong = read_file_settings(config.front(), given); !wrong.empty()) {
            return wrong;
        }
    }
    for (const Setting& setting : serve_settings()) {
        const std::string name(setting.name);
        if (std::vector<std::string> texts = flags.given(name); !texts.empty()) {
            given[name] = {std::move(texts), "--" + name};
        } else if (std::optional<std::string> text = told_by(environment, name)) {
            given[name] = {{*std::move(text)}, environment_name(name)};
        }
    }
    return {};
}

// `cairn complete`: from the shell's own tables, or from a node, in which case client::run asks it.
CommandLineResult complete(const Flags& flags, const std::vector<std::string>& words,
                           const EnvironmentLookup& environment) {
    client::Completions completions = client::complete(flags.app(), words);
    CommandLineResult result;
    for (const std::string& line : completions.lines) {
        result.out += line + "\n";
    }
    if (!completions.name_prefix) {
        return result;
    }
    if (std::optional<std::string> told = told_by(environment, "endpoint");
        told && completions.endpoints.empty()) {
        completions.endpoints.push_back(*std::move(told));
    }
    client::set_names_question(completions, result.client);
    result.action = CommandLineResult::Action::client;
    return result;
}

}  // namespace

CommandLineResult parse_command_line(const std::vector<std::string>& arguments,
                                     const EnvironmentLookup& environment, unsigned cores) {
    Flags flags;
    if (!arguments.empty() && arguments.front() == "complete") {
        return complete(flags, {arguments.begin() + 1, arguments.end()}, environment);
    }
    if (std::optional<CommandLineResult> done = flags.parse(arguments)) {
        return *std::move(done);
    }
    const auto refuse = [](const std::string& reason) {
        return CommandLineResult{.exit_status = 2, .err = "cairn: " + reason + "\n"};
    };
    if (flags.tools().parsed() != nullptr) {
        CommandLineResult result;
        const std::string wrong = flags.tools().read(environment, result);
        return wrong.empty() ? result : refuse(wrong);
    }
    if (flags.client().parsed() != nullptr) {
        CommandLineResult result{.action = CommandLineResult::Action::client};
        const std::string wrong = flags.client().read(environment, result.client);
        return wrong.empty() ? result : refuse(wrong);
    }
    GivenSettings given;
    if (const std::string wrong = collect(flags, environment, given); !wrong.empty()) {
        return refuse(wrong);
    }
    ParseResult<ServeOptions> options = make_options(given, cores);
    if (!options) {
        return refuse(options.error().text);
    }
    return {.action = CommandLineResult::Action::serve, .options = *std::move(options)};
}

}  // namespace cairn::server
