#!/bin/sh
# Writes a C++ source with the text of each profile given: embed_profiles.sh PROFILE.toml... > profiles.cpp
set -eu

printf '#include "policy/tool/compile/profiles.hpp"\n\n#include <array>\n\n'
printf 'namespace sallyport::policy::compile {\n\nnamespace {\n\nconstexpr std::array kProfiles{\n'
for file in "$@"; do
    if grep -q ')profile"' "$file"; then
        echo "$file: holds the mark that ends its text" >&2
        exit 1
    fi
    printf '    Profile{"%s", R"profile(' "$(basename "$file" .toml)"
    cat "$file"
    printf ')profile"},\n'
done
printf '};\n\n}  // namespace\n\nstd::span<const Profile> profiles() {\n    return kProfiles;\n}\n\n'
printf '}  // namespace sallyport::policy::compile\n'
