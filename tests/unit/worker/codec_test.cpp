// From a request's JSON to a reply, or to what the broker is asked.
#include <gtest/gtest.h>

#include "worker/framing.hpp"
#include "worker/reply.hpp"
#include "worker/request.hpp"

namespace sallyport::worker {
namespace {

ipc::Welcome welcome(bool preview_names) {
    ipc::Welcome welcome;
    for (const Command& row : kCommands)
        if (row.id != CommandId::kFileFlush) welcome.add_enabled(static_cast<std::uint32_t>(row.id));
    welcome.set_preview_names(preview_names);
    return welcome;
}

// The reply, or the request to the broker as text.
std::string taken(std::string_view json, bool preview_names = false) {
    Framing framing;
    Commands commands;
    commands.welcome(welcome(preview_names));
    framing.feed(json);
    if (framing.next() != Framing::Event::kValue) return "no value";
    Pending pending;
    take_request(framing.document(), commands, pending);
    if (pending.fate == Fate::kAnswered) return pending.reply;
    std::string text;
    if (pending.fate == Fate::kOfNow) {
        commands.answer_of_now({.command = pending.command, .id = pending.id}, text);
        return text;
    }
    text = pending.request.ShortDebugString();
    if (pending.request.has_file_write())
        text += " data " + std::string(pending.data()) + " size " + std::to_string(pending.data_size);
    if (!pending.id.empty()) text += " id " + pending.id;
    return text;
}

std::string error_line(const HostError& error, std::string_view id = {}) {
    std::string line;
    append_error(line, error, id);
    return line;
}

struct Case {
    const char* name;
    std::string json;
    std::string desc;
};
std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

class Refused : public testing::TestWithParam<Case> {};
TEST_P(Refused, InTheWordsOfQemuGa) {
    EXPECT_EQ(taken(GetParam().json), error_line(generic_error(GetParam().desc)));
}

INSTANTIATE_TEST_SUITE_P(RequestObject, Refused,
                         testing::Values(Case{"Number", "5 ", "QMP input must be a JSON object"},
                                         Case{"List", "[]", "QMP input must be a JSON object"},
                                         Case{"Empty", "{}", "QMP input lacks member 'execute'"},
                                         Case{"ExecuteNoString", R"({"execute":1})",
                                              "QMP input member 'execute' must be a string"},
                                         Case{"ArgumentsNull", R"({"execute":"guest-ping","arguments":null})",
                                              "QMP input member 'arguments' must be an object"},
                                         Case{"ArgumentsList", R"({"execute":"guest-ping","arguments":[]})",
                                              "QMP input member 'arguments' must be an object"},
                                         Case{"ExecOob", R"({"exec-oob":"guest-ping"})",
                                              "QMP input member 'exec-oob' is unexpected"},
                                         Case{"Other", R"({"execute":"guest-ping","x":1})",
                                              "QMP input member 'x' is unexpected"}),
                         case_name);

Case sync(const char* name, const std::string& arguments, const std::string& desc) {
    return {name, R"({"execute":"guest-sync","arguments":)" + arguments + "}", desc};
}
const std::string kIdNoInteger = "Invalid parameter type for 'id', expected: integer";

INSTANTIATE_TEST_SUITE_P(
    Integers, Refused,
    testing::Values(
        sync("Missing", "{}", "Parameter 'id' is missing"), sync("Null", R"({"id":null})", kIdNoInteger),
        sync("Double", R"({"id":5.0})", kIdNoInteger), sync("String", R"({"id":"5"})", kIdNoInteger),
        sync("Bool", R"({"id":true})", kIdNoInteger), sync("Object", R"({"id":{}})", kIdNoInteger),
        sync("AboveInt64", R"({"id":9223372036854775808})", kIdNoInteger),
        sync("BelowInt64", R"({"id":-9223372036854775809})", kIdNoInteger),
        sync("DeclaredBeforeUnexpected", R"({"ID":1})", "Parameter 'id' is missing"),
        sync("Unexpected", R"({"id":1,"ID":1})", "Parameter 'ID' is unexpected"),
        sync("UnexpectedUnicode", "{\"id\":1,\"\xC3\xA4\":1}", "Parameter '\xC3\xA4' is unexpected"),
        Case{"NoArguments", R"({"execute":"guest-sync"})", "Parameter 'id' is missing"},
        Case{"PingTakesNone", R"({"execute":"guest-ping","arguments":{"a":1}})",
             "Parameter 'a' is unexpected"}),
    case_name);

Case command(const char* name, const std::string& verb, const std::string& arguments,
             const std::string& desc) {
    return {name, R"({"execute":"guest-file-)" + verb + R"(","arguments":)" + arguments + "}", desc};
}

INSTANTIATE_TEST_SUITE_P(
    Files, Refused,
    testing::Values(
        command("PathNoString", "open", R"({"path":1})",
                "Invalid parameter type for 'path', expected: string"),
        command("ModeNull", "open", R"({"path":"a","mode":null})",
                "Invalid parameter type for 'mode', expected: string"),
        command("PreviewNameIsUnexpected", "open", R"({"filepath":"a"})", "Parameter 'path' is missing"),
        command("InDeclaredOrder", "write", R"({"buf-b64":1})", "Parameter 'handle' is missing"),
        command("DataMissing", "write", R"({"handle":1})", "Parameter 'buf-b64' is missing"),
        command("DataNoString", "write", R"({"handle":1,"buf-b64":1})",
                "Invalid parameter type for 'buf-b64', expected: string"),
        command("DataNoBase64", "write", R"({"handle":1,"buf-b64":"a b"})",
                "Base64 data contains invalid characters"),
        command("TypesBeforeData", "write", R"({"handle":1,"buf-b64":"-","count":"1"})",
                "Invalid parameter type for 'count', expected: integer"),
        command("UnexpectedBeforeData", "write", R"({"handle":1,"buf-b64":"-","x":1})",
                "Parameter 'x' is unexpected"),
        command("WhenceMissing", "seek", R"({"handle":1,"offset":0})", "Parameter 'whence' is missing"),
        command("WhenceBool", "seek", R"({"handle":1,"offset":0,"whence":true})",
                "Invalid parameter type for 'whence', expected: GuestFileWhence"),
        command("WhenceNull", "seek", R"({"handle":1,"offset":0,"whence":null})",
                "Invalid parameter type for 'whence', expected: GuestFileWhence"),
        command("WhenceFraction", "seek", R"({"handle":1,"offset":0,"whence":1.5})",
                "Invalid parameter type for 'whence', expected: integer"),
        command("WhenceUnknown", "seek", R"({"handle":1,"offset":0,"whence":"Set"})",
                "Parameter 'whence' does not accept value 'Set'"),
        command("WhenceZeroOfEnum", "seek", R"({"handle":1,"offset":0,"whence":"unspecified"})",
                "Parameter 'whence' does not accept value 'unspecified'")),
    case_name);

Case exec(const char* name, const std::string& arguments, const std::string& desc) {
    return {name, R"({"execute":"guest-exec","arguments":)" + arguments + "}", desc};
}

Case set(const char* name, const std::string& what, const std::string& arguments, const std::string& desc) {
    return {name, R"({"execute":"guest-set-)" + what + R"(","arguments":)" + arguments + "}", desc};
}
std::string vcpus(std::size_t count) {
    std::string list;
    for (std::size_t at = 0; at < count; ++at)
        list += std::string(at == 0 ? "" : ",") + R"({"logical-id":0,"online":false})";
    return R"({"vcpus":[)" + list + "]}";
}
std::string vcpus_taken(std::size_t count) {
    std::string text = "set_vcpus { ";
    for (std::size_t at = 0; at < count; ++at) text += "vcpus { } ";
    return text + "}";
}

class Taken : public testing::TestWithParam<Case> {};
TEST_P(Taken, BecomesOneRequestOrReply) {
    EXPECT_EQ(taken(GetParam().json), GetParam().desc);
}

INSTANTIATE_TEST_SUITE_P(
    , Taken,
    testing::Values(
        Case{"Ping", R"({"execute":"guest-ping"})", "{\"return\": {}}\n"},
        Case{"EmptyArguments", R"({"arguments":{},"execute":"guest-ping"})", "{\"return\": {}}\n"},
        sync("Sync", R"({"id":-9223372036854775808})", "{\"return\": -9223372036854775808}\n"),
        Case{"SyncDelimited", R"({"execute":"guest-sync-delimited","arguments":{"id":7}})",
             "\xFF{\"return\": 7}\n"},
        Case{"FailingSyncDelimitedHasNoSentinel", R"({"execute":"guest-sync-delimited"})",
             error_line(generic_error("Parameter 'id' is missing"))},
        Case{"Unknown", R"({"execute":"guest-Ping"})", error_line(command_not_found("guest-Ping"))},
        Case{"Disabled", R"({"execute":"guest-file-flush","arguments":{"x":1}})",
             "command_disabled { command: " + std::to_string(static_cast<int>(CommandId::kFileFlush)) + " }"},
        command("Open", "open", R"({"mode":"w","path":"/a"})", R"(file_open { path: "/a" mode: "w" })"),
        command("OpenWithoutMode", "open", R"({"path":""})", R"(file_open { })"),
        command("Read", "read", R"({"handle":1000})", "file_read { handle: 1000 }"),
        command("ReadZero", "read", R"({"handle":1000,"count":0})", "file_read { handle: 1000 count: 0 }"),
        command("Write", "write", R"({"buf-b64":"aGk=","handle":1000,"count":1})",
                "file_write { handle: 1000 count: 1 } data aGk= size 2"),
        command("SeekCode", "seek", R"({"handle":1,"offset":2,"whence":7})",
                "file_seek { handle: 1 offset: 2 whence { code: 7 } }"),
        command("SeekSet", "seek", R"({"handle":1,"offset":2,"whence":"set"})",
                "file_seek { handle: 1 offset: 2 whence { code: 0 } }"),
        command("SeekEnd", "seek", R"({"handle":1,"offset":2,"whence":"end"})",
                "file_seek { handle: 1 offset: 2 whence { code: 2 } }"),
        exec("Exec", R"({"path":"a"})", R"(exec { path: "a" })"),
        exec("ExecWhole", R"({"path":"a","arg":["b",""],"env":[],"input-data":"aGk="})",
             R"(exec { path: "a" arg { item: "b" item: "" } env { } input_data: "hi" })"),
        exec("ExecCaptureAll", R"({"path":"a","capture-output":true})",
             R"(exec { path: "a" capture_output { mode: SEPARATED } })"),
        exec("ExecCaptureNothing", R"({"path":"a","capture-output":false})",
             R"(exec { path: "a" capture_output { mode: NONE } })"),
        exec("ExecCaptureMerged", R"({"path":"a","capture-output":"merged"})",
             R"(exec { path: "a" capture_output { mode: MERGED } })"),
        exec("ExecCaptureUnknown", R"({"path":"a","capture-output":"all"})",
             error_line(generic_error("Parameter 'capture-output' does not accept value 'all'"))),
        exec("ExecCaptureNumber", R"({"path":"a","capture-output":1})",
             error_line(generic_error(
                 "Invalid parameter type for 'capture-output', expected: GuestExecCaptureOutput"))),
        exec("ExecBeyondAMebibyte", R"({"path":"a","arg":[")" + std::string(1U << 20U, 'x') + R"("]})",
             error_line(generic_error("Words, environment and input of a program are longer than 1 MiB"))),
        Case{"IdWithRequest", R"({"execute":"guest-file-close","arguments":{"handle":1},"id":[{"a":0.5}]})",
             R"(file_close { handle: 1 } id [{"a": 0.5}])"}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Set, Taken,
    testing::Values(
        set("SetTime", "time", R"({"time":1999})", "set_time { time: 1000 }"),
        set("SetTimeByTheHardware", "time", "{}", "set_time { }"),
        set("SetTimeTowardsZero", "time", R"({"time":-999})", "set_time { time: 0 }"),
        set("SetTimeBelowZero", "time", R"({"time":-1000})",
            error_line(generic_error("Failed to set time to guest: Invalid argument"))),
        set("SetTimeOf1969", "time", R"({"time":-1000000000})", error_line(generic_error("Invalid time"))),
        set("SetTimeAtLast", "time", R"({"time":3155759999999999999})",
            "set_time { time: 3155759999999999000 }"),
        set("SetTimeOf2070", "time", R"({"time":3155760000000000000})",
            error_line(generic_error("Invalid time"))),
        set("SetTimeGreatest", "time", R"({"time":9223372036854775807})",
            error_line(generic_error("Invalid time"))),
        set("SetVcpus", "vcpus",
            R"({"vcpus":[{"logical-id":-1,"online":true,"can-offline":true},{"logical-id":2,"online":false}]})",
            "set_vcpus { vcpus { logical_id: -1 online: true } vcpus { logical_id: 2 } }"),
        set("SetVcpusOfNone", "vcpus", R"({"vcpus":[]})", "set_vcpus { }"),
        set("SetVcpusWithoutAList", "vcpus", "{}", error_line(generic_error("Parameter 'vcpus' is missing"))),
        set("SetVcpusSecondIncomplete", "vcpus",
            R"({"vcpus":[{"logical-id":1,"online":true},{"logical-id":2}]})",
            error_line(generic_error("Parameter 'vcpus[1].online' is missing"))),
        set("SetVcpusMemberUnexpected", "vcpus", R"({"vcpus":[{"logical-id":1,"online":true,"x":1}],"y":1})",
            error_line(generic_error("Parameter 'vcpus[0].x' is unexpected"))),
        set("SetVcpusOfNumbers", "vcpus", R"({"vcpus":[1]})",
            error_line(generic_error("Invalid parameter type for 'vcpus[0]', expected: object"))),
        set("SetVcpusAsMany", "vcpus", vcpus(1024), vcpus_taken(1024)),
        set("SetVcpusMore", "vcpus", vcpus(1025), error_line(generic_error("Parameter 'vcpus' is too long"))),
        set("SetBlocks", "memory-blocks",
            R"({"mem-blks":[{"phys-index":-1,"online":true},{"phys-index":18446744073709551615,"online":false}]})",
            "set_memory_blocks { mem_blks { phys_index: 18446744073709551615 online: true } "
            "mem_blks { phys_index: 18446744073709551615 } }"),
        set("SetBlocksNoNumber", "memory-blocks", R"({"mem-blks":[{"phys-index":1.5,"online":true}]})",
            error_line(generic_error("Parameter 'mem-blks[0].phys-index' expects uint64")))),
    case_name);

TEST(Id, IsEchoedOnSuccess) {
    EXPECT_EQ(taken(R"({"execute":"guest-ping","id":{"a":[1,"x\u00e4"]}})"),
              "{\"return\": {}, \"id\": {\"a\": [1, \"x\\u00E4\"]}}\n");
    EXPECT_EQ(taken(R"({"execute":"guest-ping","id":null})"), "{\"return\": {}, \"id\": null}\n");
}

TEST(Id, IsEchoedOnEveryErrorOfAnObject) {
    EXPECT_EQ(taken(R"({"id":1})"), error_line(generic_error("QMP input lacks member 'execute'"), "1"));
    EXPECT_EQ(taken(R"({"x":1,"id":2})"),
              error_line(generic_error("QMP input member 'x' is unexpected"), "2"));
    EXPECT_EQ(taken(R"({"execute":"no","id":"3"})"), error_line(command_not_found("no"), "\"3\""));
}

TEST(PreviewNames, AreTakenInThatDialectOnly) {
    const std::string open = R"({"execute":"guest-file-open","arguments":{"filepath":"/a"}})";
    EXPECT_EQ(taken(open, true), R"(file_open { path: "/a" })");
    EXPECT_EQ(taken(R"({"execute":"guest-file-write","arguments":{"filehandle":1,"data_b64":"aGk="}})", true),
              "file_write { handle: 1 } data aGk= size 2");
    EXPECT_EQ(taken(open), error_line(generic_error("Parameter 'path' is missing")));
}

TEST(PreviewNames, BesideTheNameOfTodayAreUnexpected) {
    EXPECT_EQ(taken(R"({"execute":"guest-file-open","arguments":{"filepath":"/a","path":"/b"}})", true),
              error_line(generic_error("Parameter 'filepath' is unexpected")));
}

TEST(Info, ListsCommandsInReverseWithWhatIsEnabled) {
    const std::string info = taken(R"({"execute":"guest-info"})");
    const std::string first =
        R"({"enabled": true, "name": "guest-network-get-route", "success-response": true})";
    const std::string disabled =
        R"({"enabled": false, "name": "guest-file-flush", "success-response": true})";
    const std::string last = R"({"enabled": true, "name": "guest-sync-delimited", "success-response": true})";
    EXPECT_TRUE(info.starts_with("{\"return\": {\"version\": \"" + std::string(SALLYPORT_VERSION) +
                                 "\", \"supported_commands\": [" + first + ", "))
        << info;
    EXPECT_NE(info.find(", " + disabled + ", "), std::string::npos) << info;
    EXPECT_TRUE(info.ends_with(", " + last + "]}}\n")) << info;
}

}  // namespace
}  // namespace sallyport::worker
