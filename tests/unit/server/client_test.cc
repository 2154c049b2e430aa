// The commands for a running cluster: what they ask, what answers mean, what people see.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "server/client/curl.h"
#include "server/client/endpoints.h"
#include "server/client/follow.h"
#include "server/client/request.h"
#include "server/client/text.h"
#include "server/client/verdict.h"
#include "server/program/command_line.h"

namespace {

using namespace cairn;
using namespace cairn::client;
using server::CommandLineResult;
using Arguments = std::vector<std::string>;
using Json = nlohmann::json;
using std::chrono::milliseconds;

CommandLineResult run(const Arguments& arguments,
                      const std::map<std::string, std::string>& environment = {}) {
    const auto lookup = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return server::parse_command_line(arguments, lookup, 2);
}

Options parsed(const Arguments& arguments,
               const std::map<std::string, std::string>& environment = {}) {
    const CommandLineResult result = run(arguments, environment);
    CAPTURE(result.err);
    REQUIRE(result.action == CommandLineResult::Action::client);
    return result.client;
}

void check_refused(const Arguments& arguments, const std::string& word) {
    CAPTURE(arguments);
    const CommandLineResult result = run(arguments);
    CHECK(result.action == CommandLineResult::Action::exit);
    CHECK(result.exit_status == exit_usage);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("cairn: "));
    CHECK(result.err.find('\n') == result.err.size() - 1);
    CHECK_MESSAGE(result.err.find(word) != std::string::npos, result.err);
}

// Method, target and headers as one text.
std::string asked(const Arguments& arguments) {
    const server::HttpQuestion question = make_question(parsed(arguments), "bytes");
    std::string text = question.method + " " + question.target;
    for (const auto& [name, value] : question.headers) {
        text += "|" + name + ": " + value;
    }
    return question.has_body ? text + "|" + question.body : text;
}

server::HttpReply reply(unsigned status, const std::string& body = "") {
    server::HttpReply made;
    made.may_have_arrived = true;
    made.status = status;
    made.body = body;
    return made;
}

server::HttpReply lost(bool may_have_arrived) {
    server::HttpReply made;
    made.failure = "gone\x1b";
    made.may_have_arrived = may_have_arrived;
    return made;
}

const std::string not_applied = R"({"code":"UNAVAILABLE","outcome":"not_applied","detail":"no\n"})";
const std::string unknown = R"({"code":"TIMEOUT","outcome":"unknown","detail":"late"})";

struct Expected {
    bool again;
    bool unknown;
    int exit_status;
};

void check_verdict(const server::HttpReply& answer, Repeat repeat, bool unknown_before,
                   const Expected& expected) {
    CAPTURE(answer.status);
    CAPTURE(answer.failure);
    CAPTURE(answer.body);
    CAPTURE(static_cast<int>(repeat));
    CAPTURE(unknown_before);
    const Verdict verdict = judge(answer, repeat, unknown_before);
    CHECK(verdict.again == expected.again);
    CHECK(verdict.unknown == expected.unknown);
    CHECK(verdict.exit_status == expected.exit_status);
    CHECK(verdict.reason.empty() == (expected.exit_status == exit_done));
}

}  // namespace

TEST_CASE("client: endpoints come from flags, else from the environment, else there is one") {
    using Addresses = std::vector<server::Address>;
    CHECK(parsed({"get", "a"}).endpoints == Addresses{{"127.0.0.1", 8080}});
    const std::map<std::string, std::string> environment{{"CAIRN_ENDPOINT", "a:1,b:2"}};
    CHECK(parsed({"get", "a"}, environment).endpoints == Addresses{{"a", 1}, {"b", 2}});
    CHECK(parsed({"get", "a", "--endpoint", "c:3,http://d:4/", "--endpoint=[::1]:5"}, environment)
              .endpoints == Addresses{{"c", 3}, {"d", 4}, {"::1", 5}});
    for (const char* wrong :
         {"", "a", "a:0", "a:1,", ",a:1", "a:1,,b:2", "https://a:1", "a:1/v1"}) {
        check_refused({"get", "a", "--endpoint", wrong}, "--endpoint: ");
    }
    CHECK(run({"get", "a"}, {{"CAIRN_ENDPOINT", "x"}}).err.find("CAIRN_ENDPOINT: ") !=
          std::string::npos);
}

