#include "tests/support/run_tool.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>

namespace sallyport::test {

Said run_tool(const std::string& tool, const std::string& folder, const std::string& words) {
    const std::string line = "cd " + folder + " && " + tool + " " + words + " 2>&1";
    Said said;
    std::FILE* output = ::popen(line.c_str(), "r");
    if (output == nullptr) return said;
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), output))
        said.text.append(buffer.data(), got);
    const int status = ::pclose(output);
    said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return said;
}

}  // namespace sallyport::test
