// Conversations with their expected answers as data: values, error classes and wording of the protocol, for a reader who
// has no qemu-ga at hand.
#include <gtest/gtest.h>

#include <memory>

#include "schema/commands.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write", "guest-file-seek"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";

struct Exchange {
    const char* name;
    std::string sent;  // $D: the scratch folder
    std::string answer;
};

class Conversation : public testing::Test {
protected:
    static void SetUpTestSuite() {
        agent_ =
            std::make_unique<Agent>(AgentOptions{.policy = kPolicy, .prepare = [](const Scratch& scratch) {
                                                     scratch.write("work/text", "hello world01234");
                                                 }});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_ = std::make_unique<HostClient>(agent_->connect());
    }
    static void TearDownTestSuite() {
        host_.reset();
        agent_.reset();
    }
    static std::string with_folder(std::string text) {
        for (std::size_t at = 0; (at = text.find("$D")) != std::string::npos;)
            text.replace(at, 2, agent_->scratch().path());
        return text;
    }
    static std::unique_ptr<Agent> agent_;
    static std::unique_ptr<HostClient> host_;
};

std::unique_ptr<Agent> Conversation::agent_;
std::unique_ptr<HostClient> Conversation::host_;

class OneExchange : public Conversation, public testing::WithParamInterface<Exchange> {};

TEST_P(OneExchange, HasTheExpectedAnswer) {
    EXPECT_EQ(host_->ask_all(with_folder(GetParam().sent)), with_folder(GetParam().answer));
}

std::string error(std::string_view desc, std::string_view error_class = "GenericError") {
    return error_line(desc, error_class) + "\n";
}

