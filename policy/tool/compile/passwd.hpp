// Users and their groups, from the texts of /etc/passwd and /etc/group.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the files' texts, opened before: getpwnam() would need files, sockets and modules inside the sandbox
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace sallyport::policy::compile {

class Passwd {
public:
    /// Skips lines that are not of the form name:password:uid:..., like the C library. The texts must outlive this.
    explicit Passwd(std::string_view text, std::string_view groups = {});

    [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const;
    [[nodiscard]] std::vector<std::string_view> names() const;

    /// The ids of the user's processes: its own group, and all groups that it is a member of, ascending.
    struct Ids {
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        std::vector<std::uint32_t> groups;
    };
    [[nodiscard]] std::optional<Ids> ids_of(std::string_view name) const;
    /// The user's home directory; empty if there is none, or no such user.
    [[nodiscard]] std::string_view home_of(std::string_view name) const;

private:
    struct User {
        std::uint32_t uid = 0;
        std::optional<std::uint32_t> gid;
        std::string_view home = {};
    };
    std::map<std::string_view, User> users_;
    std::string_view groups_;
};

}  // namespace sallyport::policy::compile
