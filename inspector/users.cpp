// guest-get-users.
#include <utmpx.h>

#include <cstring>
#include <map>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

double seconds_of(const utmpx& entry) {
    return static_cast<double>(entry.ut_tv.tv_sec) + static_cast<double>(entry.ut_tv.tv_usec) / 1'000'000.0;
}

}  // namespace

// Reads the records itself: getutxent() takes a lock that any member of the group utmp can hold for ever.
Status get_users(const Sources& sources, schema::GetUsersReply& reply) {
    const auto text = read_replaced(sources.users);
    if (!text) return std::unexpected(text.error());
    std::map<std::string, schema::GetUsersReply::User*> known;
    utmpx entry{};
    for (std::size_t at = 0; at + sizeof entry <= text->size(); at += sizeof entry) {
        std::memcpy(&entry, text->data() + at, sizeof entry);
        if (entry.ut_type != USER_PROCESS) continue;
        const std::string name = to_utf8({entry.ut_user, ::strnlen(entry.ut_user, sizeof entry.ut_user)});
        auto& user = known[name];
        if (user == nullptr) {
            user = reply.add_users();
            user->set_user(name);
            user->set_login_time(seconds_of(entry));
        }
        user->set_login_time(std::min(user->login_time(), seconds_of(entry)));
    }
    return {};
}

}  // namespace sallyport::inspector
