// What the tests of verbs that read audit logs share: a log that is made line by line, and the tool.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/audit.hpp"
#include "tests/support/run_tool.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::policy {

using test::Said;

/// The path of the tool under test, from the command line.
inline std::string& tool() {
    static std::string path;
    return path;
}

inline const std::string kPolicy =
    "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n"
    "[[allow]]\nid = \"export\"\ncommands = [\"@file\"]\n"
    "files = [{ under = \"/srv/export\", access = [\"read\"], owner = [1000] }]\n"
    "[[allow]]\nid = \"backup\"\ncommands = [\"@freeze\"]\nfreeze = { max_frozen = \"10s\" }\n";

class LogVerbs : public testing::Test {
protected:
    Said run(const std::string& words) { return test::run_tool(tool(), scratch_.path(), words); }
    void write(const std::string& name, const std::string& text) { scratch_.write(name, text); }

    /// A line of the log; `rest` begins with the verdict's text. Each is a minute after the one before.
    void add(const std::string& verdict, const std::string& what, const std::string& rest = "") {
        const std::string minute = std::to_string(lines_ + 1);
        add_at(std::string("2026-11-01T00:") + (minute.size() < 2 ? "0" : "") + minute + ":00", verdict, what,
               rest);
    }
    void add_at(const std::string& time, const std::string& verdict, const std::string& what,
                const std::string& rest = "") {
        ++lines_;
        std::string line = "{\"time\":\"" + time +
                           ".000000Z\",\"boottime_us\":" + std::to_string(lines_ * 60'000'000LL) +
                           ",\"run\":\"1f3a5b7c\",\"seq\":" + std::to_string(lines_) +
                           ",\"session\":1,\"verdict\":\"" + verdict + "\",\"what\":\"" + what + "\"" + rest +
                           ",\"policy\":\"abcd\",\"prev\":\"" + last_ + "\"}";
        last_ = test::hash_of_line(line);
        log_ += line + "\n";
    }
    void open(const std::string& verdict, const std::string& path, const std::string& rest) {
        add(verdict, "guest-file-open", ",\"arguments\":{\"path\":\"" + path + "\",\"mode\":\"r\"}" + rest);
    }
    void keep(const std::string& name = "log") {
        write(name, log_);
        log_.clear();
    }

    test::Scratch scratch_;
    std::string log_;
    std::string last_ = std::string(64, '0');
    int lines_ = 0;
};

inline const std::string kBy = ",\"rule\":\"export\"";
inline const std::string kByNone = ",\"reason\":\"no allow rule covers this path and mode\"";

}  // namespace sallyport::policy
