// The room of the broker that opens files, with a policy and a tree of a test's own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "broker/files/needs.hpp"
#include "broker/files/open.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::files {

/// A file rule with everything that is refused by default.
policy::FileRule rule_for_tests(const std::string& under, policy::Access access);

inline constexpr policy::Access kRead{.read = true};
inline constexpr policy::Access kChange{.read = true, .write = true};
inline constexpr policy::Access kAll{.read = true, .write = true, .create = true};

class Room : public testing::Test {
protected:
    Room();

    [[nodiscard]] std::string path(const std::string& name) const { return scratch_.path(name); }
    /// Adds a rule; `under` is below the scratch folder, or absolute.
    policy::FileRule& allow(const std::string& under, policy::Access access = kRead);
    void deny(const std::string& under, policy::Access access = {});
    /// Takes note of the tree as the start of the agent does.
    Checked<void> start(const std::vector<std::string>& own = {});

    /// What a host that names `name` (below the scratch folder, or absolute) gets: "=" and the text of the file, "refused", or the
    /// name of the error. Opened for writing, "opened". Starts first if that has not happened.
    std::string open(const std::string& name, const std::string& mode = "r");
    /// The same, but gives the descriptor.
    UniqueFd opened(const std::string& name, const std::string& mode);

    Outcome<Opened> ask(const std::string& name, const std::string& mode);

    test::Scratch scratch_;
    policy::Policy policy_;
    std::optional<Table> table_;
    UniqueFd state_;  // a state directory, for what earlier runs knew
    policy::WallTime now_ = 1000;

private:
    [[nodiscard]] std::string full(const std::string& name) const {
        return name.starts_with('/') ? name : path(name);
    }
};

/// Leaves the mounts of the machine alone from now on: what this process mounts, nobody else sees.
void leave_mounts();

}  // namespace sallyport::files
