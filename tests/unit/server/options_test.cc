#include "server/settings/options.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "server/program/command_line.h"

using namespace cairn::server;

namespace {

using Environment = std::map<std::string, std::string>;
using Arguments = std::vector<std::string>;

CommandLineResult run(const Arguments& arguments, const Environment& environment = {},
                      unsigned cores = 2) {
    const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return parse_command_line(arguments, lookup, cores);
}

// `cairn serve` with these arguments must be accepted.
ServeOptions serve(Arguments arguments, const Environment& environment = {}, unsigned cores = 2) {
    arguments.insert(arguments.begin(), "serve");
    CommandLineResult result = run(arguments, environment, cores);
    CHECK(result.err == "");
    CHECK(result.out == "");
    REQUIRE(result.action == CommandLineResult::Action::serve);
    return result.options;
}

// `cairn serve` with these arguments must be refused in one line; answers it without its frame.
std::string refusal(Arguments arguments, const Environment& environment = {}) {
    arguments.insert(arguments.begin(), "serve");
    const CommandLineResult result = run(arguments, environment);
    CHECK(result.action == CommandLineResult::Action::exit);
    CHECK(result.exit_status == 2);
    CHECK(result.out == "");
    REQUIRE(result.err.starts_with("cairn: "));
    REQUIRE(result.err.ends_with('\n'));
    CHECK(std::ranges::count(result.err, '\n') == 1);
    return result.err.substr(7, result.err.size() - 8);
}

// A settings file for one test.
class TemporaryFile {
 public:
    explicit TemporaryFile(const std::string& content)
        : directory_(std::filesystem::temp_directory_path() /
                     ("cairn-options-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(directory_);
        std::ofstream(path()) << content;
    }
    ~TemporaryFile() { std::filesystem::remove_all(directory_); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    std::string path() const { return directory_ / "cairn.toml"; }

 private:
    std::filesystem::path directory_;
};

// The refusal of a settings file with this content, from its line number on.
std::string file_refusal(const std::string& content) {
    const TemporaryFile file(content);
    const std::string prefix = "settings file \"" + file.path() + "\": ";
    const std::string text = refusal({"--config", file.path()});
    REQUIRE(text.starts_with(prefix));
    return text.substr(prefix.size());
}

// Each setting with a value that is not its default, as text and as it stands in TOML.
struct Example {
    std::string name;
    std::string text;
    std::string toml;
};

std::vector<Example> examples() {
    return {{"id", "3", "3"},
            {"data-dir", "/srv/a #b", "\"/srv/a #b\""},
            {"http", "[::1]:0", "\"[::1]:0\""},
            {"advertise-http", "node-3:8", "\"node-3:8\""},
            {"raft", "node-3:9", "\"node-3:9\""},
            {"initial-cluster", "1=a:1,3=b:2", "\"1=a:1,3=b:2\""},
            {"heartbeat-ms", "20", "20"},
            {"election-timeout-ms", "999", "999"},
            {"snapshot-entries", "10", "10"},
            {"max-value-bytes", "2048", "2_048"},
            {"gateway-threads", "5", "5"},
            {"max-connections", "7", "7"},
            {"max-connections-per-address", "6", "6"},
            {"header-timeout-ms", "101", "101"},
            {"body-timeout-ms", "102", "102"},
            {"write-timeout-ms", "103", "103"},
            {"min-bytes-per-second", "104", "104"},
            {"idle-timeout-ms", "105", "105"},
            {"linger-timeout-ms", "106", "106"},
            {"websocket-idle-timeout-ms", "1007", "1007"},
            {"max-header-bytes", "1025", "1025"},
            {"max-message-bytes", "126", "126"},
            {"max-socket-subscriptions", "8", "8"},
            {"max-socket-commands", "9", "9"},
            {"max-stream-queue-bytes", "1048577", "1048577"},
            {"max-long-polls", "10", "10"},
            {"max-buffered-bytes", "1048578", "1048578"},
            {"max-large-body-bytes", "65537", "65_537"},
            {"max-large-body-work-bytes", "65538", "65538"},
            {"max-large-bodies-waiting", "11", "11"},
            {"large-body-timeout-ms", "107", "107"},
            {"default-timeout-ms", "60000", "60000"},
            {"allowed-host", "a.example,[::2]", "[\"a.example\", \"[::2]\"]"},
            {"allowed-origin", "https://a.example", "\"https://a.example\""},
            {"lease-reads", "true", "true"},
            {"unsafe-no-fsync", "true", "true"},
            {"access-log", "/tmp/a.log", "'/tmp/a.log'"},
            {"log-level", "debug", "'debug'"},
            {"log-format", "json", "\"json\""}};
}

ServeOptions expected_of_examples() {
    ServeOptions options;
    options.id = 3;
    options.data_dir = "/srv/a #b";
    options.http = {"::1", 0};
    options.advertise_http = {"node-3", 8};
    options.raft = {"node-3", 9};
    options.raft_given = true;
    options.initial_cluster = {{1, {"a", 1}}, {3, {"b", 2}}};
    options.heartbeat_ms = 20;
    options.election_timeout_ms = 999;
    options.snapshot_entries = 10;
    options.max_value_bytes = 2048;
    options.gateway_threads = 5;
    options.max_connections = 7;
    options.max_connections_per_address = 6;
    options.header_timeout_ms = 101;
    options.body_timeout_ms = 102;
    options.write_timeout_ms = 103;
    options.min_bytes_per_second = 104;
    options.idle_timeout_ms = 105;
    options.linger_timeout_ms = 106;
    options.websocket_idle_timeout_ms = 1007;
    options.max_header_bytes = 1025;
    options.max_message_bytes = 126;
    options.max_socket_subscriptions = 8;
    options.max_socket_commands = 9;
    options.max_stream_queue_bytes = 1048577;
    options.max_long_polls = 10;
    options.max_buffered_bytes = 1048578;
    options.max_large_body_bytes = 65537;
    options.max_large_body_work_bytes = 65538;
    options.max_large_bodies_waiting = 11;
    options.large_body_timeout_ms = 107;
    options.default_timeout_ms = 60000;
    options.allowed_hosts = {"a.example", "[::2]"};
    options.allowed_origins = {"https://a.example"};
    options.lease_reads = true;
    options.unsafe_no_fsync = true;
    options.access_log = "/tmp/a.log";
    options.log_level = LogLevel::debug;
    options.log_format = LogFormat::json;
    return options;
}

TEST_CASE("options: what the members are told to reach this node's HTTP by") {
    ServeOptions options;
    options.http = {"10.0.0.1", 0};
    const Address raft{"node-1.example", 7080};
    CHECK(options.advertised_http(raft, 8080).text() == "10.0.0.1:8080");
    for (const char* wildcard : {"0.0.0.0", "::"}) {
        options.http.host = wildcard;
        CHECK(options.advertised_http(raft, 8080).text() == "node-1.example:8080");
    }
    options.advertise_http = Address{"gate.example", 80};
    CHECK(options.advertised_http(raft, 8080).text() == "gate.example:80");
    CHECK(refusal({"--advertise-http", "0.0.0.0:80"}).find("nobody can dial") != std::string::npos);
    CHECK(refusal({"--advertise-http", "gate.example:0"}).find("port") != std::string::npos);
}

}  // namespace

TEST_CASE("no flag is needed") {
    const ServeOptions options = serve({});
    CHECK(options == ServeOptions{});
    CHECK(options.id == 1);
    CHECK(options.data_dir == "./cairn-data");
    CHECK(options.http.text() == "127.0.0.1:8080");
    CHECK(options.raft.text() == "127.0.0.1:7080");
    CHECK(initial_cluster_text(options.founders()) == "1=127.0.0.1:7080");
    CHECK(options.heartbeat_ms == 50);
    CHECK(options.election_timeout_ms == 300);
    CHECK(options.snapshot_entries == 100000);
    CHECK(options.max_value_bytes == 1048576);
    CHECK(options.max_connections == 10000);
    CHECK(options.max_socket_subscriptions == 1000);
    CHECK(options.max_socket_commands == 128);
    CHECK(options.default_timeout_ms == 5000);
    CHECK_FALSE(options.lease_reads);
    CHECK_FALSE(options.unsafe_no_fsync);
    CHECK(options.log_level == LogLevel::info);
    CHECK(options.log_format == LogFormat::text);
}

TEST_CASE("the defaults in the help are the defaults") {
    for (const Setting& setting : serve_settings()) {
        if (setting.default_text.empty() || setting.default_text.starts_with('(')) {
            continue;
        }
        ServeOptions options;
        const std::vector<std::string> texts{std::string(setting.default_text)};
        CHECK(setting.apply(texts, options) == "");
        CHECK(options == ServeOptions{});
    }
}

TEST_CASE("every setting as a flag, from the environment and from the file") {
    Arguments separate;
    Arguments joined;
    Environment environment;
    std::string content;
    std::set<std::string, std::less<>> names;
    for (const Example& example : examples()) {
        if (example.name == "unsafe-no-fsync" || example.name == "lease-reads") {
            separate.push_back("--" + example.name);
        } else {
            separate.insert(separate.end(), {"--" + example.name, example.text});
        }
        joined.push_back("--" + example.name + "=" + example.text);
        environment[environment_name(example.name)] = example.text;
        content += example.name + " = " + example.toml + "\n";
        names.insert(example.name);
    }
    for (const Setting& setting : serve_settings()) {
        CHECK((names.contains(setting.name) || setting.name == "join"));
    }
    names.insert("join");  // which excludes another; see below
    CHECK(names.size() == serve_settings().size());
    CHECK(serve(separate) == expected_of_examples());
    CHECK(serve(joined) == expected_of_examples());
    CHECK(serve({}, environment) == expected_of_examples());
    const TemporaryFile file(content);
    CHECK(serve({"--config", file.path()}) == expected_of_examples());
    CHECK(serve({}, {{"CAIRN_CONFIG", file.path()}}) == expected_of_examples());
}

TEST_CASE("a node joins a cluster or founds one, and says where it can be reached") {
    const Arguments join{"--id", "4", "--raft", "10.0.0.4:7080", "--join", "Node-1:8080"};
    const ServeOptions options = serve(join);
    REQUIRE(options.join.has_value());
    CHECK(options.join->text() == "node-1:8080");
    CHECK(serve({"--raft", "a:1"}, {{"CAIRN_JOIN", "b:2"}}).join->text() == "b:2");
    Arguments both = join;
    both.insert(both.end(), {"--initial-cluster", "4=10.0.0.4:7080"});
    CHECK(refusal(both).find("exclude each other") != std::string::npos);
    CHECK(refusal({"--join", "a:1"}).find("join needs raft") == 0);
    CHECK(refusal({"--join", "a:1", "--raft", "0.0.0.0:7080"}).find("join needs raft") == 0);
    CHECK(refusal({"--join", "a:0", "--raft", "b:1"}).find("--join: ") == 0);
}

TEST_CASE("flag beats environment beats file") {
    const TemporaryFile file(
        "snapshot-entries = 11\nallowed-host = [\"file\", \"too\"]\nunsafe-no-fsync = true\n");
    const Environment config{{"CAIRN_CONFIG", file.path()}};
    const Environment both{{"CAIRN_CONFIG", file.path()},
                           {"CAIRN_SNAPSHOT_ENTRIES", "22"},
                           {"CAIRN_ALLOWED_HOST", "environment"},
                           {"CAIRN_UNSAFE_NO_FSYNC", "0"}};
    const Arguments flags{"--snapshot-entries", "33", "--allowed-host=flag", "--unsafe-no-fsync"};

    CHECK(serve({}, config).snapshot_entries == 11);
    CHECK(serve({}, config).allowed_hosts == std::vector<std::string>{"file", "too"});
    CHECK(serve({}, config).unsafe_no_fsync);

    CHECK(serve({}, both).snapshot_entries == 22);
    CHECK(serve({}, both).allowed_hosts == std::vector<std::string>{"environment"});
    CHECK_FALSE(serve({}, both).unsafe_no_fsync);

    CHECK(serve(flags, both).snapshot_entries == 33);
    CHECK(serve(flags, both).allowed_hosts == std::vector<std::string>{"flag"});
    CHECK(serve(flags, both).unsafe_no_fsync);
    CHECK(serve(flags, config).snapshot_entries == 33);

    // Each setting for itself, and a flag may say no.
    const ServeOptions mixed = serve({"--unsafe-no-fsync=false"}, config);
    CHECK_FALSE(mixed.unsafe_no_fsync);
    CHECK(mixed.snapshot_entries == 11);

    // --config itself follows the same order.
    CHECK(serve({"--config", file.path()}, {{"CAIRN_CONFIG", "/nowhere"}}).snapshot_entries == 11);
}

TEST_CASE("what is overruled is not looked at") {
    CHECK(serve({"--id", "1"}, {{"CAIRN_ID", "nonsense"}}).id == 1);
}

TEST_CASE("empty environment variables count as not set") {
    Environment environment{{"CAIRN_CONFIG", ""}};
    for (const Setting& setting : serve_settings()) {
        environment[environment_name(setting.name)] = "";
    }
    CHECK(serve({}, environment) == ServeOptions{});
}

TEST_CASE("foreign variables are no harm") {
    // As an orchestrator makes them for a service named cairn.
    CHECK(serve({}, {{"CAIRN_PORT", "tcp://10.0.0.1:80"}, {"CAIRN_SERVICE_HOST", "10.0.0.1"}}) ==
          ServeOptions{});
}

TEST_CASE("names of environment variables") {
    CHECK(environment_name("id") == "CAIRN_ID");
    CHECK(environment_name("initial-cluster") == "CAIRN_INITIAL_CLUSTER");
    CHECK(environment_name("unsafe-no-fsync") == "CAIRN_UNSAFE_NO_FSYNC");
}

TEST_CASE("version and help") {
    const CommandLineResult version = run({"--version"});
    CHECK(version.action == CommandLineResult::Action::exit);
    CHECK(version.exit_status == 0);
    CHECK(version.out == "cairn " CAIRN_VERSION "\n");
    CHECK(version.err == "");

    const CommandLineResult help = run({"--help"});
    CHECK(help.action == CommandLineResult::Action::exit);
    CHECK(help.exit_status == 0);
    CHECK(help.out.find("serve") != std::string::npos);
    CHECK(help.err == "");

    const CommandLineResult serve_help = run({"serve", "--help"});
    CHECK(serve_help.action == CommandLineResult::Action::exit);
    CHECK(serve_help.exit_status == 0);
    CHECK(serve_help.err == "");
    for (const Setting& setting : serve_settings()) {
        CAPTURE(setting.name);
        CHECK(serve_help.out.find("--" + std::string(setting.name) + " ") != std::string::npos);
        CHECK(serve_help.out.find("[" + environment_name(setting.name)) != std::string::npos);
        CHECK(serve_help.out.find(setting.default_text) != std::string::npos);
    }
    CHECK(serve_help.out.find("[CAIRN_CONFIG]") != std::string::npos);
}

TEST_CASE("without a subcommand there is the help, as an error") {
    const CommandLineResult result = run({});
    CHECK(result.action == CommandLineResult::Action::exit);
    CHECK(result.exit_status == 2);
    CHECK(result.out == "");
    CHECK(result.err == run({"--help"}).out);
}

TEST_CASE("what is no command line is refused in one line") {
    CHECK(refusal({"--nonsense"}) == "unexpected \"--nonsense\", see cairn serve --help");
    CHECK(refusal({"--nonsense=1", "--id", "1"}).starts_with("unexpected \"--nonsense=1\""));
    CHECK(refusal({"--no\nsense\x1b"}).starts_with("unexpected \"--no\\nsense\\x1b\""));
    for (const Arguments& arguments :
         {Arguments{"word"}, Arguments{"serve"}, Arguments{""}, Arguments{"-x"},
          Arguments{"--i", "1"}, Arguments{"--", "--id", "1"}, Arguments{"--ID", "1"},
          Arguments{"--id", "1", "2"}, Arguments{"--allowed-host", "a", "b"},
          Arguments{"--no-unsafe-no-fsync"}, Arguments{"--data_dir", "x"},
          Arguments{"--joined", "a:1"}}) {
        CHECK(refusal(arguments).starts_with("unexpected \""));
    }
    for (const Arguments& arguments : {Arguments{"sreve"}, Arguments{"--id", "1"}, Arguments{""},
                                       Arguments{"--id", "1", "serve"}, Arguments{"--Version"}}) {
        const CommandLineResult result = run(arguments);
        CHECK(result.exit_status == 2);
        CHECK(result.err.starts_with("cairn: unexpected "));
        CHECK(std::ranges::count(result.err, '\n') == 1);
    }
}

TEST_CASE("a flag has one value, given once") {
    for (const Setting& setting : serve_settings()) {
        if (setting.kind == SettingKind::choice) {
            continue;
        }
        const std::string flag = "--" + std::string(setting.name);
        CAPTURE(flag);
        CHECK(refusal({flag}).starts_with(flag));
        CHECK(refusal({flag + "="}).starts_with(flag));
        CHECK(refusal({flag, ""}).starts_with(flag));
    }
    CHECK(refusal({"--id", "1", "--id", "1"}) == "--id: given more than once");
    CHECK(refusal({"--unsafe-no-fsync", "--unsafe-no-fsync"}) ==
          "--unsafe-no-fsync: given more than once");
    CHECK(refusal({"--config", "a", "--config", "b"}) == "--config: given more than once");
    // A flag where a value should be is a forgotten value.
    CHECK(refusal({"--data-dir", "--http=127.0.0.1:1"}).starts_with("--data-dir: "));
    CHECK(serve({"--data-dir", "./-x"}).data_dir == "./-x");
}

TEST_CASE("values arrive as they were written") {
    for (const char* text :
         {"a b", "[a,b]", "{}", "'q'", "a\"b", "%%", "a=b", "gr\xc3\xbc\xc3\x9f"}) {
        CHECK(serve({"--data-dir", text}).data_dir == text);
        CHECK(serve({std::string("--data-dir=") + text}).data_dir == text);
    }
}

TEST_CASE("numbers have ranges") {
    struct Range {
        std::string name;
        std::string lowest;
        std::string highest;
        std::string too_high;
    };
    for (const Range& range :
         {Range{"id", "1", "9223372036854775808", "9223372036854775809"},
          Range{"snapshot-entries", "1", "1000000000", "1000000001"},
          Range{"max-value-bytes", "1", "67108864", "67108865"},
          Range{"gateway-threads", "0", "64", "65"},
          Range{"max-connections", "1", "1000000", "1000001"},
          Range{"max-connections-per-address", "1", "1000000", "1000001"},
          Range{"min-bytes-per-second", "1", "1000000000", "1000000001"},
          Range{"header-timeout-ms", "100", "600000", "600001"},
          Range{"max-header-bytes", "1024", "16384", "16385"},
          Range{"max-socket-subscriptions", "1", "100000", "100001"},
          Range{"max-socket-commands", "1", "10000", "10001"},
          Range{"max-long-polls", "1", "1000000", "1000001"},
          Range{"max-buffered-bytes", "1048576", "1099511627776", "1099511627777"},
          Range{"max-large-body-bytes", "65536", "1099511627776", "1099511627777"},
          Range{"max-large-body-work-bytes", "65536", "67108864", "67108865"},
          Range{"default-timeout-ms", "1", "60000", "60001"},
          Range{"election-timeout-ms", "100", "600000", "600001"}}) {
        const std::string flag = "--" + range.name;
        CAPTURE(flag);
        serve({flag, range.lowest});
        serve({flag, range.highest});
        CHECK(refusal({flag, range.too_high}).starts_with(flag + ": \"" + range.too_high + "\""));
        for (const char* text : {"-1", "+1", "1.5", "1e3", "0x10", "ten", "1 ", " 1", "1_000",
                                 "18446744073709551617"}) {
            CHECK(refusal({flag, text}).starts_with(flag + ": \"" + text + "\" is not a"));
        }
        if (range.lowest == "1") {
            CHECK(refusal({flag, "0"}).starts_with(flag));
        }
    }
    CHECK(refusal({"--heartbeat-ms", "9"}) ==
          "--heartbeat-ms: \"9\" is not a whole number from 10 to 60000");
    CHECK(serve({"--heartbeat-ms", "10"}).heartbeat_ms == 10);
}

TEST_CASE("an election waits for two heartbeats at least") {
    CHECK(serve({"--heartbeat-ms", "150"}).heartbeat_ms == 150);
    CHECK(refusal({"--heartbeat-ms", "151"}) ==
          "election-timeout-ms (300) must be at least twice heartbeat-ms (151)");
    CHECK(serve({"--heartbeat-ms=60000", "--election-timeout-ms=120000"}).heartbeat_ms == 60000);
    CHECK(refusal({"--heartbeat-ms=60000", "--election-timeout-ms=119999"}) != "");
}

TEST_CASE("addresses") {
    CHECK(serve({"--http", "0.0.0.0:0"}).http == Address{"0.0.0.0", 0});
    CHECK(serve({"--raft", "[::]:1"}).raft == Address{"::", 1});
    CHECK(refusal({"--http", "nonsense"}) == "--http: \"nonsense\" is not HOST:PORT");
    CHECK(refusal({"--raft", "127.0.0.1:0"}) ==
          "--raft: port \"0\" is not a number from 1 to 65535");
    CHECK(refusal({}, {{"CAIRN_HTTP", "a:65536"}}) ==
          "CAIRN_HTTP: port \"65536\" is not a number from 0 to 65535");
    CHECK(refusal({"--http", "127.0.0.1:7080"}) ==
          "http and raft are the same address 127.0.0.1:7080");
}

TEST_CASE("this node is in the list that founds the cluster") {
    const ServeOptions options =
        serve({"--id", "2", "--raft", "0.0.0.0:7080", "--initial-cluster", "2=b:2,1=a:1"});
    CHECK(initial_cluster_text(options.founders()) == "1=a:1,2=b:2");
    CHECK(options.raft.text() == "0.0.0.0:7080");
    CHECK(refusal({"--id", "3", "--initial-cluster", "1=a:1,2=b:2"}) ==
          "id 3 is not in the initial cluster \"1=a:1,2=b:2\"");
    CHECK(refusal({"--initial-cluster", "1=a:1,1=b:1"}) ==
          "--initial-cluster: id 1 is in the list twice");
    CHECK(refusal({"--initial-cluster", "1=a"}).starts_with("--initial-cluster: "));
}

TEST_CASE("who founds a cluster alone, and where it listens") {
    CHECK(initial_cluster_text(serve({"--id", "7", "--raft", "n:1"}).founders()) == "7=n:1");
    CHECK_FALSE(serve({"--id", "7"}).initial_cluster);
    CHECK(serve({"--id", "2", "--initial-cluster", "1=a:1,2=b:2"}).raft == Address{"b", 2});
}

TEST_CASE("allowed hosts") {
    const ServeOptions options = serve(
        {"--allowed-host", "A.example., b", "--allowed-host", "[0::1]", "--allowed-host=::2"});
    CHECK(options.allowed_hosts == std::vector<std::string>{"a.example", "b", "[::1]", "[::2]"});
    for (const char* text :
         {"a:80", "http://a", "*", "a,,b", "a,", ",", "[a]", "[a,b]", "[]", "a b"}) {
        CAPTURE(text);
        CHECK(refusal({"--allowed-host", text}).starts_with("--allowed-host: "));
    }
    std::string many = "a";
    for (int i = 1; i < 256; ++i) {
        many += ",a";
    }
    CHECK(serve({"--allowed-host", many}).allowed_hosts.size() == 256);
    CHECK(refusal({"--allowed-host", many + ",a"}) == "--allowed-host: more than 256 entries");
}

TEST_CASE("allowed origins are as browsers send them") {
    const ServeOptions options =
        serve({"--allowed-origin", "HTTPS://App.Example,http://localhost:3000,https://a:443",
               "--allowed-origin",
               "http://a:80,http://[0::1],http://[::1]:443,http://a:443,http://a:8080"});
    CHECK(options.allowed_origins ==
          std::vector<std::string>{"https://app.example", "http://localhost:3000", "https://a",
                                   "http://a", "http://[::1]", "http://[::1]:443", "http://a:443",
                                   "http://a:8080"});
    for (const char* text :
         {"*", "null", "a", "a:1", "ftp://a", "https://", "https://a/", "https://a/b",
          "https://a?x", "https://u@a", "https://a:0", "https://a:", "https://::1"}) {
        CAPTURE(text);
        CHECK(refusal({"--allowed-origin", text}).starts_with("--allowed-origin: "));
    }
}

TEST_CASE("yes and no") {
    CHECK(serve({"--unsafe-no-fsync"}).unsafe_no_fsync);
    for (const char* text : {"true", "1"}) {
        CHECK(serve({std::string("--unsafe-no-fsync=") + text}).unsafe_no_fsync);
        CHECK(serve({}, {{"CAIRN_UNSAFE_NO_FSYNC", text}}).unsafe_no_fsync);
    }
    for (const char* text : {"false", "0"}) {
        CHECK_FALSE(serve({std::string("--unsafe-no-fsync=") + text}).unsafe_no_fsync);
        CHECK_FALSE(serve({}, {{"CAIRN_UNSAFE_NO_FSYNC", text}}).unsafe_no_fsync);
    }
    for (const char* text : {"maybe", "2", "-1", " "}) {
        CHECK(
            refusal({}, {{"CAIRN_UNSAFE_NO_FSYNC", text}}).starts_with("CAIRN_UNSAFE_NO_FSYNC: "));
        CHECK(
            refusal({std::string("--unsafe-no-fsync=") + text}).starts_with("--unsafe-no-fsync: "));
    }
}

TEST_CASE("logs") {
    CHECK(serve({"--access-log", "-"}).access_log == "-");
    CHECK(refusal({"--access-log=--log-level"}) ==
          "--access-log: \"--log-level\" looks like a flag; write ./--log-level if it is a file");
    CHECK(refusal({"--access-log", "a\nb"}) == "--access-log: \"a\\nb\" holds a control character");
    CHECK(serve({"--log-level=error"}).log_level == LogLevel::error);
    CHECK(refusal({"--log-level", "loud"}) ==
          "--log-level: \"loud\" is not one of trace, debug, info, warn and error");
    CHECK(refusal({"--log-format", "xml"}) == "--log-format: \"xml\" is not one of text and json");
}

TEST_CASE("settings files that are refused") {
    CHECK(refusal({"--config", "/nowhere/cairn.toml"}) ==
          "settings file \"/nowhere/cairn.toml\": No such file or directory");
    CHECK(refusal({"--config", "/"}) == "settings file \"/\": Is a directory");
    CHECK(refusal({}, {{"CAIRN_CONFIG", "/nowhere"}}).starts_with("settings file \"/nowhere\": "));
    CHECK(file_refusal("id = 1\nname = 2\n") == "line 2: there is no setting \"name\"");
    CHECK(file_refusal("data_dir = \"x\"") == "line 1: there is no setting \"data_dir\"");
    CHECK(file_refusal("config = \"x\"") == "line 1: there is no setting \"config\"");
    CHECK(file_refusal("id = \"1\"") == "line 1: id is an integer, not a string");
    CHECK(file_refusal("data-dir = 5") == "line 1: data-dir is a string, not an integer");
    CHECK(file_refusal("unsafe-no-fsync = 1") ==
          "line 1: unsafe-no-fsync is true or false, not an integer");
    CHECK(file_refusal("allowed-host = true") ==
          "line 1: allowed-host is an array of strings, not true or false");
    CHECK(file_refusal("initial-cluster = [\"1=a:1\"]") ==
          "line 1: initial-cluster is a string, not an array of strings");
    CHECK(file_refusal("[serve]\nid = 1").starts_with("line 1: "));
    CHECK(file_refusal("\nid = 0").starts_with("line 2: id: \"0\" is not an id"));
    CHECK(file_refusal("heartbeat-ms = -5").starts_with("line 1: heartbeat-ms: \"-5\" is not"));
    CHECK(file_refusal("data-dir = \"a\\u0000b\"").starts_with("line 1: data-dir: "));
    CHECK(file_refusal("data-dir = \"\"").starts_with("line 1: data-dir: "));
    CHECK(file_refusal("http = \"x\"") == "line 1: http: \"x\" is not HOST:PORT");
}

TEST_CASE("a list in the file may be empty, or one string") {
    const TemporaryFile file("allowed-host = []\nallowed-origin = \"http://a,http://b\"");
    CHECK(serve({"--config", file.path()}).allowed_hosts.empty());
    CHECK(serve({"--config", file.path()}).allowed_origins.size() == 2);
}

TEST_CASE("threads for HTTP by the number of cores") {
    CHECK(default_gateway_threads(0) == 0);
    CHECK(default_gateway_threads(1) == 0);
    CHECK(default_gateway_threads(2) == 0);
    CHECK(default_gateway_threads(3) == 1);
    CHECK(default_gateway_threads(4) == 1);
    CHECK(default_gateway_threads(8) == 5);
    CHECK(default_gateway_threads(19) == 16);
    CHECK(default_gateway_threads(256) == 16);
    CHECK(serve({}, {}, 8).gateway_threads == 5);
    CHECK(serve({"--gateway-threads", "0"}, {}, 8).gateway_threads == 0);
}
