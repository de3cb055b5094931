// check, as JSON for editors and as SARIF for code review. What check says is heard and taken apart: it is said once, and in one place.
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::size_t kMaxSaid = std::size_t{8} << 20U;
constexpr std::string_view kDigest = "digest: sha256 ";

struct Message {
    std::string file;
    std::uint64_t line = 1;
    std::uint64_t column = 1;
    bool is_error = false;
    std::string text;
};

/// What is written to one of our descriptors, while this lives.
class Heard {
public:
    explicit Heard(int number)
        : number_(number), before_(::dup(number)), file_(::memfd_create("said", MFD_CLOEXEC)) {
        ::dup2(file_.get(), number_);
    }
    Heard(const Heard&) = delete;
    Heard& operator=(const Heard&) = delete;
    ~Heard() { ::dup2(before_.get(), number_); }
    [[nodiscard]] std::string text() const {
        if (::lseek(file_.get(), 0, SEEK_SET) != 0) return {};
        return read_all(file_, kMaxSaid).value_or("");
    }

private:
    int number_;
    UniqueFd before_;
    UniqueFd file_;
};

// Takes ":NUMBER" from the end of `text`.
bool take_number(std::string& text, std::uint64_t& number) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos || colon + 1 == text.size()) return false;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + colon + 1, end, number);
    if (error != std::errc{} || stopped != end) return false;
    text.resize(colon);
    return true;
}

// "FILE:LINE:COLUMN: error: TEXT"; the column may be missing, and of what no line is to blame for, both.
Message message_of(std::string_view line) {
    Message message{.file = {}, .is_error = true, .text = std::string(line)};
    for (const std::string_view word : {": error: ", ": warning: "}) {
        const std::size_t at = line.find(word);
        if (at == line.npos) continue;
        message.is_error = word == ": error: ";
        message.text = line.substr(at + word.size());
        message.file = line.substr(0, at);
        std::uint64_t first = 1;
        std::uint64_t second = 1;
        if (take_number(message.file, second) && take_number(message.file, first)) {
            message.line = first;
            message.column = second;
        } else {
            message.line = second;
        }
        break;
    }
    return message;
}

std::vector<Message> messages_of(std::string_view said) {
    std::vector<Message> messages;
    while (!said.empty()) {
        const std::size_t end = std::min(said.find('\n'), said.size());
        if (end > 0) messages.push_back(message_of(said.substr(0, end)));
        said.remove_prefix(std::min(end + 1, said.size()));
    }
    return messages;
}

const char* level_of(const Message& message) {
    return message.is_error ? "error" : "warning";
}

std::string in_json(const std::vector<Message>& messages, std::string_view digest, bool is_good) {
    std::vector<std::string> all;
    for (const Message& one : messages)
        all.push_back(JsonObject()
                          .add("file", one.file)
                          .add("line", one.line)
                          .add("column", one.column)
                          .add("severity", level_of(one))
                          .add("text", one.text)
                          .text());
    return JsonObject()
               .add("good", is_good)
               .add("digest", digest)
               .add_value("messages", json_list(all))
               .text() +
           "\n";
}

std::string location_of(const Message& message) {
    JsonObject region;
    region.add("startLine", message.line).add("startColumn", message.column);
    JsonObject place;
    place.add_value("artifactLocation", JsonObject().add("uri", message.file).text())
        .add_value("region", region.text());
    return JsonObject().add_value("physicalLocation", place.text()).text();
}

std::string in_sarif(const std::vector<Message>& messages, std::string_view policy) {
    std::vector<std::string> results;
    for (Message one : messages) {
        if (one.file.empty()) one.file = policy;
        results.push_back(JsonObject()
                              .add("ruleId", one.is_error ? "policy-error" : "policy-warning")
                              .add("level", level_of(one))
                              .add_value("message", JsonObject().add("text", one.text).text())
                              .add_value("locations", json_list({location_of(one)}))
                              .text());
    }
    const std::string rules = json_list(
        {JsonObject().add("id", "policy-error").text(), JsonObject().add("id", "policy-warning").text()});
    JsonObject driver;
    driver.add("name", "sallyport-policy").add("version", SALLYPORT_VERSION).add_value("rules", rules);
    JsonObject run;
    run.add_value("tool", JsonObject().add_value("driver", driver.text()).text())
        .add_value("results", json_list(results));
    return JsonObject()
               .add("$schema", "https://json.schemastore.org/sarif-2.1.0.json")
               .add("version", "2.1.0")
               .add_value("runs", json_list({run.text()}))
               .text() +
           "\n";
}

}  // namespace

int report_check(const CheckArguments& arguments) {
    CheckArguments plain = arguments;
    plain.as_json = plain.as_sarif = false;
    int status = kFailure;
    std::string said;
    std::string digest;
    {
        const Heard output(STDOUT_FILENO);
        const Heard errors(STDERR_FILENO);
        status = run_check(plain);
        const std::string text = output.text();
        const std::size_t at = text.find(kDigest);
        if (at != text.npos) digest = text.substr(at + kDigest.size(), 64);
        said = errors.text();
    }
    const std::vector<Message> messages = messages_of(said);
    print(arguments.as_sarif ? in_sarif(messages, compile::printable(arguments.policy))
                             : in_json(messages, digest, status == kSuccess));
    return status;
}

}  // namespace sallyport::policy::cli
