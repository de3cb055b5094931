#include "policy/tool/log/learnt.hpp"

#include <algorithm>
#include <charconv>

#include "base/clock.hpp"
#include "policy/guest_path.hpp"
#include "policy/tool/analyse/orders.hpp"

namespace sallyport::policy::log {

namespace {

using analyse::Subject;

constexpr std::size_t kMany = 8;  // files of one directory, or lines of one program
constexpr std::size_t kMostPaths = 4096;
constexpr std::size_t kMostLevels = 64;  // directories in one another
constexpr std::size_t kMostWords = 64;   // in one place
constexpr std::size_t kMostPrograms = 256;
constexpr std::size_t kMostUsers = 1024;
constexpr std::size_t kMostNumbers = 4096;
constexpr std::size_t kLongestName = 255;

std::string directory_of(const std::string& path) {
    return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
}

bool is_below(const std::string& path, const std::string& directory) {
    return path == directory || directory == "/" ||
           (path.starts_with(directory) && path[directory.size()] == '/');
}

/// The directory in `directories` that is, or contains, the path.
auto containing(std::map<std::string, std::uint8_t>& directories, const std::string& path) {
    for (std::string at = path; at.size() > 1; at = directory_of(at))
        if (const auto found = directories.find(at); found != directories.end()) return found;
    return directories.end();
}

std::optional<std::int64_t> plain_number(const std::string& word) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool is_whole = error == std::errc{} && end == word.data() + word.size();
    return is_whole && std::to_string(number) == word ? std::optional(number) : std::nullopt;
}

bool is_plain_name(const std::string& word) {
    const bool has_letters =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
        word.npos;
    return has_letters && !word.empty() && word.front() != '-' && word != "." && word != ".." &&
           word.size() <= kLongestName;
}

bool is_plain_path(const std::string& word) {
    const auto path = GuestPath::parse(word, "/");
    return path && word.starts_with('/') && path->text() == word;
}

std::string common_of(std::string one, const std::string& other) {
    while (one.size() > 1 && !is_below(other, one)) one = directory_of(one);
    return one;
}

std::uint64_t magnitude(std::int64_t number) {
    return number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
}

/// "restrict ssh-ed25519" of a line of authorized_keys; empty if the type is none that is known.
std::string key_form(const std::string& line) {
    for (std::size_t at = 0; at < line.size();) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        const std::string_view word = std::string_view(line).substr(at, end - at);
        if (word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-"))
            return line.substr(0, end);
        at = end + 1;
    }
    return {};
}

bool take_program(ProgramUse& use, const analyse::ExecWish& wish) {
    const std::pair key{wish.program, wish.args.size()};
    const auto found = use.lines.find(key);
    if (found == use.lines.end() && use.lines.size() >= kMostPrograms) return false;
    CommandLines& lines = found == use.lines.end() ? use.lines[key] : found->second;
    lines.places.resize(wish.args.size());
    for (std::size_t at = 0; at < wish.args.size(); ++at) lines.places[at].add(wish.args[at]);
    if (lines.lines.size() < kMany || lines.lines.contains(wish.args))
        lines.lines.insert(wish.args);
    else
        lines.is_complete = false;
    if (wish.env)
        for (const std::string& variable : *wish.env)
            if (use.env.size() < kMostWords) use.env.insert(variable.substr(0, variable.find('=')));
    use.input = std::max(use.input, wish.input.value_or(0));
    return true;
}

bool take_account(RuleUse& use, const analyse::Request& request) {
    const analyse::AccountWish& wish = request.account;
    if (use.users.size() >= kMostUsers && !use.users.contains(wish.user)) return false;
    use.users.insert(wish.user);
    if (request.command == CommandId::kSetUserPassword && !wish.crypted) use.has_plain_password = true;
    use.has_reset |= wish.reset;
    if (request.command != CommandId::kSshAddAuthorizedKeys) return true;
    for (const std::string& key : wish.keys)
        if (use.keys.size() < kMostWords) use.keys.insert(key_form(key));
    return true;
}

bool take_numbers(std::set<std::uint64_t>& to, const std::vector<std::uint64_t>& numbers) {
    if (to.size() + numbers.size() > kMostNumbers) return false;
    to.insert(numbers.begin(), numbers.end());
    return true;
}

bool take_subject(RuleUse& use, const analyse::Request& request, std::size_t entry) {
    switch (analyse::subject_of(request.command)) {
        case Subject::kFiles: {
            const auto path = GuestPath::parse(request.file.path, "/");
            const Access wanted = analyse::open_modes()[request.file.mode].wanted;
            const int access = (wanted.read ? Paths::kRead : 0) | (wanted.write ? Paths::kWrite : 0);
            return path && use.files[entry].add(std::string(path->text()), static_cast<std::uint8_t>(access));
        }
        case Subject::kShutdown:
            use.modes.set(static_cast<std::size_t>(request.shutdown));
            return true;
        case Subject::kExec:
            return take_program(use.programs[entry], request.exec);
        case Subject::kAccounts:
            return take_account(use, request);
        case Subject::kClock:
            use.from_hardware_clock |= !request.set.step_ns.has_value();
            use.step_ms = std::max(use.step_ms, magnitude(request.set.step_ns.value_or(0)) / kNsPerMs + 1);
            return true;
        case Subject::kProcessors:
            return take_numbers(use.cpus, request.set.numbers);
        case Subject::kBlocks:
            return take_numbers(use.blocks, request.set.numbers);
        case Subject::kFreeze:
        case Subject::kInspect:
        case Subject::kPlain:
            return true;
    }
    check_failed();
}

}  // namespace

