// Runs in:  starter; broker and files, before lockdown(); the policy tool
// Input:    rules from the compiled form; each of their parts is valid by itself
#include "policy/check_rule.hpp"

#include <algorithm>

#include "ipc/limits.hpp"

namespace sallyport::policy {

namespace {

bool takes(const Rule& rule, Constraint constraint) {
    return std::ranges::any_of(kCommands, [&](const Command& row) {
        return row.constraint == constraint && rule.commands.has(row.id);
    });
}

bool are_of_files(CommandSet commands) {
    for (const Command& row : kCommands)
        if (row.group == Group::kFile) commands.remove(row.id);
    return commands.is_empty();
}

/// Checks that a rule's commands and its power settings fit together.
Status check_power(const Rule& rule) {
    const bool is_allow = rule.effect == Effect::kAllow;
    const bool is_shutdown = rule.commands.has(CommandId::kShutdown);
    CommandSet others = rule.commands;
    others.remove(CommandId::kShutdown);
    if (rule.modes.any() && (!is_shutdown || (!is_allow && !others.is_empty())))
        return failure(Errc::kInvalid, "policy: modes for commands that take none");
    if (is_shutdown && is_allow && rule.modes.none())
        return failure(Errc::kInvalid, "policy: allow rule without modes");
    if (rule.method != Method::kAny && !is_allow)
        return failure(Errc::kInvalid, "policy: method in a deny rule");
    return {};
}

bool is_duration(std::uint32_t ms) {
    return ms > 0 && ms <= kMaxFrozenMs;
}

/// Checks that a rule's commands fit its files and file systems.
Status check_constraints(const Rule& rule) {
    const bool freezes = takes(rule, Constraint::kFreeze) && rule.effect == Effect::kAllow;
    if (rule.freeze.has_value() != freezes)
        return failure(Errc::kInvalid, "policy: 'freeze' without its commands, or they without it");
    if (freezes && (!is_duration(rule.freeze->max_frozen_ms()) || !is_duration(rule.freeze->per_mount_ms())))
        return failure(Errc::kInvalid, "policy: bad duration");
    if (freezes && rule.freeze->ByteSizeLong() > kMaxFrame / 2)
        return failure(Errc::kInvalid, "policy: 'freeze' too long");
    if (!rule.hooks.empty() && (!freezes || !is_directory_name(rule.hooks)))
        return failure(Errc::kInvalid, "policy: bad hooks");
    const bool has_files = !rule.files.empty();
    const bool takes_files = takes(rule, Constraint::kFiles);
    if (has_files && !takes_files)
        return failure(Errc::kInvalid, "policy: files for commands that take none");
    if (has_files && rule.effect == Effect::kDeny && !are_of_files(rule.commands))
        return failure(Errc::kInvalid, "policy: files in a deny rule for other commands, too");
    if (takes_files && !has_files && rule.effect == Effect::kAllow)
        return failure(Errc::kInvalid, "policy: allow rule without files");
    if (rule.exec.empty() == (takes(rule, Constraint::kExec) && rule.effect == Effect::kAllow))
        return failure(Errc::kInvalid, "policy: 'exec' without guest-exec, or that without it");
    if (rule.accounts.has_value() != (takes(rule, Constraint::kUsers) && rule.effect == Effect::kAllow))
        return failure(Errc::kInvalid, "policy: 'users' without a command of @accounts, or that without it");
    const bool looks = std::ranges::any_of(kCommands, [&](const Command& row) {
        return row.answered_by == AnsweredBy::kInspector && rule.commands.has(row.id);
    });
    if (rule.reply && (!looks || rule.effect == Effect::kDeny))
        return failure(Errc::kInvalid, "policy: reply filter for a rule that shows nothing");
    return {};
}

// Exactly what its commands set, and each once.
Status check_sets(const Rule& rule) {
    const bool is_allow = rule.effect == Effect::kAllow;
    const auto has = [&](ipc::SetRule::WhatCase what) {
        return std::ranges::count(rule.sets, what, &ipc::SetRule::what_case);
    };
    const bool is_whole =
        has(ipc::SetRule::kTime) == (is_allow && takes(rule, Constraint::kTime) ? 1 : 0) &&
        has(ipc::SetRule::kVcpus) == (is_allow && takes(rule, Constraint::kVcpus) ? 1 : 0) &&
        has(ipc::SetRule::kBlocks) == (is_allow && takes(rule, Constraint::kMemory) ? 1 : 0);
    return is_whole ? Status()
                    : failure(Errc::kInvalid, "policy: bounds without their command, or it without");
}

// Each part of a budget has commands that it counts.
Status check_budget(const Rule& rule) {
    if (rule.budget == Budget{}) return {};
    const bool counts = std::ranges::any_of(
        kCommands, [&](const Command& row) { return rule.commands.has(row.id) && is_counted(row); });
    // Else a long result could never be fetched.
    const auto has_room = [&](const ipc::ExecTemplate& one) {
        return rule.budget.bytes == Flow{} || std::uint64_t{2} * one.output() <= rule.budget.bytes.burst;
    };
    const bool is_whole = rule.effect == Effect::kAllow && (rule.budget.rate == Flow{} || counts) &&
                          (rule.budget.bytes == Flow{} || moves_bytes(rule.commands)) &&
                          std::ranges::all_of(rule.exec, has_room) &&
                          (rule.budget.concurrent == 0 || rule.commands.has(CommandId::kFileOpen));
    return is_whole ? Status() : failure(Errc::kInvalid, "policy: a budget for what is not counted");
}

}  // namespace

bool is_directory_name(std::string_view text) {
    const auto path = GuestPath::parse(text, "/");
    return path && path->text() == text;
}

Status check_rule(const Rule& rule) {
    TRY(check_power(rule));
    TRY(check_sets(rule));
    TRY(check_budget(rule));
    return check_constraints(rule);
}

}  // namespace sallyport::policy
