// Programs of guest-exec in control groups: where a service manager has left us a group (Delegate=), each has its own there, and is
// ended with all that it has started. Needs the file system of cgroup v2, but no controller: memory and tasks are bounded by those, for
// which see tests/vm/cases/exec_unit.py.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// Our group of cgroup v2, from the mount on.
std::string own_path() {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);)
        if (line.starts_with("0::/")) return line.substr(3);
    return "/nowhere";
}

void write_to(const std::string& file, std::string_view text) {
    const UniqueFd open(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(::write(open.get(), text.data(), text.size()), static_cast<ssize_t>(text.size())) << file;
}

// A group as a service manager makes one for a service.
class ServiceGroup {
public:
    ServiceGroup() {
        for (const std::string mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
            if (fs::exists(mount + own_path() + "/cgroup.procs"))
                path_ = mount + own_path() + "/sallyport-test-" + std::to_string(::getpid());
        fs::create_directory(path_);
    }
    ~ServiceGroup() {
        write_to(path_ + "/cgroup.kill", "1");
        EXPECT_TRUE(
            eventually([this] { return read_file(path_ + "/cgroup.events").starts_with("populated 0"); }));
        remove(path_);
    }
    ServiceGroup(const ServiceGroup&) = delete;
    ServiceGroup& operator=(const ServiceGroup&) = delete;

    void mark_as_left_to_us() const {
        EXPECT_EQ(::setxattr(path_.c_str(), "trusted.delegate", "1", 1, 0), 0);
    }
    [[nodiscard]] std::string path(std::string_view below = "") const { return path_ + std::string(below); }
    /// As the kernel names it.
    [[nodiscard]] std::string name() const {
        return own_path() + (own_path() == "/" ? "" : "/") + fs::path(path_).filename().string();
    }
    /// The groups of programs.
    [[nodiscard]] std::vector<std::string> programs() const {
        std::vector<std::string> all;
        for (const auto& one : fs::directory_iterator(path_ + "/programs"))
            if (one.is_directory()) all.push_back(one.path().filename());
        return all;
    }

private:
    static void remove(const std::string& group) {
        for (const auto& one : fs::directory_iterator(group))
            if (one.is_directory()) remove(one.path());
        EXPECT_EQ(::rmdir(group.c_str()), 0) << group;
    }
    std::string path_;
};

class ExecInGroups : public testing::Test {
protected:
    void serve(const std::string& text, const std::string& more = "run_as = \"root\"") {
        const std::string policy =
            "schema = 1\n[[allow]]\nid = \"x\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = "
            "\"/bin/sh\"\n"
            "args = [\"-c\", '''" +
            text + "''']\n" + more + "\n";
        text_ = text;
        agent_.emplace(AgentOptions{.policy = policy, .before_exec = [this] {
                                        write_to(service_.path("/cgroup.procs"), "0");
                                        ::umask(077);
                                    }});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_.emplace(agent_->connect());
    }
    std::string start() {
        return host_->ask(command(
            "guest-exec",
            boost::json::serialize(boost::json::object{
                {"path", "/bin/sh"}, {"arg", boost::json::array{"-c", text_}}, {"capture-output", true}})));
    }
    boost::json::object run() {
        const auto pid = result_of(start()).at("pid").as_int64();
        boost::json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended =
                result_of(host_->ask(command("guest-exec-status", "{\"pid\":" + std::to_string(pid) + "}")))
                    .as_object();
            return ended.at("exited").as_bool();
        }));
        return ended;
    }
    ServiceGroup service_;
    std::string text_;
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};

TEST_F(ExecInGroups, EachProgramHasItsOwnBesideTheAgentsUntilItHasGone) {
    service_.mark_as_left_to_us();
    // It ends when the next is waited for already.
    serve("grep ^0:: /proc/self/cgroup; until ls " + service_.path("/programs") + " | grep -q 2; do :; done");
    const std::string seen = from_base64(run().at("out-data").as_string());
    EXPECT_TRUE(seen.starts_with("0::" + service_.name() + "/programs/")) << seen;
    for (const pid_t one : {agent_->broker().pid(), agent_->worker()})
        EXPECT_NE(
            read_file("/proc/" + std::to_string(one) + "/cgroup").find("0::" + service_.name() + "/agent\n"),
            std::string::npos);
    EXPECT_EQ(fs::status(service_.path("/programs")).permissions(), fs::perms(0755)) << "bounds can be read";
    EXPECT_EQ(fs::status(service_.path("/programs/" + service_.programs().front())).permissions(),
              fs::perms(0755));
    const std::string group = seen.substr(seen.rfind('/') + 1, seen.size() - seen.rfind('/') - 2);
    EXPECT_TRUE(eventually([&] {
        const auto left = service_.programs();
        return left.size() == 1 && left.front() != group;
    })) << "one waits for the next program";
}

