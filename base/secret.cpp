// Secrets: memory that held one holds it no more.
// Runs in:  worker, broker, launcher
#include "base/secret.hpp"

#include <array>
#include <cstring>

namespace sallyport {

namespace {

constexpr std::size_t kDepth = std::size_t{48} << 10U;  // deeper than any call that sees a secret

}  // namespace

void wipe(std::string& text) {
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

[[gnu::noinline]] void wipe_stack() {
    std::array<char, kDepth> below;
    ::explicit_bzero(below.data(), below.size());
}

}  // namespace sallyport
