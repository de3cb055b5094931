// What a rule's `freeze` table looks at: one file system.
#include <algorithm>
#include <array>
#include <set>

#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;
using Selection = ipc::FreezeSelection;
using Get = const Texts& (Selection::*)() const;

bool has(const Texts& texts, const std::string& text) {
    return std::ranges::find(texts, text) != texts.end();
}

const Selection* selection_of(const Clause& clause) {
    return clause.of->freeze ? &*clause.of->freeze : nullptr;
}

/// What the alive clauses say in both lists, and one that none says.
std::set<std::string> texts_of(const Alive& alive, std::array<Get, 2> lists, const std::string& other) {
    std::set<std::string> texts;
    for (const Clause* clause : alive)
        if (const Selection* selection = selection_of(*clause))
            for (const Get list : lists)
                texts.insert((selection->*list)().begin(), (selection->*list)().end());
    std::string one = other;
    while (texts.contains(one)) one += "x";
    texts.insert(one);
    return texts;
}

bool is_none(const Request& request) {
    return request.mount.point.empty();
}

// Each point alone, and each two: a file system is excluded by any of its points, and taken by any.
void split_points(const Alive& alive, Request& request, const Visit& visit) {
    request.mount.point.clear();
    request.mount.also.clear();
    visit();
    const auto points = texts_of(alive, {&Selection::mounts, &Selection::exclude}, "/mnt/other");
    for (auto point = points.begin(); point != points.end(); ++point) {
        request.mount.point = *point;
        request.mount.also.clear();
        visit();
        for (auto also = std::next(point); also != points.end(); ++also) {
            request.mount.also = *also;
            visit();
        }
    }
}

bool is_excluded(const Selection& selection, const MountWish& mount) {
    return has(selection.exclude(), mount.point) || has(selection.exclude(), mount.also);
}

bool is_listed(const Selection& selection, const MountWish& mount) {
    return has(selection.mounts(), mount.point) || has(selection.mounts(), mount.also);
}

bool meets_points(const Clause& clause, const Request& request) {
    const Selection* selection = selection_of(clause);
    if (selection == nullptr || is_none(request)) return true;
    return !is_excluded(*selection, request.mount) &&
           (selection->mounts().empty() || is_listed(*selection, request.mount));
}

bool limits_points(const Clause& clause) {
    const Selection* selection = selection_of(clause);
    return selection != nullptr && !(selection->mounts().empty() && selection->exclude().empty());
}

void loosen_points(Rule& rule, std::size_t) {
    if (!rule.freeze) return;
    rule.freeze->clear_mounts();
    rule.freeze->clear_exclude();
}

std::string show_point(const Request& request) {
    return request.mount.point;
}
bool read_point(Request& request, const std::string& word) {
    request.mount.point = word;
    return word.starts_with('/');
}
std::string show_also(const Request& request) {
    return request.mount.also;
}
bool read_also(Request& request, const std::string& word) {
    request.mount.also = word;
    return word.starts_with('/');
}

void split_type(const Alive& alive, Request& request, const Visit& visit) {
    if (is_none(request)) return visit();
    for (const std::string& type :
         texts_of(alive, {&Selection::types, &Selection::exclude_types}, "otherfs")) {
        request.mount.type = type;
        visit();
    }
}

bool meets_type(const Clause& clause, const Request& request) {
    const Selection* selection = selection_of(clause);
    if (selection == nullptr || is_none(request)) return true;
    return !has(selection->exclude_types(), request.mount.type) &&
           (selection->types().empty() || has(selection->types(), request.mount.type));
}

bool limits_type(const Clause& clause) {
    const Selection* selection = selection_of(clause);
    return selection != nullptr && !(selection->types().empty() && selection->exclude_types().empty());
}

void loosen_type(Rule& rule, std::size_t) {
    if (!rule.freeze) return;
    rule.freeze->clear_types();
    rule.freeze->clear_exclude_types();
}

std::string show_type(const Request& request) {
    return is_none(request) ? "" : request.mount.type;
}
bool read_type(Request& request, const std::string& word) {
    request.mount.type = word;
    return !word.empty();
}

void split_source(const Alive& alive, Request& request, const Visit& visit) {
    if (is_none(request)) return visit();
    for (const std::string& source :
         texts_of(alive, {&Selection::sources, &Selection::exclude_sources}, "/dev/other")) {
        request.mount.source = source;
        visit();
    }
}

bool meets_source(const Clause& clause, const Request& request) {
    const Selection* selection = selection_of(clause);
    if (selection == nullptr || is_none(request)) return true;
    return !has(selection->exclude_sources(), request.mount.source) &&
           (selection->sources().empty() || has(selection->sources(), request.mount.source));
}

bool limits_source(const Clause& clause) {
    const Selection* selection = selection_of(clause);
    return selection != nullptr && !(selection->sources().empty() && selection->exclude_sources().empty());
}

void loosen_source(Rule& rule, std::size_t) {
    if (!rule.freeze) return;
    rule.freeze->clear_sources();
    rule.freeze->clear_exclude_sources();
}

std::string show_source(const Request& request) {
    return is_none(request) ? "" : request.mount.source;
}
bool read_source(Request& request, const std::string& word) {
    request.mount.source = word;
    return !word.empty();
}

void split_local(const Alive&, Request& request, const Visit& visit) {
    for (const bool is_local : {true, false}) {
        if (!is_local && is_none(request)) continue;
        request.mount.is_local = is_local;
        visit();
    }
}

// What is named is taken also if it is not local.
bool meets_local(const Clause& clause, const Request& request) {
    const Selection* selection = selection_of(clause);
    if (selection == nullptr || is_none(request) || request.mount.is_local) return true;
    return is_listed(*selection, request.mount) || has(selection->types(), request.mount.type) ||
           has(selection->sources(), request.mount.source);
}

bool limits_local(const Clause& clause) {
    const Selection* selection = selection_of(clause);
    return selection != nullptr && selection->mounts().empty() && selection->types().empty() &&
           selection->sources().empty();
}

// Nothing in the language does.
void loosen_local(Rule&, std::size_t) {}

std::string show_local(const Request& request) {
    return is_none(request) || request.mount.is_local ? "" : "no";
}
bool read_local(Request& request, const std::string& word) {
    return read_flag(request.mount.is_local, word);
}

constexpr Subject kM = Subject::kFreeze;

// clang-format off
constexpr std::array kMountFeatures{
    //      name      key        of  split         meets         limits         loosen         show         read
    Feature{"mount",  "mounts",  kM, split_points, meets_points, limits_points, loosen_points, show_point,  read_point},
    Feature{"also",   "mounts",  kM, nullptr,      nullptr,      nullptr,       nullptr,       show_also,   read_also},
    Feature{"type",   "types",   kM, split_type,   meets_type,   limits_type,   loosen_type,   show_type,   read_type},
    Feature{"source", "sources", kM, split_source, meets_source, limits_source, loosen_source, show_source, read_source},
    Feature{"local",  "freeze",  kM, split_local,  meets_local,  limits_local,  loosen_local,  show_local,  read_local},
    when_feature(kM),
    time_feature(kM),
};
// clang-format on

}  // namespace

std::span<const Feature> mount_features() {
    return kMountFeatures;
}

}  // namespace sallyport::policy::analyse