TEST_CASE("client: values are taken as they are") {
    for (const char* value :
         {"", "x", "[1,2]", "[]", "{}", "a b", "\"q\"", "%%", "list", "=", "\n"}) {
        CAPTURE(value);
        const Options options = parsed({"set", "a", value});
        CHECK(options.source == ValueSource::text);
        CHECK(options.value == value);
    }
    CHECK(parsed({"set", "a", "--", "-5"}).value == "-5");
    CHECK(parsed({"set", "--", "-a", "--json"}).name == "-a");
    CHECK(parsed({"set", "a", "-"}).source == ValueSource::standard_input);
    const Options file = parsed({"update", "a", "--file", "-"});
    CHECK(file.source == ValueSource::file);
    CHECK(file.value == "-");
    check_refused({"set", "a"}, "VALUE is missing");
    check_refused({"set", "a", "x", "--file", "f"}, "exclude");
    check_refused({"set", "a", "-x"}, "-x");
}

TEST_CASE("client: what makes no sense is refused before anybody is asked") {
    for (const std::string name : {"", ".", "a/../b", "a//b", "/a", "a\n", "\xff", "a\x7f"}) {
        check_refused({"get", name}, "is not a name");
        check_refused({"watch", name}, "is not a name");
    }
    check_refused({"get"}, "NAME");
    check_refused({"get", "a", "b"}, "\"b\", see cairn get --help");
    check_refused({"get", "a", "--", "b"}, "\"b\"");
    check_refused({"get", "a", "--timeout", "0s"}, "--timeout");
    check_refused({"get", "a", "--timeout", "6m"}, "5m");
    check_refused({"get", "a", "--timeout", "1s", "--timeout", "2s"}, "more than once");
    check_refused({"get", "a", "--after", "4"}, "--wait");
    check_refused({"get", "a", "--consistency", "none"}, "--consistency");
    check_refused({"get", "a", "--min-index", "x"}, "--min-index");
    check_refused({"get", "a", "--output", ""}, "--output");
    check_refused({"set", "a", "x", "--ttl", "soon"}, "--ttl");
    check_refused({"set", "a", "x", "--idempotency-key", "a b"}, "--idempotency-key");
    check_refused({"set", "a", "x", "--index", "4"}, "--index");
    check_refused({"update", "a", "x", "--index", "0"}, "--index");
    check_refused({"update", "a", "x", "--index", "*"}, "--index");
    check_refused({"list", "a", "b"}, "\"b\"");
    check_refused({"members", "add", "0", "a:1"}, "ID");
    check_refused({"members", "add", "4", "a"}, "ADDRESS");
    check_refused({"members", "--json", "remove", "4"}, "--json stands behind remove");
    check_refused({"members", "grow"}, "cairn members --help");
    check_refused({"completion", "csh"}, "csh");
}

