// User names, from the text of /etc/passwd.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the file's text, opened before: getpwnam() would need files, sockets and modules inside the
// sandbox
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace sallyport::policy::compile {

class Passwd {
public:
    /// Lines that are not of the form name:password:uid:... are skipped, as the C library does. `text` must
    /// outlive this.
    explicit Passwd(std::string_view text);

    [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const;
    [[nodiscard]] std::vector<std::string_view> names() const;

private:
    std::map<std::string_view, std::uint32_t> users_;
};

}  // namespace sallyport::policy::compile
