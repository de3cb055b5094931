#include "tests/unit/files/room.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "broker/files/use.hpp"

namespace sallyport::files {

namespace {

OpenMode mode_of(const std::string& text) {
    if (text == "r") return {.wanted = kRead};
    if (text == "r+") return {.wanted = kChange};
    if (text == "w") return {.wanted = {.write = true}, .may_create = true, .truncate = true};
    if (text == "a") return {.wanted = {.write = true}, .may_create = true, .append = true};
    throw std::runtime_error("mode");
}

}  // namespace

policy::FileRule rule_for_tests(const std::string& under, policy::Access access) {
    return {.under = under, .access = access, .kinds = {.regular = true}};
}

Room::Room() {
    policy_.narrowed_to.add(CommandId::kFileOpen);
}

policy::FileRule& Room::allow(const std::string& under, policy::Access access) {
    policy::Rule& rule = policy_.rules.emplace_back();
    rule.id = "rule-" + std::to_string(policy_.rules.size());
    rule.where = "policy.toml:" + std::to_string(policy_.rules.size());
    rule.effect = policy::Effect::kAllow;
    rule.commands.add(CommandId::kFileOpen);
    return rule.files.emplace_back(rule_for_tests(full(under), access));
}

void Room::deny(const std::string& under, policy::Access access) {
    allow(under, access);
    policy_.rules.back().effect = policy::Effect::kDeny;
}

Checked<void> Room::start(const std::vector<std::string>& own) {
    const auto seen = TRY(look_at_rules(policy_));
    TRY(refuse_links(policy_, seen));
    table_ = TRY(Table::build(policy_, own));
    if (state_.is_open()) TRY(table_->remember(state_));
    return {};
}

Outcome<Opened> Room::ask(const std::string& name, const std::string& mode) {
    if (!table_ && !start()) throw std::runtime_error("start");
    const auto path = policy::GuestPath::parse(full(name), "/");
    const OpenMode wanted = mode_of(mode);
    const auto decision = policy::decide_file_open(policy_, *path, wanted.wanted, now_);
    if (!decision.is_allowed()) return refused("decided so");
    return files::open(*table_, {.path = *path,
                                 .mode = wanted,
                                 .grants = decision.grants,
                                 .now = now_,
                                 .names_directory = name.ends_with('/')});
}

std::string Room::open(const std::string& name, const std::string& mode) {
    const auto opened = ask(name, mode);
    if (!opened)
        return opened.error().sys_errno == 0 ? "refused" : ::strerrorname_np(opened.error().sys_errno);
    if (mode != "r") return "opened";
    std::string text(256, '\0');
    const auto got = read_full(opened->fd, std::as_writable_bytes(std::span(text)));
    return got ? "=" + text.substr(0, got->size) : "opened";
}

UniqueFd Room::opened(const std::string& name, const std::string& mode) {
    auto opened = ask(name, mode);
    if (!opened) throw std::runtime_error(opened.error().why);
    return std::move(opened->fd);
}

void leave_mounts() {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw std::runtime_error("a mount namespace");
}

}  // namespace sallyport::files