TEST_CASE("client: what commands ask") {
    const std::vector<std::pair<Arguments, std::string>> rows = {
        {{"get", "a/b c%?\xc3\xa4"}, "GET /v1/raw/a/b%20c%25%3F%C3%A4"},
        {{"get", "a", "--json", "--consistency", "local", "--min-index", "7"},
         "GET /v1/values/a?consistency=local&min_index=7"},
        {{"get", "a", "--after", "0", "--wait", "90ms"}, "GET /v1/values/a?after=0&wait=90ms"},
        {{"set", "a", "x", "--ttl", "1.5s", "--create"},
         "PUT /v1/raw/a?ttl=1.5s|Content-Type: application/octet-stream|If-None-Match: *|bytes"},
        {{"update", "a", "x", "--index", "4", "--idempotency-key", "k"},
         "PUT /v1/raw/a|Content-Type: application/octet-stream|If-Match: \"4\"|Idempotency-Key: k|"
         "bytes"},
        {{"update", "a", "x"},
         "PUT /v1/raw/a|Content-Type: application/octet-stream|If-Match: *|bytes"},
        {{"delete", "a"}, "DELETE /v1/values/a"},
        {{"delete", "a", "--index", "4"}, "DELETE /v1/values/a|If-Match: \"4\""},
        {{"list"}, "GET /v1/values?limit=100"},
        {{"list", "a&b=+", "--limit", "5", "--keys-only"},
         "GET /v1/values?prefix=a%26b%3D%2B&limit=5&keys_only=true"},
        {{"list", "--limit", "5000", "--keys-only"}, "GET /v1/values?limit=1000&keys_only=true"},
        {{"watch", "a"}, "GET /v1/watch/a|Accept: application/x-ndjson"},
        {{"events", "", "--prefix", "--cursor", "7.1"},
         "GET /v1/events/?prefix=true&cursor=7.1|Accept: application/x-ndjson"},
        {{"status"}, "GET /v1/cluster"},
        {{"members"}, "GET /v1/cluster"},
        {{"members", "add", "4", "H:7080", "--learner"},
         "POST /v1/cluster/members|Content-Type: application/json|"
         "{\"id\":4,\"raft\":\"h:7080\",\"learner\":true}"},
        {{"members", "remove", "4"}, "DELETE /v1/cluster/members/4"},
        {{"members", "lead", "2"},
         "POST /v1/cluster/leader|Content-Type: application/json|{\"id\":2}"},
    };
    for (const auto& [arguments, expected] : rows) {
        CHECK(asked(arguments) == expected);
    }
}

TEST_CASE("client: what an answer means") {
    for (const unsigned status : {200U, 201U}) {
        for (const Repeat repeat : {Repeat::harmless, Repeat::keyed, Repeat::unsafe}) {
            check_verdict(reply(status), repeat, true, {false, false, exit_done});
        }
    }
    // Nothing was sent: anybody else may be asked.
    check_verdict(lost(false), Repeat::harmless, false, {true, false, exit_unavailable});
    check_verdict(lost(false), Repeat::keyed, false, {true, false, exit_unavailable});
    check_verdict(lost(false), Repeat::unsafe, false, {true, false, exit_unavailable});
    // Something was.
    check_verdict(lost(true), Repeat::harmless, false, {true, false, exit_unavailable});
    check_verdict(lost(true), Repeat::keyed, false, {true, true, exit_unknown});
    check_verdict(lost(true), Repeat::unsafe, false, {false, true, exit_unknown});
    for (const unsigned status : {500U, 502U, 503U, 504U, 507U}) {
        check_verdict(reply(status, not_applied), Repeat::keyed, false,
                      {true, false, exit_unavailable});
        check_verdict(reply(status, not_applied), Repeat::unsafe, false,
                      {true, false, exit_unavailable});
        check_verdict(reply(status, unknown), Repeat::keyed, false, {true, true, exit_unknown});
        check_verdict(reply(status, unknown), Repeat::unsafe, false, {false, true, exit_unknown});
        check_verdict(reply(status, "<html>"), Repeat::keyed, false, {true, true, exit_unknown});
        check_verdict(reply(status, unknown), Repeat::harmless, false,
                      {true, false, exit_unavailable});
    }
    check_verdict(reply(429), Repeat::keyed, false, {true, false, exit_unavailable});
    // What the log decides holds for all attempts with the key; what a node refuses does not.
    for (const bool before : {false, true}) {
        check_verdict(reply(404), Repeat::keyed, before, {false, false, exit_not_found});
        check_verdict(reply(412, R"({"code":"CONFLICT"})"), Repeat::keyed, before,
                      {false, false, exit_condition});
        check_verdict(reply(412, R"({"code":"ALREADY_EXISTS"})"), Repeat::keyed, before,
                      {false, false, exit_condition});
        check_verdict(reply(412, R"({"code":"NOT_FOUND"})"), Repeat::keyed, before,
                      {false, false, exit_not_found});
        check_verdict(reply(503, not_applied), Repeat::keyed, before,
                      {true, before, before ? exit_unknown : exit_unavailable});
        check_verdict(lost(false), Repeat::keyed, before,
                      {true, before, before ? exit_unknown : exit_unavailable});
        for (const unsigned status : {400U, 403U, 409U, 413U, 422U, 301U}) {
            check_verdict(reply(status), Repeat::keyed, before,
                          {false, before, before ? exit_unknown : exit_refused});
        }
    }
    check_verdict(reply(304), Repeat::harmless, false, {false, false, exit_condition});
    CHECK(judge(reply(400, R"({"detail":"bad\u001b\nthing"})"), Repeat::harmless, false).reason ==
          "bad\\x1b\\nthing");
    CHECK(judge(lost(true), Repeat::harmless, false).reason == "gone\\x1b");
}

