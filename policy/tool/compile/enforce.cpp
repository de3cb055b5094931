#include "policy/tool/compile/enforce.hpp"

namespace sallyport::policy::compile {

bool read_enforce(Reader& reader, const toml::table& rule) {
    const toml::node* node = rule.get("enforce");
    if (node == nullptr) return true;
    const auto* value = node->as_boolean();
    if (value == nullptr) {
        reader.wrong_type(*node, "enforce", "true or false");
        return true;
    }
    if (!value->get() && !rule.contains("expires"))
        reader.problem(place_of(*node),
                       "a rule with 'enforce = false' only dry-runs, and needs an end: "
                       "expires = 2030-01-31T00:00:00Z");
    return value->get();
}

}  // namespace sallyport::policy::compile
