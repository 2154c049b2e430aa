// libFuzzer's entry points. `--write-seeds DIR` writes the seed inputs and ends.
#include <fstream>
#include <string>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    if (*count != 3 || std::string_view((*arguments)[1]) != "--write-seeds") {
        return 0;
    }
    const std::string directory = (*arguments)[2];
    int number = 0;
    for (const std::string& seed : cairn::fuzz::seed_inputs()) {
        std::ofstream file(directory + "/seed-" + std::to_string(number++), std::ios::binary);
        file << seed;
        cairn::fuzz::require(file.good(), "a seed can be written");
    }
    std::_Exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cairn::fuzz::run_input({reinterpret_cast<const char*>(data), size});
    return 0;
}
