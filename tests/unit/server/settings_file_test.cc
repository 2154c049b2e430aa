#include "server/settings/settings_file.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace cairn::server;

namespace {

// name=text of every setting, "|" between them, or "!" and what is wrong.
std::string read(std::string_view content) {
    const ParseResult<std::vector<FileSetting>> settings = parse_settings(content);
    if (!settings) {
        return "!" + settings.error().text;
    }
    std::string out;
    for (const FileSetting& setting : *settings) {
        out += setting.name + "=";
        for (const std::string& text : setting.texts) {
            out += "<" + text + ">";
        }
        out += "|";
    }
    return out;
}

}  // namespace

TEST_CASE("a settings file") {
    const ParseResult<std::vector<FileSetting>> settings = parse_settings(
        "# a node\n"
        "\n"
        "id = 1_000 # of many\r\n"
        "  data-dir=\"/srv/a#b\"\n"
        "unsafe-no-fsync\t=\tfalse\n"
        "allowed-host = [ \"a\", # first\n"
        "    'b', ]");
    REQUIRE(settings.has_value());
    REQUIRE(settings->size() == 4);
    using Texts = std::vector<std::string>;
    const FileSetting& id = (*settings)[0];
    CHECK(id.name == "id");
    CHECK(id.kind == FileSetting::Kind::integer);
    CHECK(id.texts == Texts{"1000"});
    CHECK(id.line == 3);
    const FileSetting& directory = (*settings)[1];
    CHECK(directory.name == "data-dir");
    CHECK(directory.kind == FileSetting::Kind::string);
    CHECK(directory.texts == Texts{"/srv/a#b"});
    CHECK(directory.line == 4);
    CHECK((*settings)[2].kind == FileSetting::Kind::boolean);
    CHECK((*settings)[2].texts == Texts{"false"});
    CHECK((*settings)[3].kind == FileSetting::Kind::array);
    CHECK((*settings)[3].texts == Texts{"a", "b"});
    CHECK((*settings)[3].line == 6);
}

TEST_CASE("a file may be empty") {
    for (const char* content : {"", "\n", "# x", " \t", "\r\n", "\xef\xbb\xbf", "\n\n# x\n\n"}) {
        CHECK(read(content) == "");
    }
    CHECK(read("\xef\xbb\xbfid = 1") == "id=<1>|");
}

TEST_CASE("strings") {
    CHECK(read(R"(a = "")") == "a=<>|");
    CHECK(read(R"(a = '')") == "a=<>|");
    CHECK(read(R"(a = "1=x:1,2=y:2")") == "a=<1=x:1,2=y:2>|");
    CHECK(read(R"(a = "\"\\\b\t\n\f\r")") == "a=<\"\\\b\t\n\f\r>|");
    CHECK(read(R"(a = "\u00fc\U0001F600")") == "a=<\xc3\xbc\xf0\x9f\x98\x80>|");
    CHECK(read(R"(a = 'C:\new "x" # y' # z)") == "a=<C:\\new \"x\" # y>|");
    CHECK(read("a = \"gr\xc3\xbc\xc3\x9f\tx\"") == "a=<gr\xc3\xbc\xc3\x9f\tx>|");
    CHECK(read(R"("a" = 1)") == "a=<1>|");
    CHECK(read(R"('a b' = 1)") == "a b=<1>|");
}

TEST_CASE("integers") {
    CHECK(read("a = 0") == "a=<0>|");
    CHECK(read("a = +7") == "a=<7>|");
    CHECK(read("a = -7") == "a=<-7>|");
    CHECK(read("a = 1_2_3") == "a=<123>|");
    CHECK(read("a = 99999999999999999999999") == "a=<99999999999999999999999>|");
}