bool Paths::add(const std::string& path, std::uint8_t access) {
    const auto found = containing(directories_, path);
    if (found != directories_.end() && (access & ~found->second) == 0) return true;
    if (!files_.contains(path) && files_.size() + directories_.size() >= kMostPaths && !make_room())
        return false;
    files_[path] |= access;
    return true;
}

// By half at least, so that it is seldom done.
bool Paths::make_room() {
    const auto count = [&] { return files_.size() + directories_.size(); };
    if (is_full_) return false;
    for (std::size_t most = kMany; count() > kMostPaths / 2 && most > 0; --most) group(most);
    // Each time what is left moves one directory up.
    for (std::size_t level = 0; count() > kMostPaths / 2 && level < kMostLevels; ++level) group(0);
    is_full_ = count() > kMostPaths / 2;
    return !is_full_;
}

void Paths::group(std::size_t more_than) {
    std::map<std::string, std::pair<std::size_t, std::uint8_t>> parents;
    for (const auto* const of : {&files_, &directories_})
        for (const auto& [path, access] : *of) {
            auto& parent = parents[directory_of(path)];
            ++parent.first;
            parent.second |= access;
        }
    for (const auto& [parent, seen] : parents)
        if (seen.first > more_than && parent != "/") directories_[parent] |= seen.second;
    // What a directory above has with the same access need not be said again.
    std::erase_if(directories_, [&](const auto& one) {
        const auto above = containing(directories_, directory_of(one.first));
        return above != directories_.end() && (one.second & ~above->second) == 0;
    });
    std::erase_if(files_, [&](const auto& one) {
        const auto above = containing(directories_, one.first);
        return above != directories_.end() && (one.second & ~above->second) == 0;
    });
}

void Paths::group() {
    for (std::size_t before = SIZE_MAX; all().size() < before;) {
        before = all().size();
        group(kMany);
    }
}

std::map<std::string, std::uint8_t> Paths::all() const {
    std::map<std::string, std::uint8_t> both = files_;
    for (const auto& [path, access] : directories_) both[path] |= access;
    return both;
}

void Words::add(const std::string& word) {
    if (words_.contains(word)) return;
    const auto number = plain_number(word);
    are_numbers_ = are_numbers_ && number;
    least_ = std::min(least_, number.value_or(least_));
    most_ = std::max(most_, number.value_or(most_));
    are_names_ = are_names_ && is_plain_name(word);
    longest_ = std::max(longest_, word.size());
    are_paths_ = are_paths_ && is_plain_path(word);
    if (are_paths_) common_ = common_.empty() ? directory_of(word) : common_of(common_, directory_of(word));
    if (words_.size() < kMostWords)
        words_.insert(word);
    else
        is_complete_ = false;
}

bool Words::place(ipc::ExecWord& to) const {
    if (words_.size() == 1 && is_complete_)
        to.set_text(*words_.begin());
    else if (words_.size() <= kMany && is_complete_)
        for (const std::string& word : words_) to.mutable_one_of()->add_text(word);
    else if (are_numbers_) {
        to.mutable_number()->set_least(least_);
        to.mutable_number()->set_most(most_);
    } else if (are_names_)
        to.set_name(static_cast<std::uint32_t>(longest_));
    else if (are_paths_ && common_.size() > 1)
        to.set_under(common_);
    else if (is_complete_)
        for (const std::string& word : words_) to.mutable_one_of()->add_text(word);
    else
        return false;
    return true;
}

bool Learnt::take(const Answer& answer, const analyse::Request& request) {
    // What is always answered needs no rule.
    if (answer.rule == kNoRule) return true;
    RuleUse& use = rules_[answer.rule];
    use.commands.add(request.command);
    return take_subject(use, request, answer.entry);
}

void Learnt::count(const Answer& answer, WallTime time) {
    if (answer.rule == kNoRule) return;
    RuleUse& use = rules_[answer.rule];
    ++use.count;
    use.first = use.first == 0 ? time : std::min(use.first, time);
    use.last = std::max(use.last, time);
}

}  // namespace sallyport::policy::log
