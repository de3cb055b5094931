// What was taken of budgets, kept in the state directory for the next start: the file sallyport.budgets, in native byte order.
// Runs in:  starter (begins it), recorder (keeps it); the policy tool, which shows it
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ipc/limits.hpp"

namespace sallyport::ipc {

struct KeptBudgets {
    /// A bucket. It is told by its rule's id and by what it counts, wherever the rule stands in the policy.
    struct Row {
        std::array<char, 64> rule{};  // padded with zeros
        std::uint64_t of = 0;         // a policy::Bucket::Of
        std::uint64_t amount = 0;     // as in policy::Flow
        std::uint64_t burst = 0;
        std::int64_t per_ns = 0;
        std::int64_t due = 0;  // when it is full, by awake_ns() of that boot
        bool operator==(const Row&) const = default;
    };
    std::array<char, 40> boot{};  // its id
    std::int64_t written = 0;     // when, by awake_ns()
    std::uint64_t is_final = 0;   // the agent has ended and said all, and this is on the disk
    std::uint64_t count = 0;      // of rows; the file ends after them
    std::array<Row, kMaxBuckets> rows{};

    [[nodiscard]] std::size_t size() const { return offsetof(KeptBudgets, rows) + count * sizeof(Row); }
};
static_assert(std::is_trivially_copyable_v<KeptBudgets> && sizeof(KeptBudgets) == 64 + 104 * kMaxBuckets);

}  // namespace sallyport::ipc
