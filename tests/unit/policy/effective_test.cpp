// The effective text of a policy means what the policy means.
#include "policy/tool/compile/effective.hpp"

#include <gtest/gtest.h>

#include <string>

#include "policy/tool/compile/profiles.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::compile {
namespace {

using random::kGroup;
using random::kPasswd;

std::expected<Compilation, std::string> compiled(const std::string& text) {
    return compile_with_nevers({.text = text, .name = "p.toml", .passwd = kPasswd, .group = kGroup});
}

/// All but where the rules stand, and the digest of their text.
std::string meaning_of(const Compilation& compilation) {
    compiled::Compiled policy = compilation.policy;
    policy.clear_digest();
    for (compiled::Rule& rule : *policy.mutable_rules()) rule.clear_where();
    return policy.SerializeAsString();
}

std::string names_of(const analyse::Never& never) {
    std::string names;
    for (const ipc::Account& one : never.users) names += one.name() + " ";
    return names;
}

void expect_same(const std::string& text) {
    const auto before = compiled(text);
    ASSERT_TRUE(before) << before.error();
    const std::string effective = effective_text(*before, Passwd(kPasswd, kGroup));
    const auto after = compiled(effective);
    ASSERT_TRUE(after) << after.error() << effective;
    EXPECT_EQ(meaning_of(*before), meaning_of(*after)) << effective;
    ASSERT_EQ(before->nevers.size(), after->nevers.size());
    for (std::size_t at = 0; at < before->nevers.size(); ++at)
        EXPECT_EQ(names_of(before->nevers[at]), names_of(after->nevers[at])) << effective;
}

TEST(Effective, OfPoliciesAtRandomMeansTheSame) {
    random::Source source(50);
    for (int number = 0; number < 500; ++number) {
        const std::string text = random::text_of(source.rules(1 + source.below(6)));
        if (compiled(text)) expect_same(text);
    }
}

TEST(Effective, OfEachProfileMeansTheSame) {
    for (const Profile& profile : profiles()) expect_same(std::string(profile.text));
}

TEST(Effective, OfEverythingThatThereIsToSayMeansTheSame) {
    expect_same(R"(schema = 1
include = "profile:minimal"
dialect = "0.14-preview"
audit = { max_size = "16MiB", keep = 20, on_loss = "go on", journal = "all" }
[peers]
uids = [1000, "nobody"]
cids = [3]
[[allow]]
id = "files"
commands = ["@file"]
expires = 2030-01-31T00:00:00Z
files = [{ under = "/srv/a \"quoted\" \u0007 name", access = ["read", "write", "create"], create_mode = "0640", owner = [0] }]
[[allow]]
id = "power"
commands = ["@power"]
modes = ["halt", "reboot"]
method = "systemd"
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { mounts = ["/"], types = ["ext4"], exclude_sources = ["/dev/x"], max_frozen = "5m", already_frozen = "fail", hooks = "/etc/h" }
[[allow]]
id = "look"
commands = ["@inspect"]
reply = { interfaces = ["eth*"], mounts = ["/"], users = ["root"], without = ["serial", "zone"] }
[[allow]]
id = "probe"
commands = ["@exec"]
[[allow.exec]]
program = "/bin/a"
args = ["--x", { one_of = ["a", "b"] }, { int = [-3, 10] }, { under = "/srv" }, { name = 64 }]
run_as = "nobody"
env = { LANG = "C", "A B" = "c=d" }
host_env = ["X"]
input = "1KiB"
concurrent = 3
confine = { network = false, write = ["/tmp/a"], no_new_privileges = true, memory = "1GiB", tasks = 5 }
[[never]]
id = "n"
files = [{ under = "/etc", access = ["read"] }]
[[never]]
id = "m"
exec = { programs = ["/bin/sh"], run_as = ["root"] }
[[never]]
id = "o"
commands = ["guest-shutdown"]
modes = ["powerdown"]
)");
}

TEST(Effective, OfPasswordsKeysAndHardwareMeansTheSame) {
    expect_same(R"(schema = 1
[[allow]]
id = "accounts"
commands = ["@accounts"]
users = ["root", "nobody"]
crypted = "any"
key_types = ["ssh-ed25519", "ssh-rsa"]
max_keys = 7
reset = true
require = ["restrict", "no-pty"]
[[allow]]
id = "password"
commands = ["guest-set-user-password"]
users = "any"
crypted = "only"
[[allow]]
id = "hardware"
commands = ["@hardware"]
time = { max_step = "1500ms" }
vcpus = { min_online = 2, cpus = "1-3,8" }
memory = { blocks = "0-63" }
[[never]]
id = "p"
users = ["bob", "alice"]
commands = ["guest-ssh-get-authorized-keys", "guest-ssh-remove-authorized-keys"]
)");
}

}  // namespace
}  // namespace sallyport::policy::compile
