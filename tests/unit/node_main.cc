// The main of the tests whose subjects log: what they say on purpose isn't news.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

int main(int argc, char** argv) {
    spdlog::set_level(spdlog::level::off);
    return doctest::Context(argc, argv).run();
}
