// The stage on which a taken-over worker attacks the real, confined broker.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/hostile/puppet.hpp"
#include "tests/hostile/wire.hpp"

namespace sallyport::test {

class TakenOver : public testing::Test {
protected:
    static void SetUpTestSuite() { tree_ = std::make_unique<PuppetTree>(); }
    static void TearDownTestSuite() { tree_.reset(); }

    explicit TakenOver(const char* policy = kWorkPolicy);

    /// Checks that the worker was ended for a violation, that nothing is left of it and that its successor is
    /// served.
    void expect_violation();
    /// Checks that the worker was only told no, and that it is served further; `next_seq` is its next
    /// request's number.
    void expect_refused(const ipc::Reply& reply, ipc::Reason reason, std::uint64_t next_seq = 2);
    /// Checks that files, descriptors and the audit chain are as they were.
    void expect_nothing_happened();

    [[nodiscard]] std::string path(const std::string& name) const { return agent_.scratch().path(name); }
    /// Opens a file of the work folder as an honest worker would, as request number `seq`.
    std::int64_t open(std::uint64_t seq, const std::string& name, const std::string& mode);

    /// The build tree with the puppet, for agents of a test's own.
    static std::string agent_root() { return tree_->root(); }

    static constexpr const char* kWorkPolicy = R"(schema = 1
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";

private:
    static std::unique_ptr<PuppetTree> tree_;
    [[nodiscard]] std::string list_files() const;

protected:
    Agent agent_;
    Puppet puppet_;
    std::size_t descriptors_;

private:
    std::string files_;
};

}  // namespace sallyport::test