TEST_CASE("what is not for us is refused, never guessed at") {
    for (const char* content : {"a",
                                "a =",
                                "a = #",
                                "= 1",
                                "a 1",
                                "a : 1",
                                "a = yes",
                                "a = True",
                                "a = text",
                                "a = /srv/data",
                                "a = 1.5",
                                "a = 1e3",
                                "a = 0x10",
                                "a = 010",
                                "a = 1__0",
                                "a = _1",
                                "a = 1_",
                                "a = -",
                                "a = +",
                                "a = --1",
                                "a = inf",
                                "a = 1 2",
                                "a = 1, 2",
                                "a = \"x\" y",
                                "a = \"x\"\"y\"",
                                "a = \"x",
                                "a = 'x",
                                "a = \"x\\",
                                "a = \"\\q\"",
                                "a = \"\\u12\"",
                                "a = \"\\ud800\"",
                                "a = \"\\U00110000\"",
                                "a = \"\\UFFFFFFFFF\"",
                                "a = \"\"\"x\"\"\"",
                                "a = '''x'''",
                                "a = \"x\ny\"",
                                "a = [",
                                "a = [1]",
                                "a = [\"x\"",
                                "a = [\"x\" \"y\"]",
                                "a = [,]",
                                "a = [\"x\",,]",
                                "a = [[\"x\"]]",
                                "a = [\"x\"] 1",
                                "[serve]",
                                "[[a]]",
                                "a.b = 1",
                                "a = {b = 1}",
                                "a = 1979-05-27",
                                "a = 1\rb = 2",
                                "a = 1 b = 2",
                                "; x",
                                "// x",
                                "a = \"\xff\"",
                                "# \x01",
                                "a = \"\x1b\"",
                                "# \x7f",
                                "a = 'x\"",
                                "\xc3\xbc = 1"}) {
        CAPTURE(content);
        CHECK(read(content).starts_with("!line 1: "));
    }
    CHECK(read(std::string_view("a = \"\0\"", 7)).starts_with("!line 1: "));
}

TEST_CASE("a name is set once") {
    CHECK(read("a = 1\nb = 2\n\"a\" = 3") == "!line 3: \"a\" is set twice");
}

TEST_CASE("the line is that of the mistake") {
    CHECK(read("a = 1\n\n# x\nb = oops") ==
          "!line 4: the value of \"b\", \"oops\", is no string in quotes, decimal integer, boolean "
          "or array");
    CHECK(read("a = [\n\"x\",\n2]").starts_with("!line 3: "));
    CHECK(read("a = 1\r\nb = \"\xff\"").starts_with("!line 2: "));
    CHECK(read("[serve]") == "!line 1: a table; settings stand at the top level");
}

TEST_CASE("every prefix of a good file is read or refused, and nothing else happens") {
    const std::string content = "id = 1\ndata-dir = \"\\u0041\"\r\nallowed-host = [\"a\", 'b']\n";
    for (std::size_t size = 0; size <= content.size(); ++size) {
        // A copy of its own, so that the sanitizer sees a step beyond the end.
        const std::vector<char> exact(content.begin(), content.begin() + static_cast<int>(size));
        CHECK_NOTHROW(read(std::string_view(exact.data(), exact.size())));
    }
}

TEST_CASE("reading files") {
    namespace fs = std::filesystem;
    const fs::path directory =
        fs::temp_directory_path() / ("cairn-settings-" + std::to_string(::getpid()));
    fs::create_directories(directory);
    const std::string path = directory / "cairn.toml";
    CHECK(read_settings_file(path).error().text == "No such file or directory");
    CHECK(read_settings_file(directory).error().text == "Is a directory");
    std::ofstream(path) << "id = 1\n";
    CHECK(*read_settings_file(path) == "id = 1\n");
    std::ofstream(path) << std::string(settings_file_bytes_max, '\n');
    CHECK(read_settings_file(path)->size() == settings_file_bytes_max);
    std::ofstream(path) << std::string(settings_file_bytes_max + 1, '\n');
    CHECK(read_settings_file(path).error().text == "larger than 1048576 bytes");
    fs::remove_all(directory);
}
