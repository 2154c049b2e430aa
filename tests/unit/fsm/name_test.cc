#include "fsm/name.h"

#include <string>

#include <doctest/doctest.h>

using cairn::fsm::name_bytes_max;
using cairn::fsm::valid_name;

TEST_CASE("names: what may be stored") {
    for (const char* name : {"a", "a/b/c", "...", ".a", "a.", "a..b", "..a/b", " ", "a b", "%2e",
                             "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\xaa\xa8", "\xc2\xa0",
                             "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "~"}) {
        CAPTURE(name);
        CHECK(valid_name(name));
    }
    CHECK(valid_name(std::string(name_bytes_max, 'n')));
}

TEST_CASE("names: empty, . and .. segments are refused wherever they are") {
    for (const char* name : {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..",
                             "a/./b", "a/../b", "//"}) {
        CAPTURE(name);
        CHECK_FALSE(valid_name(name));
    }
    CHECK_FALSE(valid_name(std::string(name_bytes_max + 1, 'n')));
}

TEST_CASE("names: control characters are refused") {
    for (int character = 0; character < 0x20; ++character) {
        CHECK_FALSE(valid_name(std::string("a") + static_cast<char>(character)));
    }
    CHECK_FALSE(valid_name("a\x7f"));
    for (int low = 0x80; low <= 0x9f; ++low) {
        CHECK_FALSE(valid_name(std::string("a\xc2") + static_cast<char>(low)));
    }
}

TEST_CASE("names: what isn't UTF-8 is refused") {
    for (const char* name : {
             "\x80",
             "\xbf",
             "a\xff",
             "\xfe",
             "\xc3",
             "\xc3(",
             "\xe2\x82",
             "\xe2(\xac",
             "\xf0\x9f\xaa",
             "\xf0\x9f\xaa(",
             "\xc0\xaf",
             "\xc1\xbf",
             "\xe0\x80\xaf",
             "\xe0\x9f\xbf",
             "\xf0\x80\x80\xaf",
             "\xf0\x8f\xbf\xbf",  // longer than needed
             "\xed\xa0\x80",
             "\xed\xbf\xbf",  // surrogates
             "\xf4\x90\x80\x80",
             "\xf7\xbf\xbf\xbf",
             "\xf8\x88\x80\x80\x80",  // past U+10FFFF
         }) {
        CAPTURE(name);
        CHECK_FALSE(valid_name(name));
    }
}
