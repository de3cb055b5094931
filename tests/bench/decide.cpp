// How long a decision takes among the rules of a policy; `./dev bench policy` drives it.
// usage: decide POLICY PATHS    PATHS: a file with a path in each line, which a host asks to open for reading, one after the other
// Prints the nanoseconds of processor time that a decision took on average.
#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/compile/compile.hpp"

using namespace sallyport::policy;

namespace {

constexpr std::size_t kTimes = 200;

std::string text_of(const char* path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::vector<GuestPath> paths_in(const char* file) {
    std::vector<GuestPath> paths;
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);)
        if (auto path = GuestPath::parse(line, "/")) paths.push_back(*std::move(path));
    return paths;
}

double processor_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_utime.tv_sec) + static_cast<double>(used.ru_utime.tv_usec) * 1e-6;
}

int fail(const std::string& what) {
    std::fprintf(stderr, "decide: %s\n", what.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return fail("usage: decide POLICY PATHS");
    const std::string text = text_of(argv[1]);
    const auto compiled =
        compile::compile_policy({.text = text, .name = argv[1], .passwd = "root:x:0:0::/root:\n"});
    if (!compiled) return fail(compiled.error());
    const auto policy = load(compiled->SerializeAsString());
    if (!policy) return fail(policy.error().what);
    const std::vector<GuestPath> paths = paths_in(argv[2]);
    if (paths.empty()) return fail("no paths");

    std::size_t allowed = 0;
    const double begin = processor_seconds();
    for (std::size_t time = 0; time < kTimes; ++time)
        for (const GuestPath& path : paths)
            if (decide_file_open(*policy, path, {.read = true}, 0).is_allowed()) ++allowed;
    const double seconds = processor_seconds() - begin;
    const double decisions = static_cast<double>(kTimes * paths.size());
    std::printf("%.0f\n", seconds / decisions * 1e9);
    // Half of the paths are allowed: whoever decides nothing is fast.
    return allowed * 2 == kTimes * paths.size() ? 0 : fail(std::to_string(allowed) + " were allowed");
}
