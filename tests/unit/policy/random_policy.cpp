#include "tests/unit/policy/random_policy.hpp"

#include <algorithm>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/orders.hpp"
#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy::random {

namespace {

const std::vector<std::string> kDirectories{"/", "/a", "/a/b", "/a/b/c", "/ab", "/d"};
const std::vector<std::string> kPaths{"/x",     "/a",       "/a/x",  "/a/b", "/a/b/x",
                                      "/a/b/c", "/a/b/c/x", "/ab/x", "/d",   "/d/a"};
const std::vector<std::string> kKinds{"regular", "directory", "fifo"};
const std::vector<std::string> kWords{"7", "12", "-3", "abc", "abcd", "/a/x", "/a/b/x", "start", "stop", "?"};
const std::vector<std::string> kPlaces{"\"start\"",          "{ one_of = [\"start\", \"abc\"] }",
                                       "{ int = [-5, 9] }",  "{ int = [5, 20] }",
                                       "{ name = 1 }",       "{ name = 3 }",
                                       "{ under = \"/a\" }", "{ under = \"/a/b\" }"};
const std::vector<std::string> kInterfaces{"eth0", "eth*", "eth1*", "lo"};
const std::vector<std::string> kNames{"", "eth0", "eth1", "eth12", "lo", "wlan0"};
const std::vector<std::string> kMembers{"hardware-address", "statistics", "used-bytes"};
const std::vector<std::string> kModes{"halt", "powerdown", "reboot"};
const std::vector<std::string> kVariables{"LANG", "TZ", "HOME"};
const std::vector<std::string> kMounts{"/", "/srv", "/var"};
const std::vector<std::string> kUsers{"root", "alice", "bob", "toor"};
const std::vector<std::string> kUsersAsked{"root", "alice", "bob", "toor", "ghost"};
const std::vector<std::string> kTypes{"ssh-ed25519", "ssh-rsa"};
const std::vector<std::string> kKeys{"ssh-ed25519",          "ssh-rsa",          "ecdsa-sha2-nistp256",
                                     "restrict ssh-ed25519", "restrict ssh-rsa", "no-pty ssh-rsa",
                                     "rubbish AAAA"};
const std::vector<std::string> kAccountCommands{"@accounts", "guest-set-user-password",
                                                "guest-ssh-add-authorized-keys"};
const std::vector<std::string> kSteps{"1s", "2s", "any"};
const std::vector<std::string> kDays{"mon-fri", "sat", "tue,thu-sat", "sun-mon"};
const std::vector<std::string> kHours{"00:00-24:00", "22:00-05:00", "06:00-07:30"};
const std::vector<std::string> kZones{"UTC", "Europe/Berlin", "America/New_York"};
const std::vector<std::string> kSpans{"0-3", "2", "2-5,8", "4-7", "any"};

}  // namespace

std::string Source::list_of(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "\"" : ", \"") + word + "\"";
    return "[" + text + "]";
}

std::string Source::some_of(const std::vector<std::string>& words) {
    std::vector<std::string> some;
    for (const std::string& word : words)
        if (chance(40)) some.push_back(word);
    if (some.empty()) some.push_back(one_of(words));
    return list_of(some);
}

std::string Source::expiry() {
    std::string text = chance(70) ? "" : "expires = " + analyse::show_time(one_of(kMoments)) + "\n";
    if (chance(25))
        text += "when = { days = \"" + one_of(kDays) + "\", hours = \"" + one_of(kHours) + "\", tz = \"" +
                one_of(kZones) + "\" }\n";
    return text;
}

std::string Source::file_entry(bool is_allow) {
    static const std::vector<std::string> kAccess{R"(["read"])", R"(["write"])", R"(["read", "write"])",
                                                  R"(["write", "create"])", R"(["read", "write", "create"])"};
    std::string text = "{ under = \"" + one_of(kDirectories) + "\"";
    if (is_allow || chance(50)) text += ", access = " + one_of(kAccess);
    if (!is_allow) return text + " }";
    if (chance(40)) text += ", max_size = " + std::to_string(10 * (1 + below(2)));
    if (chance(40)) text += ", owner = [" + std::to_string(1000 + below(2)) + (chance(50) ? "]" : ", 0]");
    if (chance(30)) text += ", kinds = " + some_of(kKinds);
    if (chance(30)) text += ", links = \"any\"";
    if (chance(30)) text += ", setid = \"any\"";
    if (chance(30)) text += ", symlinks = \"follow\"";
    return text + " }";
}

std::string Source::exec_table() {
    std::string text =
        "[[allow.exec]]\nprogram = \"/p" + std::to_string(below(2)) + "\"\nrun_as = \"root\"\n";
    std::string places;
    for (std::size_t count = below(3); count > 0; --count)
        places += (places.empty() ? "" : ", ") + one_of(kPlaces);
    text += chance(15) ? "args = \"any\"\n" : "args = [" + places + "]\n";
    if (chance(40))
        text += "host_env = " + (chance(20) ? std::string("\"any\"") : some_of(kVariables)) + "\n";
    if (chance(40)) text += "input = \"" + std::to_string(10 * (1 + below(2))) + "B\"\n";
    return text;
}

