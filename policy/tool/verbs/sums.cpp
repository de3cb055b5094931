#include "policy/tool/verbs/sums.hpp"

#include <sha256.h>

#include <array>

#include "policy/fragments.hpp"

namespace sallyport::policy::cli {

namespace {

std::string line_of(std::string_view text, const std::string& name) {
    std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what libmd asks for
    ::SHA256Data(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), digest.data());
    return std::string(digest.data()) + "  " + name + "\n";
}

}  // namespace

std::string name_of(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
}

std::string sums_of(const std::string& policy, std::string_view text, const compiled::Fragments& files) {
    const std::string name = name_of(policy);
    std::string lines = line_of(text, name);
    for (const compiled::Fragments::File& file : files.files())
        if (!file.is_vendor()) lines += line_of(file.text(), folder_of(name) + "/" + name_of(file.name()));
    return lines;
}

}  // namespace sallyport::policy::cli