TEST_F(ExecInGroups, ProgramOfAnotherUserCannotChangeItsOwn) {
    service_.mark_as_left_to_us();
    const std::string mount = service_.path().substr(0, service_.path().size() - service_.name().size());
    serve("cd " + mount +
              "$(sed -n s/^0:://p /proc/self/cgroup) && echo here; echo 0 > cgroup.procs; echo 1 > "
              "cgroup.kill; mkdir sub; "
              "chmod 777 .; echo 0 > ../../agent/cgroup.procs; ls -d sub; echo alive",
          "run_as = \"backup\"");
    EXPECT_EQ(from_base64(run().at("out-data").as_string()), "here\nalive\n");
}

TEST_F(ExecInGroups, OneThatForksFasterThanItIsKilledEndsAtMaxRuntime) {
    service_.mark_as_left_to_us();
    // Of a user who may have so many tasks, so that this machine survives it.
    serve("exec perl -e 'while (1) { fork }'",
          "run_as = \"backup\"\nmax_runtime = \"500ms\"\nconfine = { tasks = 64 }");
    EXPECT_EQ(run().at("signal").as_int64(), SIGKILL);
    std::string reply;
    EXPECT_TRUE(eventually([&] { return desc_of(reply = start()).empty(); }))
        << "nothing of it is left: " << reply;
}

TEST_F(ExecInGroups, SupervisorThatIsKilledLeavesNothingBehind) {
    service_.mark_as_left_to_us();
    serve("setsid sleep 1000 & sleep 1000");
    ASSERT_EQ(desc_of(start()), "");
    ASSERT_TRUE(eventually([&] {
        for (const auto& one : service_.programs())
            if (std::ranges::count(read_file(service_.path("/programs/" + one + "/cgroup.procs")), '\n') >= 3)
                return true;
        return false;
    }));
    // Whose child the shell is.
    for (const pid_t one : agent_->processes()) {
        if (read_file("/proc/" + std::to_string(one) + "/comm") != "sh\n") continue;
        const std::string stat = read_file("/proc/" + std::to_string(one) + "/stat");
        send_signal(std::stoi(stat.substr(stat.rfind(')') + 4)), SIGKILL);
        break;
    }
    EXPECT_TRUE(eventually([&] { return desc_of(start()).empty(); }));
    EXPECT_TRUE(eventually([&] { return service_.programs().size() <= 2; }));
}

TEST_F(ExecInGroups, WhatAKilledAgentHasLeftIsKilledByTheNext) {
    service_.mark_as_left_to_us();
    fs::create_directories(service_.path("/programs/7"));
    const pid_t left = ::fork();
    if (left == 0) {
        write_to(service_.path("/programs/7/cgroup.procs"), "0");
        for (;;) ::pause();
    }
    ASSERT_TRUE(eventually([&] { return !read_file(service_.path("/programs/7/cgroup.procs")).empty(); }));
    serve("exit 3");
    int status = 0;
    EXPECT_EQ(::waitpid(left, &status, 0), left);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(run().at("exitcode").as_int64(), 3);
}

TEST_F(ExecInGroups, GroupThatIsNotLeftToUsStaysAsItIsAndTheLogSaysWhatFollows) {
    serve("grep ^0:: /proc/self/cgroup");
    EXPECT_EQ(from_base64(run().at("out-data").as_string()), "0::" + service_.name() + "\n");
    EXPECT_FALSE(fs::exists(service_.path("/agent")));
    EXPECT_EQ(agent_->count_audit("what", "programs-without-control-group"), 1U);
}

TEST_F(ExecInGroups, TasksOfRootThatNobodyCountsAreNotStarted) {
    service_.mark_as_left_to_us();
    serve("exit 0", "run_as = \"root\"\nconfine = { tasks = 4 }");
    const std::string reply = desc_of(start());
    const bool has_controllers = agent_->count_audit("what", "programs-without-control-group") == 0;
    EXPECT_EQ(reply, has_controllers
                         ? ""
                         : "Failed to execute child process \u201C/bin/sh\u201D (Operation not supported)");
}

}  // namespace
}  // namespace sallyport::test