std::string Source::accounts_rule() {
    const std::string commands = one_of(kAccountCommands);
    const bool sets = commands != kAccountCommands[2], adds = commands != kAccountCommands[1];
    std::string text = "commands = [\"" + commands + "\"]\nusers = ";
    text += chance(40) ? std::string("\"any\"") : some_of(kUsers);
    if (sets) text += std::string("\ncrypted = ") + (chance(50) ? "\"only\"" : "\"any\"");
    text += "\n";
    if (!adds) return text;
    text += "key_types = " + (chance(50) ? std::string("\"any\"") : some_of(kTypes)) + "\n";
    if (chance(60)) text += "max_keys = " + std::to_string(1 + below(3)) + "\n";
    if (chance(30)) text += "reset = true\n";
    if (chance(40)) text += "require = [\"restrict\"]\n";
    return text;
}

std::string Source::hardware_rule() {
    const std::size_t which = below(4);
    const std::string time = "time = { max_step = \"" + one_of(kSteps) + "\" }\n";
    const std::string vcpus =
        "vcpus = { min_online = " + std::to_string(1 + below(2)) + ", cpus = \"" + one_of(kSpans) + "\" }\n";
    const std::string memory = "memory = { blocks = \"" + one_of(kSpans) + "\" }\n";
    if (which == 0) return "commands = [\"guest-set-time\"]\n" + time;
    if (which == 1) return "commands = [\"guest-set-vcpus\"]\n" + vcpus;
    if (which == 2) return "commands = [\"guest-set-memory-blocks\"]\n" + memory;
    return "commands = [\"@hardware\"]\n" + time + vcpus + memory;
}

std::string Source::allow_rule(const std::string& id) {
    std::string text = "[[allow]]\nid = \"" + id + "\"\n" + expiry();
    switch (below(12)) {
        case 0:
            return text + "commands = [\"guest-shutdown\"]\nmodes = " + some_of(kModes) + "\n";
        case 1:
            return text + "commands = [\"@exec\"]\n" + exec_table();
        case 8:
        case 9:
            return text + accounts_rule();
        case 10:
        case 11:
            return text + hardware_rule();
        case 2:
            return text + "commands = [\"@inspect\"]\nreply = { interfaces = " + some_of(kInterfaces) +
                   ", without = " + some_of(kMembers) + " }\n";
        case 3:
            return text +
                   "commands = [\"guest-get-fsinfo\", \"guest-suspend-ram\", "
                   "\"guest-network-get-interfaces\"]\n";
        case 4:
            return text + "commands = [\"guest-fstrim\"]\nfreeze = { mounts = " + some_of(kMounts) +
                   ", exclude = " + some_of(kMounts) + " }\n";
        default:
            return text + "commands = [\"@file\"]\nfiles = [" + file_entry(true) +
                   (chance(30) ? ", " + file_entry(true) : "") + "]\n";
    }
}

std::string Source::deny_rule(const std::string& id) {
    const std::string text = "[[deny]]\nid = \"" + id + "\"\n" + expiry();
    switch (below(7)) {
        case 0:
            return text + "commands = [\"guest-shutdown\"]\nmodes = " + some_of(kModes) + "\n";
        case 1:
            return text + "commands = [\"@exec\", \"guest-fstrim\"]\n";
        case 2:
            return text + "commands = [\"guest-file-open\", \"guest-get-fsinfo\"]\n";
        case 3:
            return text + "commands = [\"guest-set-user-password\", \"@hardware\"]\n";
        default:
            return text + "files = [" + file_entry(false) + "]\n";
    }
}

std::vector<std::string> Source::rules(std::size_t count) {
    std::vector<std::string> rules;
    for (std::size_t at = 0; at < count; ++at) {
        const std::string id = "r" + std::to_string(at);
        rules.push_back(chance(75) ? allow_rule(id) : deny_rule(id));
    }
    return rules;
}

void Source::ask_for_account(analyse::Request& request) {
    request.account.user = one_of(kUsersAsked);
    request.account.crypted = request.command == CommandId::kSetUserPassword && chance(50);
    const bool adds = request.command == CommandId::kSshAddAuthorizedKeys;
    if (!adds && request.command != CommandId::kSshRemoveAuthorizedKeys) return;
    for (std::size_t count = below(4); count > 0; --count)
        request.account.keys.push_back(analyse::key_line(one_of(kKeys)));
    if (chance(30)) request.account.count = 1 + below(4);
    request.account.reset = adds && chance(30);
}

