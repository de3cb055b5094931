// Which drop-ins of the systemd unit a policy needs.
#include <gtest/gtest.h>

#include <string>

#include "policy/drop_ins.hpp"
#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy {
namespace {

std::string needed_by(const std::string& rules) {
    const auto compiled =
        compile::compile_policy({.text = "schema = 1\n" + rules,
                                 .name = "p.toml",
                                 .passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n",
                                 .group = "root:x:0:\n"});
    EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error());
    const auto policy = load(compiled->SerializeAsString());
    EXPECT_TRUE(policy);
    std::string names;
    for (const DropIn& one : drop_ins_of(*policy)) {
        const std::string path(one.path);
        names += path.substr(path.rfind('/') + 1) + " ";
    }
    return names;
}

std::string allow(const std::string& commands, const std::string& more = "") {
    return "[[allow]]\nid = \"a\"\ncommands = [" + commands + "]\n" + more;
}

TEST(DropIns, AreNotNeededToAskAndToEndTheGuest) {
    EXPECT_EQ(needed_by(allow("\"@sync\", \"@info\"")), "");
    EXPECT_EQ(needed_by(allow("\"@power\"", "modes = [\"powerdown\"]\n")), "");
}

TEST(DropIns, FollowFromWhatIsAllowed) {
    const std::string freeze = "\"guest-fsfreeze-freeze\"";
    EXPECT_EQ(needed_by(allow("\"@power\"", "modes = [\"halt\"]\nmethod = \"kernel\"\n")), "kernel.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-get-host-name\"")), "system.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-network-get-route\"")), "network.conf system.conf ");
    EXPECT_EQ(needed_by(allow("\"@file\"", "files = [{ under = \"/srv\", access = [\"read\"] }]\n")),
              "system.conf ");
    EXPECT_EQ(needed_by(allow(freeze, "freeze = {}\n")), "system.conf ");
    EXPECT_EQ(needed_by(allow(freeze, "freeze = { hooks = \"/etc/hooks\" }\n")),
              "network.conf programs.conf system.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-exec\"",
                              "[[allow.exec]]\nprogram = \"/usr/bin/true\"\nargs = []\nrun_as = \"root\"\n")),
              "network.conf programs.conf system.conf ");
    EXPECT_EQ(
        needed_by(allow("\"guest-ssh-add-authorized-keys\"", "users = [\"alice\"]\nkey_types = \"any\"\n")),
        "system.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-set-user-password\"", "users = [\"alice\"]\ncrypted = \"any\"\n")),
              "network.conf passwords.conf system.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-set-time\"", "time = { max_step = \"10m\" }\n")),
              "clock.conf system.conf ");
    EXPECT_EQ(needed_by(allow("\"guest-set-vcpus\"", "vcpus = { min_online = 1, cpus = \"1\" }\n")),
              "system.conf ");
}

TEST(DropIns, AreNotNeededForWhatIsDenied) {
    EXPECT_EQ(
        needed_by(allow("\"guest-get-host-name\"") + "[[deny]]\nid = \"d\"\ncommands = [\"@inspect\"]\n"),
        "");
}

}  // namespace
}  // namespace sallyport::policy
