#include "worker/inspected.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "ipc/limits.hpp"
#include "worker/json_codec.hpp"

namespace sallyport::worker {
namespace {

using schema::Inspected;

std::string encoded(const std::function<void(Inspected&)>& fill) {
    Inspected said;
    fill(said);
    return said.SerializeAsString();
}

/// What the host reads; empty: nothing of it.
std::string told(std::string_view bytes, const char* command) {
    const auto* field = Inspected::descriptor()->FindFieldByName(command);
    Inspected inspected;
    const auto* reply = take_inspected(bytes, *field, inspected);
    if (reply == nullptr) return {};
    std::string text;
    append_message(text, *reply);
    return text;
}

void put_disk(Inspected& said) {
    auto& address = *said.mutable_get_disks()->add_disks()->mutable_address();
    address.set_bus_type(schema::GuestDiskAddress::VIRTIO);
    address.mutable_pci_controller()->set_slot(3);
}

TEST(Inspected, TheReplyToWhatWasAskedIsTold) {
    EXPECT_EQ(told(encoded([](auto& said) { said.mutable_get_host_name()->set_host_name("guest"); }),
                   "get_host_name"),
              R"({"host-name": "guest"})");
    EXPECT_EQ(told(encoded([](auto& said) { said.mutable_get_users(); }), "get_users"), "[]");
    EXPECT_NE(told(encoded(put_disk), "get_disks"), "");
}

struct Lie {
    const char* name;
    const char* command;
    std::string bytes;
};

class ALie : public testing::TestWithParam<Lie> {};

TEST_P(ALie, IsNotTold) {
    EXPECT_EQ(told(GetParam().bytes, GetParam().command), "");
}

const std::string kHostName = encoded([](auto& said) { said.mutable_get_host_name()->set_host_name("ab"); });

const Lie kLies[] = {
    {"Nothing", "get_host_name", ""},
    {"NoMessage", "get_host_name", "\xff\xff"},
    {"CutShort", "get_host_name", kHostName.substr(0, kHostName.size() - 1)},
    {"ReplyToAnotherCommand", "get_time", kHostName},
    {"TwoReplies", "get_host_name", encoded([](auto& said) { said.mutable_get_time(); }) + kHostName},
    {"TheSameTwice", "get_host_name", kHostName + kHostName},
    {"UnknownField", "get_host_name", kHostName + "\xfa\x7f\x01x"},
    {"UnknownFieldInside", "get_host_name",
     kHostName.substr(0, 1) + "\x07" + kHostName.substr(2) + "\x12\x01x"},
    {"LongForm", "get_host_name", kHostName.substr(0, 1) + std::string("\x84\x00", 2) + kHostName.substr(2)},
    {"DefaultWrittenOut", "get_time", std::string("\x0a\x02\x08\x00", 4)},
    {"TextThatIsNoUtf8", "get_host_name", kHostName.substr(0, kHostName.size() - 2) + "\xc3\x28"},
    {"WordOfNoEnum", "get_cpustats", encoded([](auto& said) {
         said.mutable_get_cpustats()->add_cpus()->set_type(schema::GetCpustatsReply::Cpu::Type(77));
     })},
    {"NoWord", "get_cpustats", encoded([](auto& said) { said.mutable_get_cpustats()->add_cpus(); })},
    {"NoNumber", "get_load", encoded([](auto& said) {
         said.mutable_get_load()->set_load1m(std::numeric_limits<double>::quiet_NaN());
     })},
    {"Infinity", "get_users", encoded([](auto& said) {
         said.mutable_get_users()->add_users()->set_login_time(std::numeric_limits<double>::infinity());
     })},
    {"WithoutAMemberThatMustBeThere", "get_diskstats",
     encoded([](auto& said) { said.mutable_get_diskstats()->add_disks(); })},
    {"TooManyThings", "get_vcpus", encoded([](auto& said) {
         for (std::size_t at = 0; at < kMaxInspectedThings; ++at) said.mutable_get_vcpus()->add_vcpus();
     })},
};
INSTANTIATE_TEST_SUITE_P(, ALie, testing::ValuesIn(kLies),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sallyport::worker
