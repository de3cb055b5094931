// The conversations of libvirt, KubeVirt and Proxmox about programs: what they send, as they send it, and the members that they read.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

class ExecClient : public testing::Test {
protected:
    Agent agent_{AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"}};
};

std::string text_in(const json::object& ended, std::string_view member) {
    return ended.contains(member) ? from_base64(ended.at(member).as_string()) : "";
}

// libvirt keeps one connection; before each command a guest-sync, no id, no 0xFF; it sends the caller's JSON in a form of its own.
class Libvirt {
public:
    explicit Libvirt(const Agent& agent) : host_(agent.connect()) {}
    std::string ask(const std::string& request) {
        const std::string id = std::to_string(1'700'000'000'000 + ++syncs_);
        EXPECT_EQ(host_.ask("{\"execute\":\"guest-sync\", \"arguments\":{\"id\":" + id + "}}\n"),
                  "{\"return\": " + id + "}");
        return host_.ask(request + "\n");
    }
    std::int64_t start(const std::string& arguments) {
        const std::string reply = ask("{\"execute\":\"guest-exec\",\"arguments\":{" + arguments + "}}");
        return result_of(reply).at("pid").as_int64();
    }
    // KubeVirt looks ten times within its time-out.
    json::object end_of(std::int64_t pid) {
        json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended = result_of(ask("{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":" +
                                  std::to_string(pid) + "}}"))
                        .as_object();
            return ended.at("exited").as_bool();
        }));
        return ended;
    }

private:
    HostClient host_;
    std::int64_t syncs_ = 0;
};

TEST_F(ExecClient, VirshQemuAgentCommand) {
    Libvirt virsh(agent_);
    const auto pid = virsh.start(
        R"("path":"/bin/sh","arg":["-c","echo out; echo err >&2; exit 5"],"capture-output":true)");
    const auto ended = virsh.end_of(pid);
    EXPECT_EQ(ended.at("exitcode").as_int64(), 5);
    EXPECT_EQ(text_in(ended, "out-data"), "out\n");
    EXPECT_EQ(text_in(ended, "err-data"), "err\n");
    EXPECT_FALSE(desc_of(virsh.ask("{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":" +
                                   std::to_string(pid) + "}}"))
                     .empty())
        << "the end is told once";
    const auto silent = virsh.end_of(virsh.start(R"("path":"/bin/true")"));
    EXPECT_EQ(json::serialize(silent), R"({"exitcode":0,"exited":true})");
}

// A host with KubeVirt starts no probe and writes no key where guest-info does not say that it may.
TEST_F(ExecClient, KubevirtFindsTheCommandsOfItsProbesAndOfItsOldWayToWriteKeysEnabled) {
    Libvirt libvirt(agent_);
    const auto info = result_of(libvirt.ask(R"({"execute":"guest-info"})"));
    for (const std::string_view name : {"guest-exec", "guest-exec-status", "guest-file-open",
                                        "guest-file-close", "guest-file-read", "guest-file-write"}) {
        bool is_enabled = false;
        for (const auto& one : info.at("supported_commands").as_array())
            if (one.at("name").as_string() == name) is_enabled = one.at("enabled").as_bool();
        EXPECT_TRUE(is_enabled) << name;
    }
}

TEST_F(ExecClient, KubevirtProbe) {
    Libvirt libvirt(agent_);
    const auto good =
        libvirt.end_of(libvirt.start(R"("path":"cat","arg":["/etc/hostname"],"capture-output":true)"));
    EXPECT_EQ(good.at("exitcode").as_int64(), 0);
    EXPECT_EQ(text_in(good, "out-data"), read_file("/etc/hostname"));
    const auto bad =
        libvirt.end_of(libvirt.start(R"("path":"cat","arg":["/nowhere"],"capture-output":true)"));
    EXPECT_EQ(bad.at("exitcode").as_int64(), 1);
    EXPECT_FALSE(bad.contains("out-data")) << "which it takes for no output";
    EXPECT_NE(
        desc_of(libvirt.ask(
            R"({"execute":"guest-exec","arguments":{"path":"no-such-probe","arg":[],"capture-output":true}})")),
        "");
}

// As it sends it itself, where libvirt passes it on as it is.
TEST_F(ExecClient, KubevirtProbeInItsOwnForm) {
    HostClient host = agent_.connect();
    const auto started = result_of(host.ask(
        R"({"execute": "guest-exec", "arguments": { "path": "cat", "arg": [ "/etc/hostname" ], "capture-output":true } })"
        "\n"));
    EXPECT_GT(started.at("pid").as_int64(), 0);
}

