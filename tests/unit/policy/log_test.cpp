// Audit logs as the tool reads them: lines, records, chains, and what is kept of them.
#include "policy/tool/log/lines.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "policy/tool/log/chain.hpp"
#include "policy/tool/log/learnt.hpp"
#include "policy/tool/log/record.hpp"
#include "policy/tool/log/request.hpp"
#include "policy/tool/log/tally.hpp"

namespace sallyport::policy::log {
namespace {

UniqueFd file_with(const std::string& text) {
    UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

TEST(LogLines, AreAllGivenWhereverTheBufferEnds) {
    std::mt19937 random(1);
    std::vector<std::string> wanted;
    std::string text;
    for (int at = 0; at < 3000; ++at) {
        const std::size_t size = at % 50 == 0 ? kLongestLine - random() % 3 : random() % 700;
        wanted.emplace_back(size, static_cast<char>('a' + at % 26));
        text += wanted.back() + "\n";
    }
    const UniqueFd file = file_with(text + "without an end");
    wanted.emplace_back("without an end");
    Lines lines(file);
    std::string_view line;
    for (const std::string& one : wanted) {
        ASSERT_EQ(lines.next(line), Lines::Got::kLine);
        ASSERT_EQ(line, one) << "line " << lines.number();
    }
    EXPECT_EQ(lines.next(line), Lines::Got::kEnd);
    EXPECT_EQ(lines.number(), wanted.size());
}

TEST(LogLines, OneThatIsTooLongIsOneLineAndTheNextIsGiven) {
    for (const std::size_t size : {kLongestLine + 1, std::size_t{300'000}, std::size_t{3'000'000}}) {
        const UniqueFd file = file_with("first\n" + std::string(size, 'x') + "\nlast\n");
        Lines lines(file);
        std::string_view line;
        EXPECT_EQ(lines.next(line), Lines::Got::kLine);
        EXPECT_EQ(lines.next(line), Lines::Got::kTooLong);
        ASSERT_EQ(lines.next(line), Lines::Got::kLine) << size;
        EXPECT_EQ(line, "last");
        EXPECT_EQ(lines.number(), 3U);
        EXPECT_EQ(lines.next(line), Lines::Got::kEnd);
    }
}

TEST(LogLines, OfWhatCannotBeReadAreAFault) {
    const UniqueFd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::string_view line;
    EXPECT_EQ(Lines(folder).next(line), Lines::Got::kFault);
}

const std::string kLine =
    R"({"time":"2026-11-30T21:11:11.000001Z","boottime_us":7,"run":"1f3a5b7c","seq":42,"session":3,"verdict":"refuse",)"
    R"("what":"guest-file-open","arguments":{"path":"/etc/\"\\x\u00c3\u00a9","mode":"r"},"rule":"r","reason":"why",)"
    R"("errno":2,"bytes":9,"lost":4,"unwritten":{"guest-ping":5},"policy":"ad1d","prev":"00"})";

TEST(LogRecord, HasTheMembersOfItsLine) {
    Record record;
    ASSERT_TRUE(read_record(kLine, record));
    EXPECT_EQ(record.run, "1f3a5b7c");
    EXPECT_EQ(record.seq, 42U);
    EXPECT_EQ(record.verdict, "refuse");
    EXPECT_EQ(record.what, "guest-file-open");
    EXPECT_EQ(record.bytes, 9);
    EXPECT_EQ(record.lost, 4U);
    EXPECT_EQ(text_of(members_of(record.arguments), "path"), "/etc/\"\\x\xc3\xa9");
    EXPECT_EQ(number_of(members_of(record.unwritten), "guest-ping"), 5);
}

TEST(LogRecord, IsNoneIfItsLineIsCutOffAnywhere) {
    Record record;
    for (std::size_t size = 0; size < kLine.size(); ++size)
        EXPECT_FALSE(read_record(std::string_view(kLine).substr(0, size), record)) << size;
    EXPECT_FALSE(read_record(kLine + "x", record));
}

TEST(LogRecord, OfANewerAgentIsReadWithoutWhatIsNotKnown) {
    Record record;
    ASSERT_TRUE(read_record(
        R"({"new":[1,{"a":[]},"b\"]"],"what":"guest-ping","deep":{"a":{"b":{}}},"would":"refuse"})", record));
    EXPECT_EQ(record.what, "guest-ping");
    EXPECT_EQ(record.would, "refuse");
    // So deep that no agent wrote it.
    std::string deep;
    for (int at = 0; at < 100'000; ++at) deep += "{\"a\":";
    EXPECT_FALSE(read_record(deep, record));
}

// Whatever another parser takes for an object of texts and numbers has the same members here.
TEST(LogRecord, HasWhatAnotherParserFinds) {
    std::mt19937 random(2);
    const auto text = [&] {
        std::string bytes;
        for (auto count = random() % 30; count > 0; --count) bytes += static_cast<char>(random() % 96 + 32);
        return bytes;
    };
    for (int at = 0; at < 5000; ++at) {
        boost::json::object arguments{{"path", text()}, {"mode", text()}, {"n", static_cast<int>(random())}};
        const boost::json::object object{{text(), text()},         {"what", text()}, {"seq", random()},
                                         {"arguments", arguments}, {"rule", text()}, {"flag", true}};
        const std::string line = boost::json::serialize(object);
        Record record;
        ASSERT_TRUE(read_record(line, record)) << line;
        ASSERT_EQ(unescaped(record.what), object.at("what").as_string()) << line;
        ASSERT_EQ(unescaped(record.rule), object.at("rule").as_string()) << line;
        const auto members = members_of(record.arguments);
        ASSERT_EQ(text_of(members, "path"), arguments.at("path").as_string()) << line;
        ASSERT_EQ(number_of(members, "n"), arguments.at("n").as_int64()) << line;
    }
}

TEST(LogRecord, TakesAnyBytesWithoutReadingBeyondThem) {
    std::mt19937 random(3);
    Record record;
    for (int at = 0; at < 20000; ++at) {
        std::string line = kLine;
        for (auto changes = random() % 4 + 1; changes > 0; --changes)
            line[random() % line.size()] = "\"\\{}[]:,\0a1"[random() % 11];
        line.resize(random() % line.size());
        line.shrink_to_fit();
        read_record(line, record);
        (void)members_of(line);
        (void)unescaped(line);
    }
}

TEST(LogRecord, TimesAreThoseOfTheCalendar) {
    std::mt19937_64 random(4);
    for (int at = 0; at < 2000; ++at) {
        const auto time = static_cast<std::time_t>(random() % 4'000'000'000U);
        std::tm parts{};
        ::gmtime_r(&time, &parts);
        char text[40];
        std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.123456Z", &parts);
        EXPECT_EQ(seconds_of(text), time) << text;
    }
    for (const char* wrong :
         {"", "2026-11-30", "2026-13-30T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-30T00:00:00"})
        EXPECT_FALSE(seconds_of(wrong)) << wrong;
}

TEST(LogRequest, OfAProgramHasItsWordsUnlessBlanksHideWhereTheyEnd) {
    const auto asked = [](const std::string& arguments) {
        Record record;
        static std::string line;
        line = R"({"what":"guest-exec","arguments":)" + arguments + "}";
        EXPECT_TRUE(read_record(line, record));
        return *asked_of(record);
    };
    const auto whole = asked(R"({"path":"/bin/a","arg":"-c x","args":2,"env":"LANG TZ","input":5})");
    EXPECT_TRUE(whole.is_exact);
    EXPECT_EQ(whole.request.exec.args, (std::vector<std::string>{"-c", "x"}));
    EXPECT_EQ(whole.request.exec.env, (std::vector<std::string>{"LANG=", "TZ="}));
    EXPECT_EQ(whole.request.exec.input, 5U);
    EXPECT_FALSE(asked(R"({"path":"/bin/a","arg":"-c x y","args":2})").is_exact);
    EXPECT_TRUE(asked(R"({"path":"/bin/a","arg":"","args":0})").request.exec.args.empty());
    EXPECT_EQ(asked(R"({"path":"/bin/a","arg":"","args":1})").request.exec.args.size(), 1U);
}

// Which refusals another policy could have spared the host is known by the broker's own words.
TEST(LogRequest, ReasonsOfTheStateAreThoseThatTheBrokerGives) {
    std::string broker;
    for (const auto& one :
         std::filesystem::recursive_directory_iterator(std::string(SOURCE_ROOT) + "/broker"))
        if (one.path().extension() == ".cpp") {
            std::ifstream file(one.path());
            broker.append(std::istreambuf_iterator<char>(file), {});
        }
    for (const auto reasons : {reasons_of_the_state(), reasons_of_the_path()})
        for (const std::string_view reason : reasons)
            EXPECT_NE(broker.find('"' + std::string(reason) + '"'), broker.npos) << reason;
}

Ends ends(const std::string& after, const std::string& last, const std::string& time) {
    return {.begins_after = after, .last = last, .time = time};
}

TEST(LogOrder, SortsFilesOfSeveralLogsIntoTheirChains) {
    const Order order = order_of({ends("b", "c", "3"), ends("z", "y", "2"), ends("0", "a", "1"),
                                  ends("a", "b", "2"), ends("", "", "")});
    ASSERT_EQ(order.chains.size(), 2U);
    EXPECT_EQ(order.chains[0], (std::vector<std::size_t>{2, 3, 0}));
    EXPECT_EQ(order.chains[1], std::vector<std::size_t>{1});
    EXPECT_FALSE(order.fork);
    EXPECT_EQ(order_of({ends("0", "a", "1"), ends("a", "b", "2"), ends("a", "c", "3")}).fork, 2U);
}

TEST(LogOrder, OfFilesThatSayTheyFollowEachOtherEnds) {
    const Order order = order_of({ends("b", "a", "1"), ends("a", "b", "2"), ends("c", "c", "3")});
    std::size_t files = 0;
    for (const auto& chain : order.chains) files += chain.size();
    EXPECT_EQ(files, 3U);
}

TEST(LogTimeline, LosesNothingHoweverLongItIs) {
    Timeline line;
    std::mt19937_64 random(5);
    for (int at = 0; at < 200'000; ++at)
        line.add(1'700'000'000 + static_cast<WallTime>(random() % 300'000'000U),
                 at % 3 == 0 ? kRefuse : kAllow);
    for (const std::size_t most : {10UL, 60UL, 96UL}) {
        const auto spans = line.spans(most);
        EXPECT_LE(spans.size(), most);
        EXPECT_GT(spans.size(), most / 5);
        std::uint64_t refused = 0;
        for (const auto& span : spans) refused += span.counts[kRefuse];
        EXPECT_EQ(refused, 66667U);
        EXPECT_EQ(line.left_out(spans), 0U);
    }
}

TEST(LogTimeline, ShowsTheMonthAndNotTheMinuteInWhichTheClockWasWrong) {
    Timeline line;
    for (int at = 0; at < 10; ++at) line.add(at, kAllow);
    for (WallTime at = 0; at < 30 * 24 * 60; ++at) line.add(1'767'225'600 + at * 60, kAllow);
    const auto spans = line.spans(96);
    EXPECT_EQ(spans.front().begin, 1'767'225'600);
    EXPECT_EQ(line.left_out(spans), 10U);
    EXPECT_EQ(line.width(spans), 12 * 60 * 60);
}

TEST(LearntPaths, AreGroupedWhereThereAreManyAndStayWhereThereAreFew) {
    Paths paths;
    for (int at = 0; at < 20; ++at) paths.add("/srv/export/report-" + std::to_string(at), Paths::kRead);
    paths.add("/srv/export/old/one", Paths::kWrite);
    paths.add("/var/log/syslog", Paths::kRead);
    for (int at = 0; at < 20; ++at) paths.add("/file-" + std::to_string(at), Paths::kRead);
    paths.group();
    auto all = paths.all();
    EXPECT_EQ(all.at("/srv/export"), Paths::kRead);
    EXPECT_EQ(all.at("/srv/export/old/one"), Paths::kWrite) << "whoever reads many does not write them";
    EXPECT_EQ(all.at("/var/log/syslog"), Paths::kRead);
    EXPECT_FALSE(all.contains("/")) << "of the root nothing is taken to be meant but what was named";
    EXPECT_EQ(all.size(), 23U);
}

TEST(LearntPaths, StayFewHoweverManyAHostNames) {
    Paths paths;
    for (int at = 0; at < 30'000; ++at)
        paths.add("/srv/" + std::to_string(at % 3000) + "/" + std::to_string(at), Paths::kRead);
    paths.group();
    EXPECT_LE(paths.all().size(), 4096U);
    EXPECT_TRUE(paths.all().contains("/srv"));
    // In the root itself nothing is grouped; elsewhere even what is alone in its directory is.
    Paths roots, lonely;
    std::size_t kept = 0;
    for (int at = 0; at < 10'000; ++at) {
        kept += roots.add("/" + std::to_string(at), Paths::kRead) ? 1U : 0U;
        EXPECT_TRUE(lonely.add("/a/" + std::to_string(at) + "/b/" + std::to_string(at), Paths::kWrite));
    }
    EXPECT_EQ(kept, 4096U);
    EXPECT_EQ(roots.all().size(), 4096U);
    EXPECT_LE(lonely.all().size(), 4096U);
}

TEST(LearntWords, BecomeTheNarrowestPlaceThatTakesThem) {
    const auto place_of = [](const std::vector<std::string>& words) {
        Words seen;
        for (const std::string& word : words) seen.add(word);
        ipc::ExecWord place;
        EXPECT_TRUE(seen.place(place));
        for (const std::string& word : words) EXPECT_TRUE(accepts(place, word)) << word;
        return place;
    };
    EXPECT_EQ(place_of({"--unit", "--unit"}).text(), "--unit");
    EXPECT_EQ(place_of({"db", "web"}).one_of().text_size(), 2);
    std::vector<std::string> numbers, names, paths, others;
    for (int at = 0; at < 40; ++at) {
        numbers.push_back(std::to_string(at - 3));
        names.push_back("unit-" + std::to_string(at));
        paths.push_back("/srv/export/" + std::to_string(at));
        others.push_back("-o" + std::to_string(at));
    }
    EXPECT_EQ(place_of(numbers).number().least(), -3);
    EXPECT_EQ(place_of(names).name(), 7U);
    EXPECT_EQ(place_of(paths).under(), "/srv/export");
    EXPECT_EQ(place_of(others).one_of().text_size(), 40);
}

}  // namespace
}  // namespace sallyport::policy::log
