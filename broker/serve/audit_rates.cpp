// Runs in:  broker
#include "broker/serve/audit_rates.hpp"

#include <algorithm>

namespace sallyport::broker {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Rates {
    Rate log;
    Rate journal;
};

constexpr Rates rates_of(Frequency frequency) {
    switch (frequency) {
        case Frequency::kRefusal:
            return {.log = {60, 60 * kSecond}, .journal = {5, 3600 * kSecond}};
        case Frequency::kConnection:
            return {.log = {60, 6 * kSecond}, .journal = {}};
        case Frequency::kStranger:
            return {.log = {1, 60 * kSecond}, .journal = {1, 3600 * kSecond}};
        case Frequency::kAlways:
            break;
    }
    return {};
}

}  // namespace

bool Bucket::take(const Rate& rate, std::int64_t now_ns) {
    const std::int64_t after = std::max(full_ns_, now_ns) + rate.interval_ns;
    if (after - now_ns > rate.burst * rate.interval_ns) return false;
    full_ns_ = after;
    return rate.burst > 0;
}

Places AuditRates::judge(std::string_view what, Frequency frequency, std::int64_t now_ns) {
    if (frequency == Frequency::kAlways) return {.log = true, .journal = true};
    Buckets& buckets = buckets_[what];
    const Rates rates = rates_of(frequency);
    if (!buckets.log.take(rates.log, now_ns)) {
        ++unwritten_[what];
        return {};
    }
    return {.log = true, .journal = buckets.journal.take(rates.journal, now_ns)};
}

}  // namespace sallyport::broker
