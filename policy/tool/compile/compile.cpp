#include "policy/tool/compile/compile.hpp"

#include <sha256.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <list>
#include <vector>

#include "ipc/limits.hpp"
#include "policy/decide.hpp"
#include "policy/tool/analyse/shared.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/audit_table.hpp"
#include "policy/tool/compile/file_rule.hpp"
#include "policy/tool/compile/locate.hpp"
#include "policy/tool/compile/one_way.hpp"
#include "policy/tool/compile/profiles.hpp"
#include "policy/tool/compile/rule.hpp"
#include "policy/tool/compile/suggest.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::array<std::string_view, 8> kPolicyKeys{"schema", "include", "dialect", "peers",
                                                      "audit",  "allow",   "deny",    "never"};
constexpr std::array<std::string_view, 4> kProfileKeys{"schema", "allow", "deny", "never"};
constexpr std::array<std::string_view, 2> kPeerKeys{"uids", "cids"};
constexpr std::array kDialects{Choice{"0.14-preview", 1}};
constexpr std::string_view kProfilePrefix = "profile:";

void read_schema(Reader& reader, const toml::table& document, compiled::Compiled& to) {
    const toml::node* node = document.get("schema");
    if (node == nullptr) return reader.problem({}, "the policy needs 'schema = 1' at its top");
    const auto* integer = node->as_integer();
    if (integer == nullptr) return reader.wrong_type(*node, "schema", "the number 1");
    if (integer->get() != 1)
        return reader.problem(place_of(*node), "schema " + std::to_string(integer->get()) +
                                                   " is unknown; this version knows schema 1");
    to.set_schema(1);
}

void read_peers(Reader& reader, const Passwd& passwd, const toml::table& document, compiled::Peers& to) {
    const toml::table* peers = reader.table(document, "peers");
    if (peers == nullptr) return;
    reader.only_keys(*peers, kPeerKeys, "'peers'");
    for (const std::uint32_t uid : read_users(reader, passwd, *peers, "uids")) to.add_uids(uid);
    const toml::array* cids = reader.list(*peers, "cids");
    if (cids == nullptr) return;
    for (const toml::node& element : *cids)
        if (const auto cid = reader.number(element, "cids")) to.add_cids(*cid);
    std::ranges::sort(*to.mutable_cids());
    const auto same = std::ranges::unique(*to.mutable_cids());
    to.mutable_cids()->erase(same.begin(), same.end());
}

std::optional<toml::table> parse_toml(std::string_view text, Problems& problems) {
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& error) {
        const auto& begin = error.source().begin;
        problems.add({begin.line, begin.column}, error.description());
        return std::nullopt;
    }
}

const Profile* find_profile(Reader& reader, const Word& word) {
    std::vector<std::string> names;
    for (const Profile& profile : profiles()) {
        names.push_back(std::string(kProfilePrefix) + std::string(profile.name));
        if (names.back() == word.text) return &profile;
    }
    const std::vector<std::string_view> known(names.begin(), names.end());
    const auto meant = std::ranges::find(profiles(), word.text, &Profile::name);
    reader.problem(word.place, "unknown profile " + quoted(word.text) +
                                   (meant == profiles().end()
                                        ? did_you_mean(word.text, known)
                                        : "; did you mean 'profile:" + std::string(meant->name) + "'?"));
    return nullptr;
}

/// `include` is a string or a list of strings.
std::vector<Word> include_words(Reader& reader, const toml::table& document) {
    const toml::node* node = document.get("include");
    if (node == nullptr) return {};
    if (const auto* word = node->as_string()) return {{.text = word->get(), .place = place_of(*node)}};
    return reader.words(document, "include").value_or(std::vector<Word>{});
}

class Compiler {
public:
    explicit Compiler(const Source& source)
        : source_(source), problems_(source.name), passwd_(source.passwd, source.group) {
        SHA256Init(&digest_);
    }

