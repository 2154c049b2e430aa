// The command lines of the tools beside `cairn serve`.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "server/program/command_line.h"

using namespace cairn::server;

namespace {

using Environment = std::map<std::string, std::string>;
using Arguments = std::vector<std::string>;

CommandLineResult run(const Arguments& arguments, const Environment& environment = {}) {
    const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return parse_command_line(arguments, lookup, 2);
}

void check_refused(const Arguments& wrong) {
    CAPTURE(wrong.back());
    const CommandLineResult refused = run(wrong);
    CHECK(refused.action == CommandLineResult::Action::exit);
    CHECK(refused.exit_status == 2);
    CHECK(refused.out == "");
    CHECK(refused.err.starts_with("cairn: "));
    CHECK(std::ranges::count(refused.err, '\n') == 1);
}

}  // namespace

TEST_CASE("command line: verify and dump") {
    CommandLineResult result = run({"verify"});
    REQUIRE(result.action == CommandLineResult::Action::verify);
    CHECK(result.verify.data_dir == "./cairn-data");
    CHECK_FALSE(result.verify.json);
    result = run({"verify", "--json"}, {{"CAIRN_DATA_DIR", "/told"}, {"CAIRN_HTTP", "nonsense"}});
    REQUIRE(result.action == CommandLineResult::Action::verify);
    CHECK(result.verify.data_dir == "/told");
    CHECK(result.verify.json);
    result = run({"dump", "--data-dir=/d"}, {{"CAIRN_DATA_DIR", "/told"}});
    REQUIRE(result.action == CommandLineResult::Action::dump);
    CHECK(result.dump.data_dir == "/d");
    CHECK(result.dump.from == 0);
    CHECK(result.dump.to == ~std::uint64_t{0});
    CHECK(result.dump.limit == ~std::uint64_t{0});
    CHECK_FALSE(result.dump.values);
    result = run({"dump", "--from", "3", "--to=4", "--limit", "0", "--values", "--json"});
    REQUIRE(result.action == CommandLineResult::Action::dump);
    CHECK(result.dump.from == 3);
    CHECK(result.dump.to == 4);
    CHECK(result.dump.limit == 0);
    CHECK(result.dump.values);
    CHECK(result.dump.json);
    CHECK_FALSE(result.dump.snapshot);
    CHECK(run({"dump", "--snapshot"}).dump.snapshot);
    for (const Arguments& wrong :
         std::vector<Arguments>{{"verify", "--from", "1"},
                                {"verify", "x"},
                                {"verify", "serve"},
                                {"verify", "--json=maybe"},
                                {"verify", "--data-dir", ""},
                                {"verify", "--data-dir"},
                                {"dump", "--data-dir", "a", "--data-dir", "b"},
                                {"dump", "--from", "-1"},
                                {"dump", "--from", ""},
                                {"dump", "--from", "1x"},
                                {"dump", "--to", "18446744073709551616"},
                                {"dump", "--from", "2", "--to", "1"},
                                {"dump", "--snapshot", "--to", "1"},
                                {"dump", "--id", "1"}}) {
        check_refused(wrong);
    }
}

TEST_CASE("command line: recover") {
    CommandLineResult result = run({"recover"}, {{"CAIRN_DATA_DIR", "/told"}});
    REQUIRE(result.action == CommandLineResult::Action::recover);
    CHECK(result.recover.data_dir == "/told");
    CHECK_FALSE(result.recover.confirmed);
    CHECK_FALSE(result.recover.raft.has_value());
    result = run({"recover", "--data-dir", "/d", "--yes", "--raft", "10.0.0.1:70"});
    REQUIRE(result.action == CommandLineResult::Action::recover);
    CHECK(result.recover.data_dir == "/d");
    CHECK(result.recover.confirmed);
    CHECK(result.recover.raft == Address{"10.0.0.1", 70});
    for (const Arguments& wrong :
         std::vector<Arguments>{{"recover", "--raft", "10.0.0.1"},
                                {"recover", "--raft", ""},
                                {"recover", "--raft", "a:0"},
                                {"recover", "--raft", "a:1", "--raft", "a:2"},
                                {"recover", "--yes=maybe"},
                                {"recover", "--json"},
                                {"recover", "file"}}) {
        check_refused(wrong);
    }
}

TEST_CASE("command line: restore") {
    CommandLineResult result = run({"restore", "file"});
    REQUIRE(result.action == CommandLineResult::Action::restore);
    CHECK(result.restore.file == "file");
    CHECK(result.restore.data_dir == "./cairn-data");
    CHECK(result.restore.id == 1);
    CHECK(result.restore.founders == InitialCluster{{1, {"127.0.0.1", 7080}}});
    result = run({"restore", "--id=2", "--raft", "10.0.0.1:70", "file", "--data-dir", "/d"});
    REQUIRE(result.action == CommandLineResult::Action::restore);
    CHECK(result.restore.data_dir == "/d");
    CHECK(result.restore.founders == InitialCluster{{2, {"10.0.0.1", 70}}});
    result = run({"restore", "file", "--id", "2", "--initial-cluster", "2=a:1,1=b:2"});
    REQUIRE(result.action == CommandLineResult::Action::restore);
    CHECK(result.restore.founders == InitialCluster{{1, {"b", 2}}, {2, {"a", 1}}});
    for (const Arguments& wrong :
         std::vector<Arguments>{{"restore"},
                                {"restore", ""},
                                {"restore", "file", "other"},
                                {"restore", "file", "--id", "0"},
                                {"restore", "file", "--id", ""},
                                {"restore", "file", "--raft", "nonsense"},
                                {"restore", "file", "--initial-cluster", "2=a:1"},
                                {"restore", "file", "--initial-cluster", ""},
                                {"restore", "file", "--initial-cluster", "1=a:1", "--raft", "a:1"},
                                {"restore", "file", "--data-dir", ""}}) {
        check_refused(wrong);
    }
}
