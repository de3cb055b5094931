// What a rule's `files` look at.
#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "policy/guest_path.hpp"
#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

namespace {

constexpr std::array<std::string_view, 6> kKinds{"regular", "directory", "fifo", "socket", "char", "block"};

bool lies_in(std::string_view path, std::string_view directory) {
    if (directory == "/") return true;
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// Something below `directory` that lies in no other of `all` than it does itself; the directory, if there is no room.
std::string inside(const std::string& directory, const std::set<std::string_view>& all) {
    const std::string start = directory == "/" ? "/" : directory + "/";
    for (std::size_t tries = 0; tries <= all.size(); ++tries) {
        std::string path = start + (tries == 0 ? "file" : "file" + std::to_string(tries));
        if (path.size() > kMaxPath) break;
        if (!all.contains(path)) return path;
    }
    return directory;
}

void split_path(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::string_view> directories{"/"};
    for (const Clause* clause : alive)
        if (clause->file != nullptr) directories.insert(clause->file->under);
    for (const std::string_view directory : directories) {
        request.file.path = inside(std::string(directory), directories);
        visit();
    }
}

bool meets_path(const Clause& clause, const Request& request) {
    return clause.file == nullptr || lies_in(request.file.path, clause.file->under);
}

bool limits_path(const Clause& clause) {
    return clause.file != nullptr && clause.file->under != "/";
}

void loosen_path(Rule& rule, std::size_t entry) {
    rule.files[entry].under = "/";
}

std::string show_path(const Request& request) {
    return request.file.path;
}

bool read_path(Request& request, const std::string& word) {
    const auto path = GuestPath::parse(word, "/");
    if (path) request.file.path = path->text();
    return path.has_value();
}

void split_mode(const Alive&, Request& request, const Visit& visit) {
    for (std::size_t mode = 0; mode < open_modes().size(); ++mode)
        for (const bool is_new : {false, true}) {
            if (is_new && !open_modes()[mode].may_create) continue;
            request.file.mode = mode;
            request.file.is_new = is_new;
            visit();
        }
}

bool meets_mode(const Clause& clause, const Request& request) {
    if (clause.file == nullptr) return true;
    Access wanted = open_modes()[request.file.mode].wanted;
    wanted.create = request.file.is_new;
    const Access access = clause.file->access;
    if (clause.allows()) return access.covers(wanted);
    return access == Access{} || access.overlaps(wanted);
}

bool limits_mode(const Clause& clause) {
    if (clause.file == nullptr) return false;
    const Access access = clause.file->access;
    const bool is_all = access.read && access.write && access.create;
    return clause.allows() ? !is_all : access != Access{} && !(access.read && access.write);
}

void loosen_mode(Rule& rule, std::size_t entry) {
    rule.files[entry].access = rule.effect == Effect::kAllow ? Access{true, true, true} : Access{};
}

std::string show_mode(const Request& request) {
    return std::string(open_modes()[request.file.mode].word);
}

// As fopen(), and as the broker: a 'b' says nothing, and appending is writing.
bool read_mode(Request& request, const std::string& word) {
    std::string plain = word;
    if (const auto b = plain.find('b'); b != plain.npos && b != 0) plain.erase(b, 1);
    if (plain.starts_with('a')) plain[0] = 'w';
    const auto modes = open_modes();
    const auto found = std::ranges::find(modes, plain, &OpenMode::word);
    if (found == modes.end()) return false;
    request.file.mode = static_cast<std::size_t>(found - modes.begin());
    return true;
}

bool read_new(Request& request, const std::string& word) {
    return read_flag(request.file.is_new, word);
}
std::string show_new(const Request& request) {
    return show_flag(request.file.is_new);
}

// What is asked of a file that exists; a new one has nothing yet.
bool is_of_existing(const Clause& clause, const Request& request) {
    return clause.file != nullptr && clause.allows() && !request.file.is_new;
}

bool is_of_regular(const Clause& clause, const Request& request) {
    return is_of_existing(clause, request) && request.file.found.kind == Kind::kRegular;
}

bool grants(const Clause& clause) {
    return clause.file != nullptr && clause.allows();
}

// The decision's own function, of a file in which all but one thing is harmless.
bool accepts_one(const Clause& clause, const FoundFile& found) {
    FileRule rule = {.kinds = clause.file->kinds};
    rule.owners = clause.file->owners;
    rule.max_size = clause.file->max_size;
    rule.any_links = clause.file->any_links;
    rule.any_setid = clause.file->any_setid;
    return accepts_file(rule, found);
}

bool accepts_kind(const Clause& clause, Kind kind) {
    const FoundFile found{.kind = kind,
                          .owner = clause.file->owners.empty() ? 0 : clause.file->owners.front()};
    return accepts_one(clause, found);
}

void split_kind(const Alive&, Request& request, const Visit& visit) {
    for (std::size_t kind = 0; kind < (request.file.is_new ? 1 : kKinds.size()); ++kind) {
        request.file.found.kind = static_cast<Kind>(kind);
        visit();
    }
}

bool meets_kind(const Clause& clause, const Request& request) {
    return !is_of_existing(clause, request) || accepts_kind(clause, request.file.found.kind);
}

bool limits_kind(const Clause& clause) {
    return grants(clause) && clause.file->kinds != Kinds{true, true, true, true, true, true};
}

void loosen_kind(Rule& rule, std::size_t entry) {
    rule.files[entry].kinds = {true, true, true, true, true, true};
}

std::string show_kind(const Request& request) {
    if (request.file.is_new) return "";
    return std::string(kKinds[static_cast<std::size_t>(request.file.found.kind)]);
}

bool read_kind(Request& request, const std::string& word) {
    const auto found = std::ranges::find(kKinds, word);
    if (found == kKinds.end()) return false;
    request.file.found.kind = static_cast<Kind>(found - kKinds.begin());
    return true;
}

void split_owner(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::uint32_t> owners{0};
    if (!request.file.is_new)
        for (const Clause* clause : alive)
            if (clause->file != nullptr)
                owners.insert(clause->file->owners.begin(), clause->file->owners.end());
    std::uint32_t other = 1000;
    while (owners.contains(other)) ++other;
    owners.insert(other);
    for (const std::uint32_t owner : owners) {
        request.file.found.owner = owner;
        visit();
    }
}

bool meets_owner(const Clause& clause, const Request& request) {
    if (!is_of_existing(clause, request) || clause.file->owners.empty()) return true;
    return std::ranges::find(clause.file->owners, request.file.found.owner) != clause.file->owners.end();
}

bool limits_owner(const Clause& clause) {
    return grants(clause) && !clause.file->owners.empty();
}

void loosen_owner(Rule& rule, std::size_t entry) {
    rule.files[entry].owners.clear();
}

std::string show_owner(const Request& request) {
    return request.file.is_new ? "" : std::to_string(request.file.found.owner);
}

bool read_owner(Request& request, const std::string& word) {
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(word.data(), end, request.file.found.owner);
    return error == std::errc{} && stopped == end;
}

void split_link(const Alive&, Request& request, const Visit& visit) {
    for (const bool is_link : {false, true}) {
        request.file.is_link = is_link;
        visit();
    }
}

bool meets_link(const Clause& clause, const Request& request) {
    return !request.file.is_link || !grants(clause) || clause.file->follow_symlinks;
}

bool limits_link(const Clause& clause) {
    return grants(clause) && !clause.file->follow_symlinks;
}

void loosen_link(Rule& rule, std::size_t entry) {
    rule.files[entry].follow_symlinks = true;
}

std::string show_link(const Request& request) {
    return show_flag(request.file.is_link);
}

bool read_link(Request& request, const std::string& word) {
    return read_flag(request.file.is_link, word);
}

bool is_regular(const Request& request) {
    return !request.file.is_new && request.file.found.kind == Kind::kRegular;
}

void split_names(const Alive&, Request& request, const Visit& visit) {
    for (const std::uint32_t links : {1U, 2U}) {
        if (links == 2 && !is_regular(request)) continue;
        request.file.found.links = links;
        visit();
    }
}

bool meets_names(const Clause& clause, const Request& request) {
    return request.file.found.links <= 1 || !is_of_regular(clause, request) || clause.file->any_links;
}

bool limits_names(const Clause& clause) {
    return grants(clause) && !clause.file->any_links;
}

void loosen_names(Rule& rule, std::size_t entry) {
    rule.files[entry].any_links = true;
}

std::string show_names(const Request& request) {
    return request.file.found.links > 1 ? std::to_string(request.file.found.links) : "";
}

bool read_names(Request& request, const std::string& word) {
    const auto number = read_size(word);
    if (number)
        request.file.found.links = static_cast<std::uint32_t>(std::min<std::uint64_t>(*number, 65535));
    return number && *number > 0;
}

void split_setid(const Alive&, Request& request, const Visit& visit) {
    for (const bool is_setid : {false, true}) {
        if (is_setid && !is_regular(request)) continue;
        request.file.found.is_setid = is_setid;
        visit();
    }
}

bool meets_setid(const Clause& clause, const Request& request) {
    return !request.file.found.is_setid || !is_of_regular(clause, request) || clause.file->any_setid;
}

bool limits_setid(const Clause& clause) {
    return grants(clause) && !clause.file->any_setid;
}

void loosen_setid(Rule& rule, std::size_t entry) {
    rule.files[entry].any_setid = true;
}

std::string show_setid(const Request& request) {
    return show_flag(request.file.found.is_setid);
}

bool read_setid(Request& request, const std::string& word) {
    return read_flag(request.file.found.is_setid, word);
}

void split_size(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::uint64_t> sizes{0};
    if (is_regular(request))
        for (const Clause* clause : alive)
            if (clause->file != nullptr && clause->file->max_size) {
                sizes.insert(*clause->file->max_size);
                if (*clause->file->max_size != UINT64_MAX) sizes.insert(*clause->file->max_size + 1);
            }
    for (const std::uint64_t size : sizes) {
        request.file.found.size = size;
        visit();
    }
}

bool meets_size(const Clause& clause, const Request& request) {
    return !is_of_regular(clause, request) || !clause.file->max_size ||
           request.file.found.size <= *clause.file->max_size;
}

bool limits_size(const Clause& clause) {
    return grants(clause) && clause.file->max_size.has_value();
}

void loosen_size(Rule& rule, std::size_t entry) {
    rule.files[entry].max_size.reset();
}

std::string show_size(const Request& request) {
    return is_regular(request) ? std::to_string(request.file.found.size) : "";
}

bool read_size_of(Request& request, const std::string& word) {
    const auto size = read_size(word);
    if (size) request.file.found.size = *size;
    return size.has_value();
}

constexpr Subject kF = Subject::kFiles;

// clang-format off
constexpr std::array kFileFeatures{
    //      name     key            of  split        meets        limits        loosen        show        read
    Feature{"path",  "under",       kF, split_path,  meets_path,  limits_path,  loosen_path,  show_path,  read_path},
    Feature{"mode",  "access",      kF, split_mode,  meets_mode,  limits_mode,  loosen_mode,  show_mode,  read_mode},
    Feature{"new",   "access",      kF, nullptr,     nullptr,     nullptr,      nullptr,      show_new,   read_new},
    Feature{"kind",  "kinds",       kF, split_kind,  meets_kind,  limits_kind,  loosen_kind,  show_kind,  read_kind},
    Feature{"owner", "owner",       kF, split_owner, meets_owner, limits_owner, loosen_owner, show_owner, read_owner},
    Feature{"link",  "symlinks",    kF, split_link,  meets_link,  limits_link,  loosen_link,  show_link,  read_link},
    Feature{"links", "links",       kF, split_names, meets_names, limits_names, loosen_names, show_names, read_names},
    Feature{"setid", "setid",       kF, split_setid, meets_setid, limits_setid, loosen_setid, show_setid, read_setid},
    Feature{"size",  "max_size",    kF, split_size,  meets_size,  limits_size,  loosen_size,  show_size,  read_size_of},
    when_feature(kF),
    time_feature(kF),
};
// clang-format on

}  // namespace

std::span<const Feature> file_features() {
    return kFileFeatures;
}

}  // namespace sallyport::policy::analyse