    std::expected<Compilation, std::string> run() {
        if (source_.text.size() > kMaxPolicySize) {
            problems_.add({}, "the policy is longer than " + std::to_string(kMaxPolicySize) + " bytes");
        } else {
            read_policy();
        }
        if (has_problems()) return std::unexpected(report());
        return Compilation{.policy = std::move(result_), .nevers = std::move(nevers_)};
    }

private:
    void read_policy() {
        add_to_digest(source_.text);
        const auto document = parse_toml(source_.text, problems_);
        if (!document) return;
        Reader reader(problems_);
        reader.only_keys(*document, kPolicyKeys, "the policy");
        read_schema(reader, *document, result_);
        for (const Word& word : include_words(reader, *document))
            if (const Profile* profile = find_profile(reader, word)) include(*profile);
        result_.set_preview_names(reader.choice(*document, "dialect", kDialects).has_value());
        if (document->contains("peers")) read_peers(reader, passwd_, *document, *result_.mutable_peers());
        if (document->contains("audit")) read_audit(reader, *document, *result_.mutable_audit());
        RuleContext context{
            .reader = reader, .passwd = passwd_, .zones = source_.zones, .ids = ids_, .to = result_};
        read_rules(context, *document);
        read_nevers(reader, *document);
        if (source_.fragments != nullptr)
            for (const compiled::Fragments::File& file : source_.fragments->files()) read_fragment(file);
        finish();
    }

    /// No name and no TOML text contains a NUL, so no two sets of files have one digest by accident.
    void read_fragment(const compiled::Fragments::File& file) {
        const std::string_view path = file.name();
        const std::string name =
            (file.is_vendor() ? "vendor/" : "") + std::string(path.substr(path.rfind('/') + 1));
        for (const std::string_view part : {std::string_view("\0", 1), std::string_view(name),
                                            std::string_view("\0", 1), std::string_view(file.text())})
            add_to_digest(part);
        Problems& problems = others_.emplace_back(path);
        const auto document = parse_toml(file.text(), problems);
        if (!document) return;
        Reader reader(problems);
        reader.only_keys(*document, kProfileKeys, "a file of the policy's folder");
        read_schema(reader, *document, result_);
        if (file.is_vendor() && document->contains("allow"))
            return reader.problem(
                place_of(*document->get("allow")),
                "a vendor's file may only deny and say never: what is allowed is the admin's");
        RuleContext context{
            .reader = reader, .passwd = passwd_, .zones = source_.zones, .ids = ids_, .to = result_};
        read_rules(context, *document);
        read_nevers(reader, *document);
    }

    [[nodiscard]] bool has_problems() const {
        return !problems_.is_empty() ||
               std::ranges::any_of(others_, [](const Problems& one) { return !one.is_empty(); });
    }
    [[nodiscard]] std::string report() const {
        std::string text = problems_.report();
        for (const Problems& one : others_) text += one.report();
        return text;
    }
    /// Those of the text in which a rule stands; of a profile, those of the policy.
    Problems& problems_of(std::string_view where) {
        for (Problems& one : others_)
            if (where.starts_with(one.name() + ":")) return one;
        return problems_;
    }

    /// The profiles are part of this program, and a unit test compiles each of them.
    void include(const Profile& profile) {
        add_to_digest(std::string_view("\0", 1));  // no TOML text contains it
        add_to_digest(profile.text);
        Problems problems(std::string(kProfilePrefix) + std::string(profile.name));
        const auto document = parse_toml(profile.text, problems);
        SALLYPORT_CHECK(document);
        Reader reader(problems);
        reader.only_keys(*document, kProfileKeys, "a profile");
        read_schema(reader, *document, result_);
        RuleContext context{
            .reader = reader, .passwd = passwd_, .zones = source_.zones, .ids = ids_, .to = result_};
        read_rules(context, *document);
        read_nevers(reader, *document);
        SALLYPORT_CHECK(problems.is_empty());
    }

