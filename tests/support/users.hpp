// A guest whose users are a test's own: this process and all that it starts have /etc and /home of their own.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace sallyport::test {

inline constexpr uid_t kAlice = 1500;
inline constexpr uid_t kBob = 1501;

/// Once, before anything is started. Users alice and bob, who have a home directory each and are in the group crew (1600).
void enter_guest_with_users();

/// Runs a shell script; throws if it fails.
void run_script(const std::string& script);

/// Makes the home directories anew: empty.
void make_homes();

/// Whether that is the user's password, by /etc/shadow.
bool has_password(std::string_view user, std::string_view password);
/// What /etc/shadow says of the user between the first two colons.
std::string hash_of(std::string_view user);

/// This process, a child, becomes alice, with her groups; whether it could.
bool become_alice();

}  // namespace sallyport::test