TEST_F(ExecClient, KubevirtOldWayToWriteKeys) {
    Libvirt libvirt(agent_);
    const std::string folder = agent_.scratch().path("ssh");
    const auto run = [&](const std::string& arguments) {
        const auto ended = libvirt.end_of(libvirt.start(arguments + ",\"capture-output\":true"));
        EXPECT_EQ(ended.at("exitcode").as_int64(), 0) << arguments;
        return text_in(ended, "out-data");
    };
    EXPECT_TRUE(run(R"("path":"getent","arg":["passwd","root"])").starts_with("root:x:0:0:"));
    run(R"("path":"mkdir","arg":["-p",")" + folder + "\"]");
    run(R"("path":"chown","arg":["0:0",")" + folder + "\"]");
    run(R"("path":"chmod","arg":["700",")" + folder + "\"]");
    const std::string file = folder + "/authorized_keys";
    const auto handle = result_of(libvirt.ask(R"({"execute":"guest-file-open","arguments":{"path":")" + file +
                                              R"(","mode":"w"}})"))
                            .as_int64();
    const std::string of_it = "\"handle\":" + std::to_string(handle);
    const std::string written = libvirt.ask(R"({"execute":"guest-file-write","arguments":{)" + of_it +
                                            ",\"buf-b64\":\"" + base64("ssh-ed25519 key\n") + "\"}}");
    EXPECT_EQ(result_of(written).at("count").as_int64(), 16);
    libvirt.ask(R"({"execute":"guest-file-close","arguments":{)" + of_it + "}}");
    run(R"("path":"chmod","arg":["600",")" + file + "\"]");
    EXPECT_EQ(read_file(file), "ssh-ed25519 key\n");
    EXPECT_EQ(std::filesystem::status(file).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

// Proxmox: a connection for each command; both lines in one write; the very next two lines are the answers.
class Proxmox {
public:
    explicit Proxmox(const Agent& agent) : agent_(agent) {}
    std::string ask(const std::string& command, const std::string& arguments) {
        // Process id, 0, a counter.
        const std::string id = "4194304" + std::string("0") + std::to_string(++commands_);
        HostClient host = agent_.connect();
        host.send("{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":" + id +
                  "}}\n{\"execute\":\"" + command + "\",\"arguments\":{" + arguments + "}}\n");
        EXPECT_EQ(host.line(), "\xFF{\"return\": " + id + "}");
        return host.line();
    }
    // `qm guest exec VMID -- PROGRAM WORDS`, which waits 30 s and asks again and again.
    json::object exec(const std::string& arguments) {
        EXPECT_EQ(ask("guest-ping", ""), R"({"return": {}})");
        const auto pid = result_of(ask("guest-exec", arguments)).at("pid").as_int64();
        json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended = result_of(ask("guest-exec-status", "\"pid\":" + std::to_string(pid))).as_object();
            return ended.at("exited").as_bool();
        }));
        return ended;
    }

private:
    const Agent& agent_;
    int commands_ = 0;
};

TEST_F(ExecClient, ProxmoxQmGuestExec) {
    Proxmox qm(agent_);
    const auto plain = qm.exec(R"("path":"uname","arg":["-s"],"capture-output":true)");
    EXPECT_EQ(plain.at("exitcode").as_int64(), 0);
    EXPECT_EQ(text_in(plain, "out-data"), "Linux\n");
    const auto fed =
        qm.exec(R"("path":"sh","arg":["-c","cat; exit 2"],"capture-output":true,"input-data":")" +
                base64("from the host") + "\"");
    EXPECT_EQ(fed.at("exitcode").as_int64(), 2);
    EXPECT_EQ(text_in(fed, "out-data"), "from the host");
    const auto killed = qm.exec(R"("path":"sh","arg":["-c","kill -KILL $$"],"capture-output":true)");
    EXPECT_EQ(killed.at("signal").as_int64(), 9);
    EXPECT_FALSE(killed.contains("exitcode"));
}

TEST_F(ExecClient, ProxmoxQmGuestExecStatusOfWhatIsNotThere) {
    Proxmox qm(agent_);
    EXPECT_EQ(desc_of(qm.ask("guest-exec-status", "\"pid\":4711")), "PID 4711 does not exist");
    EXPECT_NE(desc_of(qm.ask("guest-exec", R"("path":"no-such-program","arg":[],"capture-output":true)"))
                  .find("No such file or directory"),
              std::string::npos);
}

}  // namespace
}  // namespace sallyport::test
