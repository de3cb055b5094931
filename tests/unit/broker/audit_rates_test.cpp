#include "broker/serve/audit_rates.hpp"

#include <gtest/gtest.h>

namespace sallyport::broker {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Bucket, GivesItsBurstAtOnceThenOneForEachInterval) {
    constexpr Rate kRate{.burst = 3, .interval_ns = 10 * kSecond};
    Bucket bucket;
    for (int at = 0; at < 3; ++at) EXPECT_TRUE(bucket.take(kRate, 100 * kSecond));
    EXPECT_FALSE(bucket.take(kRate, 100 * kSecond));
    EXPECT_FALSE(bucket.take(kRate, 109 * kSecond));
    EXPECT_TRUE(bucket.take(kRate, 110 * kSecond));
    EXPECT_FALSE(bucket.take(kRate, 111 * kSecond));
}

TEST(Bucket, FillsToItsBurstAndNoFurther) {
    constexpr Rate kRate{.burst = 2, .interval_ns = kSecond};
    Bucket bucket;
    for (int at = 0; at < 2; ++at) EXPECT_TRUE(bucket.take(kRate, 1000 * kSecond));
    for (int at = 0; at < 2; ++at) EXPECT_TRUE(bucket.take(kRate, 9000 * kSecond));
    EXPECT_FALSE(bucket.take(kRate, 9000 * kSecond));
}

TEST(AuditRates, OfADayOfRefusalsLeaveLittleInTheLogAndNextToNothingInTheJournal) {
    AuditRates rates;
    int log = 0, journal = 0;
    for (std::int64_t second = 0; second < 86'400; ++second) {
        const Places places = rates.judge("guest-get-users", Frequency::kRefusal, second * kSecond);
        log += places.log ? 1 : 0;
        journal += places.journal ? 1 : 0;
    }
    EXPECT_LE(log, 24 * 60 + 60);
    EXPECT_LE(journal, 24 + 5);
    EXPECT_EQ(rates.unwritten().at("guest-get-users"), 86'400 - log);
}

TEST(AuditRates, AFloodOfOneKindHidesNoOther) {
    AuditRates rates;
    for (int at = 0; at < 10'000; ++at) rates.judge("guest-exec", Frequency::kRefusal, kSecond);
    EXPECT_TRUE(rates.judge("guest-file-open", Frequency::kRefusal, kSecond).log);
    EXPECT_TRUE(rates.judge("guest-file-open", Frequency::kRefusal, kSecond).journal);
}

TEST(AuditRates, WhatIsDoneIsAlwaysWritten) {
    AuditRates rates;
    for (int at = 0; at < 10'000; ++at)
        EXPECT_TRUE(rates.judge("guest-file-read", Frequency::kAlways, kSecond).log);
    EXPECT_TRUE(rates.unwritten().empty());
}

TEST(AuditRates, StrangersCostOneLineAMinute) {
    AuditRates rates;
    int log = 0;
    for (std::int64_t at = 0; at < 600'000; ++at)
        log += rates.judge("connect-refused", Frequency::kStranger, at * kSecond / 1000).log ? 1 : 0;
    EXPECT_EQ(log, 10);
    EXPECT_EQ(rates.unwritten().at("connect-refused"), 600'000 - 10);
    rates.clear();
    EXPECT_TRUE(rates.unwritten().empty());
}

}  // namespace
}  // namespace sallyport::broker
