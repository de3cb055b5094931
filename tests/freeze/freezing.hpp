// An agent that may freeze, in a cage, and what a host asks it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/agent.hpp"
#include "tests/support/loop_fs.hpp"

namespace sallyport::test {

/// A policy whose one rule allows @freeze; `freeze` is the inside of its table.
std::string freeze_policy(const std::string& freeze = "");

std::string ask(HostClient& host, std::string_view command, std::string_view arguments = "{}");
std::int64_t freeze(HostClient& host);
std::int64_t thaw(HostClient& host);
/// "thawed" or "frozen".
std::string status(HostClient& host);

pid_t guard_of(Agent& agent);
/// The guard's children, while something is frozen: freezer and spare, in the order of their start.
std::vector<pid_t> family_of(Agent& agent);

/// A child in a system call that never gets a page of memory that it needs, and holds what the call holds, until it is killed: what a local
/// user does with memory of his own FUSE file.
class HeldInACall {
public:
    explicit HeldInACall(const std::function<void(void* page)>& call);
    /// Whether it waits for the page.
    [[nodiscard]] bool is_held() const;
    void end();

private:
    std::unique_ptr<Child> child_;
};

/// File systems named fs0, fs1 ...
std::vector<std::unique_ptr<LoopFs>> make_systems(std::size_t count, const std::string& type = "ext4");
bool all_are_writable(const std::vector<std::unique_ptr<LoopFs>>& systems,
                      milliseconds patience = milliseconds(1000));

}  // namespace sallyport::test