void Source::ask_for_setting(analyse::Request& request) {
    if (request.command == CommandId::kSetTime && chance(80))
        request.set.step_ns = (static_cast<std::int64_t>(below(11)) - 5) * 500'000'000 + (chance(30) ? 1 : 0);
    if (request.command == CommandId::kSetVcpus || request.command == CommandId::kSetMemoryBlocks)
        for (std::size_t count = below(4); count > 0; --count) request.set.numbers.push_back(below(10));
}

analyse::Request Source::request() {
    static const std::vector<CommandId> kCommandsAsked{CommandId::kFileOpen,
                                                       CommandId::kFileOpen,
                                                       CommandId::kFileOpen,
                                                       CommandId::kFileRead,
                                                       CommandId::kShutdown,
                                                       CommandId::kExec,
                                                       CommandId::kExec,
                                                       CommandId::kFstrim,
                                                       CommandId::kGetUsers,
                                                       CommandId::kNetworkGetInterfaces,
                                                       CommandId::kGetFsinfo,
                                                       CommandId::kSuspendRam,
                                                       CommandId::kSetUserPassword,
                                                       CommandId::kSshAddAuthorizedKeys,
                                                       CommandId::kSshAddAuthorizedKeys,
                                                       CommandId::kSshGetAuthorizedKeys,
                                                       CommandId::kSshRemoveAuthorizedKeys,
                                                       CommandId::kSetTime,
                                                       CommandId::kSetVcpus,
                                                       CommandId::kSetMemoryBlocks};
    analyse::Request request{.command = one_of(kCommandsAsked),
                             .time = kFirst + 1000 * static_cast<WallTime>(below(4))};
    if (chance(40)) request.time += 1800 * static_cast<WallTime>(below(std::size_t{48} * 1000));
    const auto mode = below(analyse::open_modes().size());
    request.file = {
        .path = one_of(kPaths), .mode = mode, .is_new = analyse::open_modes()[mode].may_create && chance(40)};
    request.file.is_link = chance(20);
    if (!request.file.is_new)
        request.file.found = {.kind = chance(70) ? Kind::kRegular : Kind::kDirectory,
                              .owner = chance(40) ? 0U : static_cast<std::uint32_t>(1000 + below(3)),
                              .links = chance(70) ? 1U : 2U,
                              .is_setid = chance(20),
                              .size = 5 * below(5)};
    request.shutdown = static_cast<Mode>(1 + below(3));
    request.exec.program = "/p" + std::to_string(below(3));
    for (std::size_t count = below(3); count > 0; --count) request.exec.args.push_back(one_of(kWords));
    if (chance(40)) {
        request.exec.env.emplace();
        for (const std::string& name : kVariables)
            if (chance(30)) request.exec.env->push_back(name + "=1");
    }
    if (chance(30)) request.exec.input = 5 * below(5);
    if (chance(80)) request.mount.point = one_of(kMounts);
    if (!request.mount.point.empty() && chance(40)) request.mount.also = one_of(kMounts);
    if (request.mount.also == request.mount.point) request.mount.also.clear();
    request.mount.is_local = chance(80);
    ask_for_account(request);
    ask_for_setting(request);
    request.reply.name = one_of(kNames);
    if (request.command == CommandId::kNetworkGetInterfaces)
        request.reply.member = chance(50) ? 0 : chance(50) ? 1 : 3;
    if (request.command == CommandId::kGetUsers) request.reply.name = chance(50) ? "" : "root";
    return request;
}

std::optional<std::string> zone_file(const std::string& name) {
    if (name == "Europe/Berlin") return zone_with("CET-1CEST,M3.5.0,M10.5.0/3");
    if (name == "tzdata.zi")
        return "# version 1\nZ Europe/Berlin 1 - C\nZ America/New_York -5 - E\nL Europe/Berlin "
               "Arctic/Longyearbyen\n";
    if (name == "America/New_York") return zone_with("EST5EDT,M3.2.0,M11.1.0");
    return std::nullopt;
}

std::string zone_with(const std::string& footer) {
    const auto header = [](char types) {
        return std::string("TZif2") + std::string(15, '\0') + std::string(19, '\0') + types +
               std::string(4, '\0');
    };
    return header(1) + std::string(6, '\0') + header(1) + std::string(6, '\0') + "\n" + footer + "\n";
}

std::string text_of(const std::vector<std::string>& rules) {
    std::string text = "schema = 1\n";
    for (const std::string& rule : rules) text += rule;
    return text;
}

std::optional<Policy> compiled(const std::string& text) {
    const auto result = compile::compile_policy(
        {.text = text, .name = "random.toml", .passwd = kPasswd, .group = kGroup, .zones = zone_file});
    if (!result) return std::nullopt;
    auto policy = load(result->SerializeAsString());
    if (!policy) return std::nullopt;
    return *std::move(policy);
}

Policy policy(Source& source, std::size_t rules) {
    for (;;)
        if (auto found = compiled(text_of(source.rules(rules)))) return *std::move(found);
}

}  // namespace sallyport::policy::random
