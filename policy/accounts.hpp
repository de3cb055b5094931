// The decision about accounts: whose password or keys a host may change or read, and how.
// Runs in:  broker, and once more in the launcher, by its own copy of the templates; the policy tool
// Input:    names, secrets and keys of a host; in the launcher, orders of a broker that may have been taken over
// Relies on: nothing: pure, no I/O, no clock
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ipc/launcher.pb.h"
#include "policy/decide.hpp"

namespace sallyport::policy {

using AccountTemplates = google::protobuf::RepeatedPtrField<ipc::AccountTemplate>;

/// What sets passwords; started by root.
inline constexpr const char* kChpasswd = "/usr/sbin/chpasswd";

/// What a host wants to have done.
struct AccountRequest {
    CommandId command = CommandId::kSetUserPassword;
    std::string_view user;
    std::string_view secret = {};  // a password, or its hash
    bool crypted = false;
    std::vector<std::string_view> keys = {};  // lines
    bool reset = false;
};

/// What of a template a request does not meet, in the order in which it is looked at.
enum class AccountMiss : std::uint8_t { kUser, kTime, kSecret, kReset, kKeys, kNothing };

/// The templates of all live and later allow rules, one for each command of each rule, with the times in which it counts.
AccountTemplates account_templates(const Policy& policy);

/// Whether this one template covers the request.
///
/// THREAT: a name or a secret means more to chpasswd than to the rule: a line end begins another user's line, and a colon another field.
/// A key means more to sshd than to the rule: options that let it do more, or another type. What a rule says of keys is compared with the
/// bytes themselves, in one form.
AccountMiss match_account(const ipc::AccountTemplate& by, const AccountRequest& want, Moment now);

struct AccountDecision {
    int at = -1;                            // the template; -1: none
    AccountMiss miss = AccountMiss::kUser;  // the farthest that any of them came
};
/// Of the templates that cover the request the one that accepts the most keys, if any are added; of several such one that names the
/// user, so that the order of rules does not matter. Of a name that a rule names and that is root's, one that names him comes first: whoever
/// is root is nobody to one for any user.
AccountDecision decide_account(const AccountTemplates& templates, const AccountRequest& want, Moment now);

/// The base64 of a key of that type, as far as it follows from the type.
std::string key_blob_start(std::string_view type);

/// Whether a user can have that name: nothing that chpasswd or the system's database would take for structure.
bool is_user_name(std::string_view name);

/// The account of that name; nullptr if the template names none, as one for any user.
const ipc::Account* find_account(const ipc::AccountTemplate& by, std::string_view name);

/// What must hold of an account that the compiler wrote, or that the system's database gave.
bool is_account(const ipc::Account& account);

/// What must hold of a template that the compiler wrote. Errors: kInvalid.
Status check_account_template(const ipc::AccountTemplate& from);

}  // namespace sallyport::policy
