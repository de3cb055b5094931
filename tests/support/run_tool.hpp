// The policy tool, run by a line as an admin types it.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::test {

struct Said {
    int status = -1;   // -1: it did not exit
    std::string text;  // on both outputs
    [[nodiscard]] bool has(std::string_view part) const { return text.find(part) != text.npos; }
};

/// Runs `tool`, a path, with `words` of a shell's line in `folder`, and waits for its end.
Said run_tool(const std::string& tool, const std::string& folder, const std::string& words);

}  // namespace sallyport::test
