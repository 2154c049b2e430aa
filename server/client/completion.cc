#include "server/client/completion.h"

#include <algorithm>
#include <string_view>

#include <CLI/CLI.hpp>

#include "server/client/flags.h"

namespace cairn::client {
namespace {

constexpr std::uint64_t names_max = 200;
constexpr std::chrono::milliseconds names_timeout{1'000};

// Words are rejoined where bash breaks them (127.0.0.1:8080), and what is before such a break in
// the last word is cut off again, as bash wants it.
constexpr const char* bash_script = R"sh(_cairn() {
    local rest=${COMP_LINE:0:COMP_POINT} word trimmed line
    local -a words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        if [[ ${#words[@]} -gt 0 && $trimmed == "$rest" ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
    local whole=${words[-1]} program=${words[0]/#\~/$HOME}
    COMPREPLY=()
    [[ $whole == [\"\']* ]] && return
    local i
    for i in "${!words[@]}"; do
        words[i]=${words[i]//\\/}
    done
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o default 2>/dev/null
            continue
        fi
        printf -v word %q "${line%%$'\t'*}"
        COMPREPLY+=("$word")
    done < <("$program" complete "${words[@]:1}" 2>/dev/null)
    local before=${whole%"${COMP_WORDS[COMP_CWORD]}"}
    [[ ${COMP_WORDS[COMP_CWORD]} == [:=]* ]] && before=$whole
    [[ -n $before ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -F _cairn cairn
)sh";

constexpr const char* zsh_script = R"sh(#compdef cairn
_cairn() {
    local line
    local -a found described
    for line in "${(@f)$("${(Q)words[1]}" complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files ]]; then
            _files
        elif [[ -n $line ]]; then
            found+=("${line%%$'\t'*}")
            described+=("${line/$'\t'/  -- }")
        fi
    done
    (( ${#found} )) && compadd -l -d described -a found
}
compdef _cairn cairn
)sh";

constexpr const char* fish_script = R"sh(function __cairn_complete
    set -l words (commandline -opc)
    for line in ($words[1] complete $words[2..-1] (commandline -ct) 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c cairn -f -a '(__cairn_complete)'
)sh";

bool takes_value(const CLI::Option& option) {
    return option.get_type_size() > 0 && option.get_items_expected_max() > 0;
}

// One line, of which a list of words has room for the beginning.
std::string described(const std::string& word, std::string_view help) {
    return word + "\t" + std::string(help.substr(0, help.find('\n')));
}

class Walk {
 public:
    explicit Walk(const CLI::App& app) : app_(&app) {}

    Completions run(const std::vector<std::string>& words) {
        for (std::size_t i = 0; i + 1 < words.size(); ++i) {
            pass(words[i]);
        }
        const std::string last = words.empty() ? "" : words.back();
        if (valued_ != nullptr) {
            offer_values(*valued_, "", last);
        } else if (const std::size_t equals = last.find('=');
                   !only_words_ && last.starts_with("--") && equals != std::string::npos) {
            const CLI::Option* option = app_->get_option_no_throw(last.substr(0, equals));
            if (option != nullptr && takes_value(*option)) {
                offer_values(*option, last.substr(0, equals + 1), last.substr(equals + 1));
            }
        } else if (!only_words_ && last.starts_with("-")) {
            offer_options(last);
        } else {
            offer_words(last);
        }
        return std::move(found_);
    }

 private:
    // A word that is finished.
    void pass(const std::string& word) {
        if (valued_ != nullptr) {
            note_value(*valued_, word);
            valued_ = nullptr;
            return;
        }
        if (!only_words_ && word == "--") {
            only_words_ = true;
            return;
        }
        if (!only_words_ && word.size() > 1 && word.front() == '-') {
            const std::size_t equals = std::min(word.find('='), word.size());
            const CLI::Option* option = app_->get_option_no_throw(word.substr(0, equals));
            if (option != nullptr && takes_value(*option)) {
                if (equals < word.size()) {
                    note_value(*option, word.substr(equals + 1));
                } else {
                    valued_ = option;
                }
            }
            return;
        }
        if (const CLI::App* command = find_command(word); command != nullptr && places_ == 0) {
            app_ = command;
            return;
        }
        ++places_;
    }

    const CLI::App* find_command(const std::string& name) const {
        const std::vector<const CLI::App*> commands = app_->get_subcommands(
            [&](const CLI::App* command) { return command->get_name() == name; });
        return commands.empty() ? nullptr : commands.front();
    }

    void note_value(const CLI::Option& option, const std::string& value) {
        if (option.check_name("--endpoint")) {
            found_.endpoints.push_back(value);
        }
    }

    void offer(const std::string& word, std::string_view help, std::string_view begun) {
        if (word.starts_with(begun)) {
            found_.lines.push_back(described(word, help));
        }
    }

    void offer_options(std::string_view begun) {
        for (const CLI::Option* option : app_->get_options()) {
            for (const std::string& name : option->get_lnames()) {
                offer("--" + name, option->get_description(), begun);
            }
        }
    }

    // What the help names as the kinds of value: "bash|zsh|fish", FILE.
    void offer_values(const CLI::Option& option, const std::string& before,
                      std::string_view begun) {
        const std::string kind = option.get_type_name();
        if (kind == "FILE" || kind == "DIR" || option.get_name() == "FILE") {
            found_.lines.emplace_back(":files");
            return;
        }
        if (kind.find('|') == std::string::npos) {
            return;
        }
        for (const std::string& choice : CLI::detail::split(kind, '|')) {
            if (choice.starts_with(begun)) {
                found_.lines.push_back(before + choice);
            }
        }
    }

    void offer_words(const std::string& begun) {
        if (places_ == 0) {
            for (const CLI::App* command : app_->get_subcommands(
                     [](const CLI::App* one) { return !one->get_group().empty(); })) {
                offer(command->get_name(), command->get_description(), begun);
            }
        }
        std::size_t place = 0;
        for (const CLI::Option* option : app_->get_options()) {
            if (!option->get_positional() || place++ != places_) {
                continue;
            }
            if (const std::string name = option->get_name(); name == "NAME" || name == "PREFIX") {
                found_.name_prefix = begun;
            } else {
                offer_values(*option, "", begun);
            }
        }
    }

    const CLI::App* app_;
    const CLI::Option* valued_ = nullptr;  // the next word is its value
    bool only_words_ = false;              // behind --
    std::size_t places_ = 0;               // taken
    Completions found_;
};

}  // namespace

Completions complete(const CLI::App& app, const std::vector<std::string>& words) {
    return Walk(app).run(words);
}

void set_names_question(const Completions& completions, Options& options) {
    options.verb = Verb::complete;
    options.name = *completions.name_prefix;
    options.is_prefix = true;
    options.keys_only = true;
    options.limit = names_max;
    options.consistency = "local";
    options.timeout = names_timeout;
    std::vector<server::Address> told;
    for (const std::string& text : completions.endpoints) {
        if (const auto endpoints = parse_endpoints(text)) {
            told.insert(told.end(), endpoints->begin(), endpoints->end());
        }
    }
    if (!told.empty()) {
        options.endpoints = std::move(told);
    }
}

std::string completion_script(const std::string& shell) {
    return shell == "bash" ? bash_script : shell == "zsh" ? zsh_script : fish_script;
}

}  // namespace cairn::client
