// Runs in:  files: before lockdown() in a child that may be left behind, and in a clerk
#include "broker/files/lookup.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/files/kernel.hpp"

namespace sallyport::files {

namespace {

constexpr int kMaxLinks = 40;  // like the kernel
constexpr int kTries = 4;      // a concurrent rename makes a look-up in the cache fail

enum class Step : std::uint8_t { kTaken, kNothing, kLink, kUnknown };

struct Search {
    const MayAsk& may_ask;
    Links links;
    UniqueFd at;
    std::vector<std::string> rest = {};  // names still to walk, in reverse
    int followed = 0;
    std::string name = {};  // the last one that was looked up
};

void add_names(Search& search, std::string_view path) {
    std::vector<std::string> names;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) names.emplace_back(path.substr(at, end - at));
        at = end + 1;
    }
    search.rest.insert(search.rest.end(), names.rbegin(), names.rend());
}

Result<UniqueFd> find_cached(FdRef at, const std::string& name, Links links) {
    const std::uint64_t resolve = RESOLVE_CACHED | (links == Links::kRefused ? RESOLVE_NO_SYMLINKS : 0);
    for (int tries = 1;; ++tries) {
        auto found = peek_at(at, name, resolve);
        if (found || found.error().sys_errno != EAGAIN || tries == kTries) return found;
    }
}

Step failed(const Error& error) {
    return error.sys_errno == ELOOP ? Step::kLink : Step::kNothing;
}

// A look-up in an automounter triggers a mount and waits for it.
bool may_be_asked(const Search& search, FdRef directory) {
    const auto seen = glance_at(directory);
    if (!seen || !search.may_ask(seen->device)) return false;
    const auto is_automounter = is_on_autofs(directory);
    return is_automounter && !*is_automounter;
}

Step follow(Search& search, FdRef link) {
    if (search.links == Links::kRefused) return Step::kLink;
    const auto target = text_of_link(link);
    if (!target || ++search.followed > kMaxLinks) return Step::kNothing;
    if (target->starts_with('/')) {
        auto root = peek_at(FdRef(AT_FDCWD), "/", 0);
        if (!root) return Step::kNothing;
        search.at = *std::move(root);
    }
    add_names(search, *target);
    return Step::kTaken;
}

Step step(Search& search) {
    const std::string& name = search.name = std::move(search.rest.back());
    search.rest.pop_back();
    auto found = find_cached(search.at, name, search.links);
    // What is not there may be at the end of a link that is.
    const bool may_be_link = search.links == Links::kFollowed && !found && found.error().sys_errno == ENOENT;
    if (!found && found.error().sys_errno != EAGAIN && !may_be_link) return failed(found.error());
    if (!found) {
        if (!may_be_asked(search, search.at)) return Step::kUnknown;
        found = peek_at(search.at, name, 0);
        if (!found) return failed(found.error());
        const auto seen = glance_at(*found);
        if (!seen) return Step::kUnknown;
        if (S_ISLNK(seen->mode)) return follow(search, *found);
    }
    search.at = *std::move(found);
    return Step::kTaken;
}

Named not_found(Search& search, Step why) {
    Named named{.is_known = why != Step::kUnknown, .met_link = why == Step::kLink};
    const auto seen = glance_at(search.at);
    if (why != Step::kNothing || !search.rest.empty() || !seen || !search.may_ask(seen->device)) return named;
    named.directory = std::move(search.at);
    named.name = std::move(search.name);
    return named;
}

}  // namespace

Named look_up_name(const std::string& path, Links links, const MayAsk& may_ask) {
    auto root = peek_at(FdRef(AT_FDCWD), "/", 0);
    if (!root) return {};
    Search search{.may_ask = may_ask, .links = links, .at = *std::move(root)};
    // In one call, if the cache has everything.
    if (auto found = find_cached(search.at, path, links); found)
        search.at = *std::move(found);
    else
        add_names(search, path);
    while (!search.rest.empty()) {
        const Step taken = step(search);
        if (taken != Step::kTaken) return not_found(search, taken);
    }
    // Only its own file system can say what it is.
    const auto seen = glance_at(search.at);
    if (!seen || !may_ask(seen->device)) return {};
    return {.is_known = true, .found = std::move(search.at)};
}

}  // namespace sallyport::files
