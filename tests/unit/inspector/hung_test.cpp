#include "inspector/hung.hpp"

#include <gtest/gtest.h>

namespace sallyport::inspector {
namespace {

using std::chrono::minutes;
constexpr HungDevices::Clock::time_point kMoment{};

TEST(Hung, WhatAKilledChildLookedAtIsLeftOutForFiveMinutes) {
    HungDevices devices;
    devices.look_at(7);
    EXPECT_FALSE(devices.has(7));
    devices.add_looked_at(kMoment);
    EXPECT_TRUE(devices.has(7));
    devices.forget_old(kMoment + minutes(5) - std::chrono::milliseconds(1));
    EXPECT_TRUE(devices.has(7));
    devices.forget_old(kMoment + minutes(5));
    EXPECT_FALSE(devices.has(7));
}

TEST(Hung, ChildThatLookedAtNoFileSystemAddsNothing) {
    HungDevices devices;
    devices.look_at(7);
    devices.look_at(0);
    devices.add_looked_at(kMoment);
    EXPECT_FALSE(devices.has(7));
    EXPECT_FALSE(devices.has(0));
}

TEST(Hung, NoMoreThanSixtyFourAreKept) {
    HungDevices devices;
    for (dev_t device = 1; device <= 65; ++device) {
        devices.look_at(device);
        devices.add_looked_at(kMoment);
    }
    EXPECT_FALSE(devices.has(1));
    for (dev_t device = 2; device <= 65; ++device) EXPECT_TRUE(devices.has(device));
}

}  // namespace
}  // namespace sallyport::inspector