TEST_CASE("client: an attempt leaves time for others") {
    CHECK(attempt_time(milliseconds(10'000), 1) == milliseconds(5'000));
    CHECK(attempt_time(milliseconds(9'000), 3) == milliseconds(3'000));
    CHECK(attempt_time(milliseconds(9'000), 16) == milliseconds(3'000));
    CHECK(attempt_time(milliseconds(600), 3) == milliseconds(500));
    CHECK(attempt_time(milliseconds(90), 3) == milliseconds(90));
    CHECK(attempt_time(milliseconds(300'000), 2) == milliseconds(5'000));
    CHECK(round_pause(0) == milliseconds(50));
    CHECK(round_pause(2) == milliseconds(200));
    CHECK(round_pause(5) == milliseconds(1'000));
    CHECK(round_pause(4'000'000'000U) == milliseconds(1'000));
}

TEST_CASE("client: words for a shell") {
    CHECK(shell_word("a-b/c.d:8080") == "a-b/c.d:8080");
    CHECK(shell_word("") == "''");
    CHECK(shell_word("a b") == "'a b'");
    CHECK(shell_word("$(x)`y`\"\\!") == "'$(x)`y`\"\\!'");
    CHECK(shell_word("it's") == "'it'\\''s'");
    CHECK(shell_word("~") == "'~'");
    CHECK(shell_word("a\nb") == "'a\nb'");
    CHECK(shell_word("?x=1") == "'?x=1'");
    CHECK(shell_word("*") == "'*'");
}

TEST_CASE("client: curl lines") {
    const auto line = [](const Arguments& arguments) {
        const Options options = parsed(arguments);
        return curl_line(options, options.endpoints.front(), make_question(options, ""));
    };
    const std::string put = "curl -sS -X PUT -H 'Content-Type: application/octet-stream' ";
    CHECK(line({"get", "a"}) == "curl -sS http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"get", "a", "--endpoint", "[::1]:1", "-o", "f f"}) ==
          "curl -sS -f -o 'f f' 'http://[::1]:1/v1/raw/a'\n");
    CHECK(line({"set", "a", "it's\n@f"}) ==
          put + "--data-raw 'it'\\''s\n@f' http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"set", "a", ""}) == put + "--data-raw '' http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"set", "a", "--", "-%\x1b'\xff"}) ==
          "printf '\\055\\045\\033\\047\\377' | " + put +
              "--data-binary @- http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"set", "a", "\xe2\x80\xae"}).starts_with("printf '\\342\\200\\256' | "));
    CHECK(line({"set", "a", "-"}) == put + "--data-binary @- http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"set", "a", "--file", "x y"}) ==
          put + "--data-binary '@x y' http://127.0.0.1:8080/v1/raw/a\n");
    CHECK(line({"watch", "a"}) ==
          "curl -sS -N -H 'Accept: application/x-ndjson' http://127.0.0.1:8080/v1/watch/a\n");
}

TEST_CASE("client: nothing that a terminal acts on is shown") {
    const Json page = Json::parse(
        R"({"values":[{"name":"a\u202e","index":7,"value":"x\u001b[2J\ty\u009b"},
            {"name":"bb","index":10,"value_base64":"/wA=","expire":"2026"},
            {"name":5,"index":"\u001b","value":null},7]})");
    CHECK(list_text(page, true) ==
          "NAME     INDEX  EXPIRE  VALUE\n"
          "a\\u202e  7      -       x\\x1b[2J\\ty\\u009b\n"
          "bb       10     2026    \\xff\\x00\n"
          "5        \\x1b   -\n"
          "                -\n");
    CHECK(terminal_value("plain\n\ttext").text == "plain\n\ttext\n");
    CHECK_FALSE(terminal_value("plain").is_escaped);
    CHECK(terminal_value("").text.empty());
    CHECK(terminal_value("\x1b[31m\n").text == "\\x1b[31m\\n\n");
    CHECK(terminal_value("\xff").is_escaped);
    CHECK(terminal_value("\xc2\x9b").text == "\\u009b\n");
    CHECK(json_line("{\"a\":\"\\u001b\xc2\x9b\xe2\x80\xae\xc3\xa4\",\n\"b\":1}") ==
          "{\"a\":\"\\u001b\\u009b\\u202e\xc3\xa4\", \"b\":1}\n");
}

TEST_CASE("client: long values are cut, not through a character") {
    const auto shown = [](const std::string& value) {
        return list_text({{"values", {{{"name", "a"}, {"index", 1U}, {"value", value}}}}}, false);
    };
    const std::string prefix = "a  1  -  ";
    CHECK(shown(std::string(100, 'x')) == prefix + std::string(100, 'x') + "\n");
    CHECK(shown(std::string(101, 'x')) == prefix + std::string(100, 'x') + "… (101 bytes)\n");
    CHECK(shown(std::string(99, 'x') + "ä!") == prefix + std::string(99, 'x') + "… (102 bytes)\n");
}

TEST_CASE("client: messages of streams") {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {R"({"type":"value","name":"a","value":"x","index":7,"cursor":"7"})", "7\tvalue\ta\tx\n"},
        {R"({"type":"value","name":"a","value_base64":"/w==","index":7})", "7\tvalue\ta\t\\xff\n"},
        {R"({"type":"value","name":"a","value":null,"index":9})", "9\tnot set\ta\n"},
        {R"({"type":"value","name":"a","value":null,"index":9,"expired":true})", "9\texpired\ta\n"},
        {R"({"type":"created","name":"a","value":"x\n","index":7})", "7\tcreated\ta\tx\\n\n"},
        {R"({"type":"updated","name":"a","value":"y","index":8,"prev_value":{"index":7}})",
         "8\tupdated\ta\ty\n"},
        {R"({"type":"deleted","name":"a","value":"y","index":8,"expired":false,"deleted_index":9})",
         "9\tdeleted\ta\n"},
        {R"({"type":"deleted","name":"a","value":"y","index":8,"expired":true,"deleted_index":9})",
         "9\texpired\ta\n"},
        {R"({"type":"gap","cursor":"57"})", "-\tgap\n"},
        {R"({"type":"progress","cursor":"57"})", ""},
        {R"({"type":"subscribed","cursor":"57"})", ""},
        {R"({"type":5})", ""},
        {R"([])", ""},
    };
    for (const auto& [message, expected] : rows) {
        CHECK(message_text(Json::parse(message)) == expected);
    }
}

TEST_CASE("client: lines out of pieces") {
    const std::string stream = "one\n\ntwo three\nfour";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        Lines lines;
        std::vector<std::string> heard;
        for (std::size_t at = 0; at < stream.size(); at += size) {
            CHECK(lines.feed(std::string_view(stream).substr(at, size), [&](std::string_view line) {
                heard.emplace_back(line);
                return true;
            }));
        }
        CHECK(heard == std::vector<std::string>{"one", "", "two three"});
    }
    // An event of the largest values, each byte of which JSON writes as six.
    Lines long_line;
    const std::string piece(std::size_t{64} << 20, 'x');
    for (int i = 0; i < 12; ++i) {
        REQUIRE(long_line.feed(piece, [](std::string_view) { return true; }));
    }
    Lines lines;
    int heard = 0;
    CHECK_FALSE(lines.feed("a\nb\nc\n", [&](std::string_view) { return ++heard < 2; }));
    CHECK(heard == 2);
}

TEST_CASE("client: what writes have done") {
    CHECK(written_text(Verb::set, 201, Json::parse(R"({"name":"a","index":7})")) ==
          "created a at index 7\n");
    CHECK(written_text(Verb::set, 200, Json::parse(R"({"name":"a","index":7})")) ==
          "set a at index 7\n");
    CHECK(written_text(
              Verb::update, 200,
              Json::parse(R"({"name":"a","index":8,"prev_value":{"value":"x","index":7}})")) ==
          "updated a at index 8, before at 7: x\n");
    CHECK(written_text(Verb::remove, 200, Json::parse(R"({"name":"a","index":8,"value":"x"})")) ==
          "deleted a, was at index 8: x\n");
}

TEST_CASE("client: words are completed from the description of the commands") {
    const auto lines = [](const Arguments& words) {
        Arguments arguments{"complete"};
        arguments.insert(arguments.end(), words.begin(), words.end());
        const CommandLineResult result = run(arguments);
        CHECK(result.exit_status == 0);
        return result;
    };
    const auto offers = [&](const Arguments& words, const std::string& word) {
        return ("\n" + lines(words).out).find("\n" + word + "\t") != std::string::npos;
    };
    for (const char* command : {"serve", "verify", "get", "set", "update", "delete", "list",
                                "watch", "events", "status", "members", "completion"}) {
        CAPTURE(command);
        CHECK(offers({""}, command));
        CHECK(offers({command, "-"}, "--help"));
    }
    CHECK(lines({"se"}).out == "serve\tRun a node\nset\tSet a value, whatever was there\n");
    CHECK(lines({"nonsense"}).out.empty());
    CHECK(offers({"serve", "--i"}, "--initial-cluster"));
    CHECK_FALSE(offers({"serve", "--"}, "--curl"));
    CHECK(offers({"members", ""}, "add"));
    CHECK(offers({"members", "add", "--l"}, "--learner"));
    CHECK_FALSE(offers({"members", "4", ""}, "add"));
    CHECK(lines({"completion", ""}).out == "bash\nzsh\nfish\n");
    CHECK(lines({"get", "--consistency", "l"}).out == "linearizable\nlocal\nlease\n");
    CHECK(lines({"get", "--consistency=lo"}).out == "--consistency=local\n");
    CHECK(lines({"set", "a", "--file", ""}).out == ":files\n");
    CHECK(lines({"restore", ""}).out == ":files\n");
    CHECK(lines({"set", "a", "--", "-"}).out.empty());
    // Names of values.
    const CommandLineResult names = lines({"get", "--json", "--endpoint", "h:1,i:2", "x/"});
    REQUIRE(names.action == CommandLineResult::Action::client);
    CHECK(names.client.verb == Verb::complete);
    CHECK(names.client.name == "x/");
    CHECK(names.client.endpoints == std::vector<server::Address>{{"h", 1}, {"i", 2}});
    CHECK(lines({"list", ""}).action == CommandLineResult::Action::client);
    CHECK(lines({"get", "a", ""}).action == CommandLineResult::Action::exit);
    CHECK(lines({"set", "a", ""}).action == CommandLineResult::Action::exit);
    CHECK(lines({"get", "--timeout", ""}).action == CommandLineResult::Action::exit);
}
