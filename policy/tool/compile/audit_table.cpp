#include "policy/tool/compile/audit_table.hpp"

#include <array>
#include <string>

#include "ipc/limits.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::array<std::string_view, 4> kKeys{"max_size", "keep", "on_loss", "journal"};
constexpr std::array kOnLoss{Choice{"refuse", 0}, Choice{"go on", 1}};
constexpr std::array kJournal{Choice{"some", 0}, Choice{"all", 1}};

void read_size(Reader& reader, const toml::table& table, compiled::Audit& to) {
    const auto text = reader.text(table, "max_size");
    if (!text) return;
    const auto size = parse_size(*text);
    if (size && *size >= kMinLogSize && *size <= kMaxLogSize) return to.set_max_size(*size);
    const auto meant = size ? std::nullopt : suggest_size(*text);
    reader.problem(place_of(*table.get("max_size")),
                   "'max_size' must be from 256KiB to 1TiB, like \"4MiB\"" +
                       (meant ? "; did you mean \"" + *meant + "\"?" : std::string()));
}

void read_keep(Reader& reader, const toml::table& table, compiled::Audit& to) {
    const toml::node* node = table.get("keep");
    if (node == nullptr) return;
    const auto number = reader.number(*node, "keep");
    if (!number) return;
    if (*number >= 1 && *number <= kMaxLogKeep) return to.set_keep(*number);
    reader.problem(place_of(*node), "'keep' must be from 1 to " + std::to_string(kMaxLogKeep));
}

}  // namespace

void read_audit(Reader& reader, const toml::table& document, compiled::Audit& to) {
    const toml::table* table = reader.table(document, "audit");
    if (table == nullptr) return;
    reader.only_keys(*table, kKeys, "'audit'");
    read_size(reader, *table, to);
    read_keep(reader, *table, to);
    to.set_goes_on(reader.choice(*table, "on_loss", kOnLoss).value_or(0) != 0);
    to.set_journal_all(reader.choice(*table, "journal", kJournal).value_or(0) != 0);
}

}  // namespace sallyport::policy::compile
