// guest-exec and guest-exec-status: the same to Debian's qemu-ga and to our agent under the compat profile, compared byte for byte
// but for the numbers of programs and what docs/compatibility.md lists.
#include <gtest/gtest.h>

#include <regex>

#include "tests/support/agent.hpp"
#include "tests/support/qemu_ga.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

class ExecBeside : public testing::Test {
protected:
    // The reply to the start, and if there is a number, how it ended.
    static std::string play(HostClient& host, const std::string& arguments) {
        std::string reply = host.ask(command("guest-exec", arguments));
        if (!desc_of(reply).empty()) return without_wrapper(reply);
        const auto pid = result_of(reply).at("pid").as_int64();
        std::string ended;
        EXPECT_TRUE(eventually([&] {
            ended = host.ask(command("guest-exec-status", "{\"pid\":" + std::to_string(pid) + "}"),
                             milliseconds(30'000));
            return ended.find("\"exited\": false") == ended.npos;
        }));
        return ended;
    }
    // Until 9.0 qemu-ga had GLib's text in one of its own.
    static std::string without_wrapper(const std::string& reply) {
        static const std::regex wrapper("Guest agent command failed, error was '(.*)'\"");
        return std::regex_replace(reply, wrapper, "$1\"");
    }
    QemuGa qemu_;
    Agent agent_{AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"}};
    HostClient theirs_{qemu_.socket()};
    HostClient ours_{agent_.connect()};
};

TEST_F(ExecBeside, ProgramsAndTheirEnds) {
    const std::string big(50'000, 'x');
    for (
        const std::string& arguments :
        {R"({"path":"/bin/true"})"s,
         R"({"path":"/bin/false","capture-output":true})"s,
         R"({"path":"/bin/echo","arg":["a","","b c","\u00e4","-n","--"],"capture-output":true})"s,
         R"({"path":"/bin/echo","arg":[],"capture-output":true})"s,
         R"({"path":"echo","arg":["by PATH"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","echo o; echo e >&2; exit 77"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","echo e >&2"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","echo o; exit 1"],"capture-output":false})"s,
         R"({"path":"/bin/sh","arg":["-c","kill -SEGV $$"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","kill -PIPE $$; echo ignored"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","umask; ls -l /proc/self/fd | wc -l"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","sleep 0.2 & echo x"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","head -c 16777216 /dev/zero"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","head -c 16777217 /dev/zero; head -c 300000 /dev/zero >&2"],"capture-output":true})"s,
         R"({"path":"/bin/sh","arg":["-c","exec 1>&-; exec 2>&-; exit 9"],"capture-output":true})"s,
         R"({"path":"/bin/cat","input-data":"aGVsbG8=","capture-output":true})"s,
         R"({"path":"/bin/cat","input-data":"","capture-output":true})"s,
         R"({"path":"/bin/cat","capture-output":true})"s,
         R"({"path":"/usr/bin/env","env":["A=1","B=","A=2","C"],"capture-output":true})"s,
         R"({"path":"/usr/bin/env","env":[],"capture-output":true})"s,
         R"({"path":"env","env":["ONLY=this"],"capture-output":true})"s,
         R"({"path":"env","env":["PATH=/nowhere"],"capture-output":true})"s,
         R"({"path":"/bin/echo","arg":[")" + big + R"(","y"],"capture-output":true})",
         R"({"path":"/nonexistent/program"})"s,
         R"({"path":"nosuchprogram"})"s,
         R"({"path":""})"s,
         R"({"path":"/etc"})"s,
         R"({"path":"/tmp"})"s,
         R"({"path":"/etc/passwd"})"s,
         R"({"path":"/etc/passwd/x"})"s})
        EXPECT_EQ(play(ours_, arguments), play(theirs_, arguments)) << arguments.substr(0, 200);
}

TEST_F(ExecBeside, WordsAndEnvironmentAsLongAsTheyMayBe) {
    std::string words;
    for (int count = 0; count < 4096; ++count) words += ",\"w\"";
    const std::string many =
        R"({"path":"/bin/sh","arg":["-c","echo $#")" + words + R"(],"capture-output":true})";
    EXPECT_EQ(play(ours_, many), play(theirs_, many));
    std::string variables;
    for (int count = 0; count < 250; ++count)
        variables +=
            (count == 0 ? "\"V" : ",\"V") + std::to_string(count) + "=" + std::string(4000, 'v') + "\"";
    const std::string long_env =
        R"({"path":"/usr/bin/env","env":[)" + variables + R"(],"capture-output":true})";
    EXPECT_EQ(play(ours_, long_env), play(theirs_, long_env));
    // The kernel takes no word of 128 KiB.
    const std::string long_word =
        R"({"path":"/bin/echo","arg":[")" + std::string(131'072, 'x') + R"("],"capture-output":true})";
    EXPECT_EQ(play(ours_, long_word), play(theirs_, long_word));
}

TEST_F(ExecBeside, ArgumentsThatAreWrong) {
    for (const char* arguments :
         {"{}", R"({"path":5})", R"({"path":"/bin/true","arg":"x"})", R"({"path":"/bin/true","arg":["x",1]})",
          R"({"path":"/bin/true","env":{}})", R"({"path":"/bin/true","env":[null]})",
          R"({"path":"/bin/true","input-data":7})", R"({"path":"/bin/true","input-data":"!!"})",
          R"({"path":"/bin/true","input-data":"a b"})", R"({"path":"/bin/true","more":1})",
          R"({"path":"/bin/true","input-data":"!!","more":1})", R"({"path":"/bin/true","arg":null})",
          R"({"arg":["x"]})"})
        EXPECT_EQ(ours_.ask(command("guest-exec", arguments)), theirs_.ask(command("guest-exec", arguments)))
            << arguments;
    for (const char* arguments :
         {"{}", R"({"pid":"1"})", R"({"pid":1.5})", R"({"pid":1,"more":2})", R"({"pid":null})"})
        EXPECT_EQ(ours_.ask(command("guest-exec-status", arguments)),
                  theirs_.ask(command("guest-exec-status", arguments)))
            << arguments;
}

}  // namespace
}  // namespace sallyport::test