// clang-format off
const Exchange kSync[] = {
    {"Sync",                  command("guest-sync", R"({"id":123456})"), "{\"return\": 123456}\n"},
    {"SyncDelimited",         command("guest-sync-delimited", R"({"id":-1})"), "\xff{\"return\": -1}\n"},
    {"SyncWithId",            R"({"execute":"guest-sync","arguments":{"id":1},"id":"two"})", "{\"return\": 1, \"id\": \"two\"}\n"},
    {"RecommendedSequence",   "\xff" + command("guest-sync-delimited", R"({"id":7})"), "\xff{\"return\": 7}\n"},
    {"ProxmoxTwoLines",       command("guest-sync-delimited", R"({"id":4711012})") + command("guest-ping"), "\xff{\"return\": 4711012}\n{\"return\": {}}\n"},
    {"Ping",                  command("guest-ping"), "{\"return\": {}}\n"},
    {"PingWithId",            R"({"execute":"guest-ping","id":1})", "{\"return\": {}, \"id\": 1}\n"},
    {"TwoTouchingRequests",   R"({"execute":"guest-ping","id":1}{"execute":"guest-ping","id":2})", "{\"return\": {}, \"id\": 1}\n{\"return\": {}, \"id\": 2}\n"},
};
const Exchange kErrors[] = {
    {"UnknownCommand",        command("guest-nothing"), error("The command guest-nothing has not been found", "CommandNotFound")},
    {"CommandOfAnotherAgent", command("guest-get-devices"), error("The command guest-get-devices has not been found", "CommandNotFound")},
    {"DisabledCommand",       command("guest-file-flush", R"({"handle":1})"), error("Command guest-file-flush has been disabled: the command is not allowed", "CommandNotFound")},
    {"DisabledBeforeItsArgumentsAreLookedAt", command("guest-file-flush", R"({"nonsense":1})"), error("Command guest-file-flush has been disabled: the command is not allowed", "CommandNotFound")},
    {"NoObject",              "5\n", error("QMP input must be a JSON object")},
    {"NoExecute",             "{}", error("QMP input lacks member 'execute'")},
    {"ExecuteIsNoString",     R"({"execute":5})", error("QMP input member 'execute' must be a string")},
    {"ArgumentsAreNoObject",  R"({"execute":"guest-ping","arguments":[]})", error("QMP input member 'arguments' must be an object")},
    {"UnexpectedMember",      R"({"execute":"guest-ping","exec-oob":1})", error("QMP input member 'exec-oob' is unexpected")},
    {"ErrorWithId",           R"({"execute":"guest-sync","id":9})", "{\"id\": 9, \"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'id' is missing\"}}\n"},
    {"MissingArgument",       command("guest-sync"), error("Parameter 'id' is missing")},
    {"UnexpectedArgument",    command("guest-sync", R"({"id":1,"foo":2})"), error("Parameter 'foo' is unexpected")},
    {"WrongType",             command("guest-sync", R"({"id":"1"})"), error("Invalid parameter type for 'id', expected: integer")},
    {"WrongTypeOfText",       command("guest-file-open", R"({"path":1})"), error("Invalid parameter type for 'path', expected: string")},
    {"WrongTypeOfWhence",     command("guest-file-seek", R"({"handle":1,"offset":0,"whence":true})"), error("Invalid parameter type for 'whence', expected: GuestFileWhence")},
    {"WhenceNotWhole",        command("guest-file-seek", R"({"handle":1,"offset":0,"whence":1.5})"), error("Invalid parameter type for 'whence', expected: integer")},
    {"WhenceUnknownName",     command("guest-file-seek", R"({"handle":1,"offset":0,"whence":"up"})"), error("Parameter 'whence' does not accept value 'up'")},
    {"BadBase64",             command("guest-file-write", R"({"handle":1,"buf-b64":"a b"})"), error("Base64 data contains invalid characters")},
    {"UnknownHandle",         command("guest-file-read", R"({"handle":999})"), error("handle '999' has not been found")},
    {"NestingLimit",          R"({"execute":"guest-ping","id":)" + std::string(1024, '[') + "\n", error("JSON nesting depth limit exceeded")},
    {"MissingFile",           command("guest-file-open", R"({"path":"$D/work/none"})"), error("failed to open file '$D/work/none' (mode: 'r'): No such file or directory")},
    {"UnknownMode",           command("guest-file-open", R"({"path":"$D/work/text","mode":"q"})"), error("invalid file open mode 'q'")},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(Sync, OneExchange, testing::ValuesIn(kSync), case_name<Exchange>);
INSTANTIATE_TEST_SUITE_P(Errors, OneExchange, testing::ValuesIn(kErrors), case_name<Exchange>);

TEST_F(Conversation, ParseErrorIsGenericAndBeginsAsQemuGasDo) {
    const std::string reply = host_->ask("garbage\n");
    EXPECT_EQ(class_of(reply), "GenericError");
    EXPECT_TRUE(desc_of(reply).starts_with("JSON parse error, ")) << reply;
    EXPECT_EQ(host_->ask(command("guest-ping")), "{\"return\": {}}");
}

TEST_F(Conversation, InfoListsEveryCommandInReverseOrderWithWhatThePolicyEnables) {
    std::string entries;
    for (auto row = kCommands.rbegin(); row != kCommands.rend(); ++row) {
        const bool is_allowed = row->group == Group::kFile && row->id != CommandId::kFileFlush;
        const bool is_enabled = is_allowed || row->floor == Floor::kYes;
        const bool is_answered = row->success_reply == SuccessReply::kSent;
        entries += std::string(entries.empty() ? "" : ", ") +
                   "{\"enabled\": " + (is_enabled ? "true" : "false") + ", \"name\": \"" +
                   std::string(row->name) + "\", \"success-response\": " + (is_answered ? "true}" : "false}");
    }
    EXPECT_EQ(host_->ask(command("guest-info")), "{\"return\": {\"version\": \"" SALLYPORT_VERSION
                                                 "\", \"supported_commands\": [" +
                                                     entries + "]}}");
}

TEST_F(Conversation, FileIsOpenedReadSoughtWrittenAndClosed) {
    // A session of its own, so that the first handle is 1000.
    Agent agent({.policy = kPolicy,
                 .prepare = [](const Scratch& scratch) { scratch.write("work/text", "hello world01234"); }});
    HostClient host = agent.connect();
    const std::string path = in_quotes(agent.scratch().path("work/text"));
    const Exchange steps[] = {
        {"Open", command("guest-file-open", members({{"path", path}, {"mode", "\"r+\""}})),
         "{\"return\": 1000}"},
        {"Read", command("guest-file-read", R"({"handle":1000,"count":5})"),
         R"({"return": {"count": 5, "buf-b64": "aGVsbG8=", "eof": false}})"},
        {"Write", command("guest-file-write", R"({"handle":1000,"buf-b64":"WFk="})"),
         R"({"return": {"count": 2, "eof": false}})"},
        {"ReadOn", command("guest-file-read", R"({"handle":1000,"count":3})"),
         R"({"return": {"count": 3, "buf-b64": "b3Js", "eof": false}})"},
        {"Seek", command("guest-file-seek", R"({"handle":1000,"offset":-5,"whence":"end"})"),
         R"({"return": {"eof": false, "position": 11}})"},
        {"ReadToTheEnd", command("guest-file-read", R"({"handle":1000})"),
         R"({"return": {"count": 5, "buf-b64": "MDEyMzQ=", "eof": true}})"},
        {"CountTooLarge", command("guest-file-read", R"({"handle":1000,"count":50331649})"),
         error_line("value '50331649' is invalid for argument count")},
        {"CountNegative", command("guest-file-write", R"({"handle":1000,"buf-b64":"","count":-1})"),
         error_line("value '-1' is invalid for argument count")},
        {"BadWhence", command("guest-file-seek", R"({"handle":1000,"offset":0,"whence":3})"),
         error_line("invalid whence code 3")},
        {"Close", command("guest-file-close", R"({"handle":1000})"), "{\"return\": {}}"},
        {"Closed", command("guest-file-close", R"({"handle":1000})"),
         error_line("handle '1000' has not been found")},
    };
    for (const Exchange& step : steps) EXPECT_EQ(host.ask(step.sent), step.answer) << step.name;
}

TEST(Dialect, FirstPatchsArgumentNamesAreKnownOnlyWhenThePolicySaysSo) {
    const auto prepare = [](const Scratch& scratch) { scratch.write("work/text", "hello"); };
    Agent current({.policy = kPolicy, .prepare = prepare});
    HostClient host = current.connect();
    EXPECT_EQ(host.ask(command("guest-file-open", R"({"filepath":"/x"})")),
              error_line("Parameter 'path' is missing"));

    const std::string preview = std::string("dialect = \"0.14-preview\"\n") + kPolicy;
    Agent old({.policy = preview, .prepare = prepare});
    HostClient old_host = old.connect();
    const std::string path = in_quotes(old.scratch().path("work/text"));
    EXPECT_EQ(old_host.ask(command("guest-file-open", members({{"filepath", path}, {"mode", "\"r+\""}}))),
              "{\"return\": 1000}");
    EXPECT_EQ(old_host.ask(command("guest-file-write", R"({"filehandle":1000,"data_b64":"SEU="})")),
              "{\"return\": {\"count\": 2, \"eof\": false}}");
    EXPECT_EQ(old_host.ask(command("guest-file-close", R"({"filehandle":1000})")), "{\"return\": {}}");
}

}  // namespace
}  // namespace sallyport::test