    void read_nevers(Reader& reader, const toml::table& document) {
        RuleContext context{
            .reader = reader, .passwd = passwd_, .zones = source_.zones, .ids = ids_, .to = never_rules_};
        compile::read_nevers(context, document, nevers_);
    }

    // Each is proved, or has a request that breaks it. Allow rules that dry-run count, since they are meant to be enforced one day;
    // deny rules that do prove nothing.
    void prove(Policy policy) {
        if (nevers_.empty()) return;
        for (Rule& rule : policy.dry_runs)
            if (rule.effect == Effect::kAllow) policy.rules.push_back(std::move(rule));
        never_rules_.set_schema(1);
        never_rules_.set_digest(std::string(SHA256_DIGEST_LENGTH, '\0'));
        const auto rules = load(never_rules_.SerializeAsString());
        if (!rules) return problems_.add({}, rules.error().what);
        for (std::size_t at = 0; at < nevers_.size(); ++at) nevers_[at].rule = rules->rules[at];
        for (const analyse::Breach& breach : analyse::breaches(policy, nevers_)) {
            const Rule& never = nevers_[breach.never].rule;
            const Rule& rule = policy.rules[breach.rule];
            Problems& problems = problems_of(never.where);
            const bool is_own = never.where.starts_with(problems.name() + ":");
            problems.add({.line = is_own ? line_in(never.where) : 1, .column = 1},
                         "never rule " + quoted(never.id) + " (" + never.where + ") is broken: rule " +
                             quoted(rule.id) + " (" + rule.where + ") allows " +
                             line_of(breach.request, rule.expires || rule.when));
        }
    }

    // It would not be clear whose budget a request takes from.
    void refuse_shared(const Policy& policy) {
        for (const analyse::Shared& one : analyse::shared_budgets(policy)) {
            const Rule& rule = policy.rules[one.rule];
            const Rule& other = policy.rules[one.other];
            const bool is_timed = rule.expires || rule.when || other.expires || other.when;
            problems_.add({.line = is_own(rule) ? line_in(rule.where) : 1, .column = 1},
                          "rule " + quoted(rule.id) + " (" + rule.where + ") has a budget, and rule " +
                              quoted(other.id) + " (" + other.where +
                              ") allows the same: " + line_of(one.request, is_timed));
        }
    }

    [[nodiscard]] bool is_own(const Rule& rule) const {
        return rule.where.starts_with(problems_.name() + ":");
    }

    void add_to_digest(std::string_view text) {
        const std::vector<std::uint8_t> bytes(text.begin(), text.end());
        SHA256Update(&digest_, bytes.data(), bytes.size());
    }

    void finish() {
        std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
        SHA256Final(digest.data(), &digest_);
        result_.set_digest(std::string(digest.begin(), digest.end()));
        refuse_two_ways(result_, problems_);
        if (has_problems()) return;
        if (result_.ByteSizeLong() > kMaxCompiledSize)
            return problems_.add(
                {}, "the compiled policy is longer than " + std::to_string(kMaxCompiledSize) + " bytes");
        auto loaded = load(result_.SerializeAsString());
        if (!loaded) return problems_.add({}, loaded.error().what);
        refuse_shared(*loaded);
        prove(*std::move(loaded));
    }

    const Source& source_;
    Problems problems_;
    std::list<Problems> others_;  // of the files of the policy's folders
    Passwd passwd_;
    Ids ids_;
    SHA256_CTX digest_{};
    compiled::Compiled result_;
    compiled::Compiled never_rules_;
    std::vector<analyse::Never> nevers_;
};

}  // namespace

std::expected<Compilation, std::string> compile_with_nevers(const Source& source) {
    return Compiler(source).run();
}

std::expected<compiled::Compiled, std::string> compile_policy(const Source& source) {
    auto compiled = Compiler(source).run();
    if (!compiled) return std::unexpected(std::move(compiled.error()));
    return std::move(compiled->policy);
}

}  // namespace sallyport::policy::compile
